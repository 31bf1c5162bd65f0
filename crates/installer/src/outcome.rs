//! Results of a package manager, and parsing of its report.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use envspec::Tool;
use serde::{Deserialize, Serialize};

use crate::command::Finished;
use crate::error::Error;
use crate::known::Archive;

/// A distribution in one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Package {
    /// Its normal name (PEP 503): lower case, with single hyphens.
    pub name: String,
    /// Its version, as the tool writes it. Empty in a dry run of uv if only a build would tell, as
    /// for a folder or a repository.
    pub version: String,
}

impl Package {
    /// Creates a distribution; its name is brought into normal form.
    #[must_use]
    pub fn new(name: &str, version: impl Into<String>) -> Self {
        Self { name: normal_name(name), version: version.into() }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.version.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// The changes of an installation, or those that a dry run predicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The package manager.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
    /// Added distributions, sorted; a replaced one is in both lists.
    pub added: Vec<Package>,
    /// Removed distributions, sorted.
    pub removed: Vec<Package>,
    /// The added wheels that came from indexes, if the tool reports them: pip does.
    #[serde(default)]
    pub archives: Vec<Archive>,
    /// What the tool warned of, without credentials: a release that was yanked, a setting that it
    /// passed over.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Running time of the tool, in the successful attempt.
    pub elapsed: Duration,
}

impl Outcome {
    pub(crate) fn new(
        tool_version: String,
        tool: Tool,
        changes: Changes,
        elapsed: Duration,
    ) -> Self {
        let tool = crate::transcript::tool_name(tool).to_owned();
        let Changes { mut added, mut removed, mut archives, warnings, places: _ } = changes;
        added.sort();
        added.dedup();
        removed.sort();
        removed.dedup();
        archives.retain(Archive::is_plain_wheel);
        Self { tool, tool_version, added, removed, archives, warnings, elapsed }
    }

    /// Returns whether nothing had to change.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// An unmet requirement of an installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Conflict {
    /// The normal name of the package that requires something.
    pub package: String,
    /// The requirement; empty if the tool complains of something else.
    pub requires: String,
    /// The version that is installed instead, if any is.
    pub installed: Option<String>,
    /// The tool's own sentence.
    pub words: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The packages added and removed, in the tool's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<Package>,
    pub(crate) removed: Vec<Package>,
    /// The addresses of packages from archives or repositories, if pip reports them.
    pub(crate) places: Vec<String>,
    /// The archives of all other packages, if pip reports them.
    pub(crate) archives: Vec<Archive>,
    /// The tool's warnings.
    pub(crate) warnings: Vec<String>,
}

#[derive(Deserialize)]
struct UvReport {
    changes: Vec<UvChange>,
}

#[derive(Deserialize)]
struct UvChange {
    name: String,
    #[serde(default)]
    version: String,
    action: String,
}

#[derive(Deserialize)]
struct PipReport {
    install: Vec<PipInstall>,
}

#[derive(Deserialize)]
struct PipInstall {
    metadata: PipMetadata,
    #[serde(default)]
    is_direct: bool,
    #[serde(default)]
    download_info: PipDownload,
}

#[derive(Default, Deserialize)]
struct PipDownload {
    #[serde(default)]
    url: String,
    #[serde(default)]
    archive_info: PipArchive,
}

#[derive(Default, Deserialize)]
struct PipArchive {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PipMetadata {
    name: String,
    version: String,
}

/// Parses the output of `uv pip install --output-format json`.
pub(crate) fn uv_report(json: &str) -> Result<Changes, serde_json::Error> {
    let mut changes = Changes::default();
    for UvChange { name, version, action } in serde_json::from_str::<UvReport>(json)?.changes {
        let package = Package::new(&name, version);
        match action.as_str() {
            "installed" => changes.added.push(package),
            "uninstalled" => changes.removed.push(package),
            // Reinstalled in the same version: removed and added.
            _ => {
                changes.added.push(package.clone());
                changes.removed.push(package);
            }
        }
    }
    Ok(changes)
}

/// Reads the ` + name==version` lines of a uv that writes no JSON.
pub(crate) fn uv_lines(text: &str) -> Changes {
    let mut changes = Changes::default();
    for line in text.lines() {
        let Some((mark @ ("+" | "-" | "~"), rest)) = line.trim_start().split_once(' ') else {
            continue;
        };
        let pinned = rest.split_once(" (from ").map_or(rest, |(pinned, _)| pinned).trim();
        let Some((name, version)) = pinned.split_once("==") else { continue };
        let package = Package::new(name, version);
        if mark != "-" {
            changes.added.push(package.clone());
        }
        if mark != "+" {
            changes.removed.push(package);
        }
    }
    changes
}

/// Reads what `pip install --report` wrote.
pub(crate) fn pip_report(json: &str) -> Result<Changes, serde_json::Error> {
    let mut changes = Changes::default();
    for install in serde_json::from_str::<PipReport>(json)?.install {
        let PipInstall { metadata, is_direct, download_info } = install;
        if let Some(sha256) = download_info.archive_info.hashes.get("sha256").filter(|_| !is_direct)
        {
            changes.archives.push(Archive {
                name: normal_name(&metadata.name),
                version: metadata.version.clone(),
                url: download_info.url.clone(),
                sha256: sha256.clone(),
            });
        }
        changes.added.push(Package::new(&metadata.name, metadata.version));
        changes.places.extend(is_direct.then_some(download_info.url));
    }
    Ok(changes)
}

/// Parses from pip's output what it installed, or would install, for a pip that writes no report.
pub(crate) fn pip_installed(text: &str) -> Vec<Package> {
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("Successfully installed ").or(line.strip_prefix("Would install "))
        })
        .flat_map(str::split_whitespace)
        .filter_map(name_and_version)
        .collect()
}

/// Parses from pip's output what it uninstalled.
pub(crate) fn pip_uninstalled(text: &str) -> Vec<Package> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix("Successfully uninstalled "))
        .filter_map(|pinned| name_and_version(pinned.trim()))
        .collect()
}

/// Reads the complaints of `pip check` or `uv pip check`.
pub(crate) fn conflicts(tool: Tool, finished: &Finished) -> Vec<Conflict> {
    let read = match tool {
        Tool::Pip => pip_conflict,
        Tool::Uv => uv_conflict,
    };
    let mut conflicts: Vec<_> =
        finished.stderr.lines().chain(finished.stdout.lines()).filter_map(read).collect();
    conflicts.sort();
    conflicts
}

/// Reads ``The package `a` requires `b>=2`, but `1.0` is installed``.
fn uv_conflict(line: &str) -> Option<Conflict> {
    let (package, rest) = line.trim().strip_prefix("The package `")?.split_once('`')?;
    let quoted = |text: &str| {
        text.split_once('`')
            .and_then(|(_, rest)| rest.split_once('`'))
            .map(|(inner, _)| inner.to_owned())
    };
    let (requirement, but) = rest.split_once(", but ").unwrap_or((rest, ""));
    Some(Conflict {
        package: normal_name(package),
        requires: quoted(requirement).unwrap_or_default(),
        installed: quoted(but),
        words: line.trim().to_owned(),
    })
}

/// Reads `a 1.0 has requirement b>=2, but you have b 1.0.` or `a 1.0 requires b, which is not
/// installed.`
fn pip_conflict(line: &str) -> Option<Conflict> {
    let line = line.trim();
    let (package, rest) = line.split_once(' ')?;
    let (_version, rest) = rest.split_once(' ')?;
    let (requires, installed) = if let Some(rest) = rest.strip_prefix("has requirement ") {
        let (requires, have) = rest.split_once(", but you have ")?;
        let version = have.trim_end_matches('.').rsplit_once(' ').map(|(_, version)| version);
        (requires, version.map(str::to_owned))
    } else if let Some(rest) = rest.strip_prefix("requires ") {
        (rest.split_once(", which is not installed")?.0, None)
    } else if rest.starts_with("is not supported on this platform") {
        ("", None)
    } else {
        return None;
    };
    Some(Conflict {
        package: normal_name(package),
        requires: requires.to_owned(),
        installed,
        words: line.to_owned(),
    })
}

/// Reads `packaging-24.0` or `ruamel.yaml-0.18`: a version in normal form has no hyphen.
fn name_and_version(pinned: &str) -> Option<Package> {
    let (name, version) = pinned.rsplit_once('-')?;
    Some(Package::new(name, version))
}

/// Returns the normal form of a distribution's name (PEP 503).
pub(crate) fn normal_name(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

impl Changes {
    /// Reads uv's report or, if this uv writes none, its words.
    pub(crate) fn of_uv(finished: &Finished, has_report: bool) -> Result<Self, Error> {
        if !has_report {
            return Ok(uv_lines(&finished.stderr));
        }
        uv_report(&finished.stdout).map_err(|source| Error::Report { tool: Tool::Uv, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(pinned: &[&str]) -> Vec<Package> {
        let package = |pinned: &&str| {
            let (name, version) = pinned.split_once("==").unwrap();
            Package::new(name, version)
        };
        pinned.iter().map(package).collect()
    }

    #[test]
    fn names_take_their_normal_form() {
        assert_eq!(normal_name("Ruamel.Yaml__x"), "ruamel-yaml-x");
    }

    #[test]
    fn both_forms_of_uvs_report_say_the_same() {
        let json = r#"{"schema": {"version": "preview"}, "changes": [
            {"name": "packaging", "version": "24.0", "action": "uninstalled"},
            {"name": "packaging", "version": "23.1", "action": "installed"},
            {"name": "six", "version": "1.16.0", "action": "reinstalled"}], "dry_run": true}"#;
        let lines = "Resolved 1 package in 12ms\n - packaging==24.0\n \
                     + packaging==23.1 (from file:///x/packaging-23.1.whl)\n ~ six==1.16.0\n";
        let unbuilt = r#"{"changes": [{"name": "local", "action": "installed"}]}"#;
        assert_eq!(uv_report(unbuilt).unwrap().added[0].to_string(), "local");
        assert_eq!(uv_report(json).unwrap(), uv_lines(lines));
        assert_eq!(uv_lines(lines).removed, packages(&["packaging==24.0", "six==1.16.0"]));
    }

    #[test]
    fn pips_words_name_what_came_and_went() {
        let text = "Installing collected packages: packaging\n  Attempting uninstall: packaging\n    \
            Found existing installation: packaging 24.0\n    Uninstalling packaging-24.0:\n      \
            Successfully uninstalled packaging-24.0\nSuccessfully installed packaging-23.2 ruamel.yaml-0.18.6\n";
        assert_eq!(pip_uninstalled(text), packages(&["packaging==24.0"]));
        assert_eq!(pip_installed(text), packages(&["packaging==23.2", "ruamel-yaml==0.18.6"]));
        assert_eq!(pip_installed("Would install six-1.0\n"), packages(&["six==1.0"]));
    }

    #[test]
    fn both_tools_complaints_say_the_same() {
        for (uv, pip, installed) in [
            (
                "The package `requests` requires `urllib3>=1.21.1,<3`, but `1.20` is installed",
                "requests 2.31.0 has requirement urllib3>=1.21.1,<3, but you have urllib3 1.20.",
                Some("1.20".to_owned()),
            ),
            (
                "The package `requests` requires `idna`, but it's not installed",
                "requests 2.31.0 requires idna, which is not installed.",
                None,
            ),
        ] {
            let (uv, pip) = (uv_conflict(uv).unwrap(), pip_conflict(pip).unwrap());
            assert_eq!((&uv.package, &uv.requires), (&pip.package, &pip.requires));
            assert_eq!(uv.installed, installed);
            assert_eq!(pip.installed, installed);
        }
        assert_eq!(pip_conflict("No broken requirements found."), None);
        assert_eq!(uv_conflict("Found 2 incompatibilities"), None);
    }
}
