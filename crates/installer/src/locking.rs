//! Resolving a request to all its distributions, with hashes.

use std::fs;
use std::path::Path;

use envspec::{Requirement, Tool};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Error, IoResultExt};
use crate::installer::{Attempt, Installer};
use crate::mode::Mode;
use crate::outcome::Package;
use crate::request::Request;
use crate::scratch::Scratch;

impl Installer {
    /// Resolves a request from nothing, and returns every distribution of the result: pinned,
    /// sorted, and with the hashes of its archives. Installs nothing.
    ///
    /// Installed packages do not count, but `preferred` versions are taken where the request allows
    /// them; so the result for an environment over a base is what that environment would contain.
    /// Distributions from a folder or a repository have no hash; a repository is pinned to its
    /// commit. uv returns the hashes of every archive of a version, pip that of the one which fits
    /// this interpreter.
    ///
    /// # Errors
    ///
    /// Those of [`Installer::install`], and [`Error::Lock`] if the tool's answer cannot be read.
    pub fn lock(
        &self,
        request: &Request<'_>,
        preferred: &[Package],
    ) -> Result<Vec<Requirement>, Error> {
        if request.install.requirements.is_empty() {
            return Ok(Vec::new());
        }
        let mut locked = match self.tool() {
            Tool::Uv => self.lock_by_uv(request, preferred)?,
            Tool::Pip => self.lock_by_pip(request, preferred)?,
        };
        locked.sort_unstable();
        locked.dedup();
        Ok(locked)
    }

    fn lock_by_uv(
        &self,
        request: &Request<'_>,
        preferred: &[Package],
    ) -> Result<Vec<Requirement>, Error> {
        let prepare = |scratch: &Scratch| scratch.write_lock(preferred);
        let Attempt { scratch, sources, .. } = self.attempt(request, Mode::Lock, prepare)?;
        let path = scratch.lock_file();
        let text = fs::read_to_string(&path).context("read", &path)?;
        uv_lock(&sources.restored(text), &scratch.working_dir())
    }

    /// Resolves with pip, which has no preferences. The first call reports its changes to the
    /// preferred versions; the second call resolves from nothing with all of these pinned.
    fn lock_by_pip(
        &self,
        request: &Request<'_>,
        preferred: &[Package],
    ) -> Result<Vec<Requirement>, Error> {
        let direct: Vec<&str> = (request.install.requirements.iter())
            .filter(|requirement| requirement.is_local() || requirement.url().is_some())
            .filter_map(Requirement::name)
            .collect();
        let added = self.resolve(request)?.added;
        let is_added = |name: &str| added.iter().any(|package| package.name == name);
        let kept = preferred.iter().filter(|package| !is_added(&package.name));
        let all = added.iter().chain(kept).filter(|package| !direct.contains(&&*package.name));
        let mut held: Vec<String> = all.map(ToString::to_string).collect();
        held.extend_from_slice(request.held);
        held.sort();
        held.dedup();
        let exact = Request { held: &held, ..request.clone() };
        let Attempt { scratch, sources, finished, .. } =
            match self.attempt(&exact, Mode::Lock, |_| Ok(())) {
                // No index may have a version of the base, such as one that was built locally.
                Err(Error::Unsatisfiable { .. } | Error::NotFound { .. }) => {
                    self.attempt(request, Mode::Lock, |_| Ok(()))?
                }
                other => other?,
            };
        let path = scratch.report_file();
        let Ok(json) = fs::read_to_string(&path) else {
            // This pip is too old to write a report.
            return Err(Error::Lock { tool: Tool::Pip, text: finished.stderr });
        };
        pip_lock(&sources.restored(json))
    }
}

/// Parses the output of `uv pip compile --generate-hashes`.
fn uv_lock(text: &str, dir: &Path) -> Result<Vec<Requirement>, Error> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            Requirement::parse_in(line, dir).map_err(|_| {
                let text = envspec::redact(line).into_owned();
                Error::Lock { tool: Tool::Uv, text }
            })
        })
        .collect()
}

#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

/// A distribution that pip would install.
#[derive(Deserialize)]
pub(crate) struct Item {
    pub(crate) download_info: DirectUrl,
    #[serde(default)]
    pub(crate) is_direct: bool,
    pub(crate) metadata: Metadata,
}

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// The origin of a distribution (PEP 610).
#[derive(Deserialize)]
pub(crate) struct DirectUrl {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) archive_info: Option<Archive>,
    #[serde(default)]
    pub(crate) vcs_info: Option<Repository>,
    #[serde(default)]
    pub(crate) dir_info: Option<Folder>,
    #[serde(default)]
    pub(crate) subdirectory: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Archive {
    #[serde(default)]
    pub(crate) hashes: Map<String, Value>,
}

#[derive(Deserialize)]
pub(crate) struct Repository {
    pub(crate) vcs: String,
    pub(crate) commit_id: String,
}

#[derive(Deserialize)]
pub(crate) struct Folder {
    #[serde(default)]
    pub(crate) editable: bool,
}

/// Parses the output of `pip install --dry-run --ignore-installed --report`.
fn pip_lock(json: &str) -> Result<Vec<Requirement>, Error> {
    report(json)?.iter().map(Item::requirement).collect()
}

/// Returns the distributions that pip's report would install.
pub(crate) fn report(json: &str) -> Result<Vec<Item>, Error> {
    let report: Report =
        serde_json::from_str(json).map_err(|source| Error::Report { tool: Tool::Pip, source })?;
    Ok(report.install)
}

impl Item {
    fn requirement(&self) -> Result<Requirement, Error> {
        let package = Package::new(&self.metadata.name, self.metadata.version.as_str());
        let DirectUrl { url, archive_info, vcs_info, dir_info, .. } = &self.download_info;
        let mut line = match vcs_info {
            Some(Repository { vcs, commit_id }) => {
                format!("{} @ {vcs}+{url}@{commit_id}", package.name)
            }
            None if dir_info.as_ref().is_some_and(|folder| folder.editable) => format!("-e {url}"),
            None if self.is_direct => format!("{} @ {url}", package.name),
            None => package.to_string(),
        };
        for (algorithm, digest) in archive_info.iter().flat_map(|archive| &archive.hashes) {
            if let Some(digest) = digest.as_str() {
                line.extend([" --hash=", algorithm, ":", digest]);
            }
        }
        line.parse()
            .map_err(|_| Error::Lock { tool: Tool::Pip, text: envspec::redact(&line).into_owned() })
    }
}

impl Scratch {
    /// Writes the versions that uv should prefer into its output file, from which it reads them.
    fn write_lock(&self, preferred: &[Package]) -> Result<(), Error> {
        let lines: String = preferred.iter().map(|package| package.to_string() + "\n").collect();
        self.write_file(&self.lock_file(), &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(locked: Result<Vec<Requirement>, Error>) -> Vec<String> {
        locked.unwrap().iter().map(ToString::to_string).collect()
    }

    const HASH: &str = "73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62";

    #[test]
    fn uvs_answer_is_read_over_its_broken_lines() {
        let text = format!(
            "# a comment\nb==2.0 \\\n    --hash=sha256:{HASH}\na @ file:///w/a-1-py3-none-any.whl \\\n    \
             --hash=sha256:{HASH}\n"
        );
        assert_eq!(
            texts(uv_lock(&text, Path::new("/"))),
            [
                format!("b==2.0 --hash=sha256:{HASH}"),
                format!("a @ file:///w/a-1-py3-none-any.whl --hash=sha256:{HASH}")
            ]
        );
        assert!(uv_lock("--strange https://me:secret@host\n", Path::new("/")).is_err());
    }

    #[test]
    fn pips_answer_tells_archives_repositories_and_folders_apart() {
        let json = format!(
            r#"{{"install": [
            {{"download_info": {{"url": "https://h/b-2.whl", "archive_info": {{"hashes": {{"sha256": "{HASH}"}}}}}},
              "is_direct": false, "metadata": {{"name": "B", "version": "2.0"}}}},
            {{"download_info": {{"url": "https://h/r.git", "vcs_info": {{"vcs": "git", "commit_id": "abc"}}}},
              "is_direct": true, "metadata": {{"name": "r", "version": "1"}}}},
            {{"download_info": {{"url": "file:///src", "dir_info": {{"editable": true}}}},
              "is_direct": true, "metadata": {{"name": "s", "version": "1"}}}}]}}"#
        );
        assert_eq!(
            texts(pip_lock(&json)),
            [
                format!("b==2.0 --hash=sha256:{HASH}"),
                "r @ git+https://h/r.git@abc".to_owned(),
                "-e /src".to_owned()
            ]
        );
    }
}
