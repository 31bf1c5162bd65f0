//! Copies of local project folders, which are built in place of the folders themselves.
//!
//! Both pip and uv build a folder where it lies, and most build backends leave something there
//! (setuptools `build/` and `*.egg-info`). What one build leaves would reach the next one's wheel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use envspec::{Install, Requirement, is_by_product};
use files::Draft;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, IoResultExt};

/// Version control, which tells some build backends the version.
const REPOSITORIES: [&str; 3] = [".git", ".hg", ".svn"];

/// The copies of one call, each with the folder that it is of.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(PathBuf, PathBuf)>);

impl Sources {
    /// Copies every folder that is to be built below `into`, which need not exist. An editable one
    /// is used where it lies; that is what it asks for.
    pub(crate) fn copy(install: &Install, into: &Path) -> Result<Self, Error> {
        let mut copies = Vec::new();
        let folders = install.requirements.iter().filter(|requirement| !requirement.is_editable());
        for folder in folders.filter_map(Requirement::path).filter(|path| path.is_dir()) {
            if copies.iter().any(|(original, _)| original == folder) {
                continue;
            }
            // Some backends take the folder's name for the project's.
            let name = folder.file_name().unwrap_or_else(|| "project".as_ref());
            let copy = into.join(copies.len().to_string()).join(name);
            copy_project(folder, &copy)?;
            copies.push((folder.to_owned(), copy));
        }
        Ok(Self(copies))
    }

    /// The requirement that names the copy in place of the folder.
    pub(crate) fn moved(&self, requirement: &Requirement) -> Requirement {
        let copy = requirement.path().filter(|_| !requirement.is_editable()).and_then(|path| {
            self.0.iter().find(|(original, _)| original == path).map(|(_, copy)| copy)
        });
        copy.map_or_else(|| requirement.clone(), |copy| requirement.with_path(copy))
    }

    /// The text with the folders in place of their copies.
    pub(crate) fn restored(&self, text: String) -> String {
        self.0.iter().fold(text, |text, (original, copy)| {
            let url = |path: &Path| path.to_str().map(str::to_owned).unwrap_or_default();
            text.replace(&url(copy), &url(original))
        })
    }

    /// Has the environment of an interpreter name the folders as the places that packages came from
    /// (PEP 610), instead of copies that are gone, and addresses without their credentials.
    pub(crate) fn rename_origins(&self, install: &Install, python: &Path) -> Result<(), Error> {
        let has_any =
            !self.0.is_empty() || install.requirements.iter().any(|it| it.url().is_some());
        let Some(prefix) = python.parent().and_then(Path::parent).filter(|_| has_any) else {
            return Ok(());
        };
        let lib = prefix.join("lib");
        for python in fs::read_dir(&lib).into_iter().flatten().flatten() {
            let site = python.path().join("site-packages");
            for entry in fs::read_dir(&site).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "dist-info") {
                    self.rename_origin(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn rename_origin(&self, dist_info: &Path) -> Result<(), Error> {
        let path = dist_info.join("direct_url.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).context("read", &path),
        };
        let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return Ok(()) };
        let Some(url) = value.get("url").and_then(Value::as_str) else { return Ok(()) };
        let found = self.0.iter().find(|(_, copy)| file_url(copy) == url.trim_end_matches('/'));
        let told = match found {
            Some((original, _)) => file_url(original),
            None => envspec::redact(url).into_owned(),
        };
        if told == url {
            return Ok(());
        }
        value["url"] = told.into();
        let text = value.to_string();
        replace(&path, &text)?;

        let record = dist_info.join("RECORD");
        let Ok(lines) = fs::read_to_string(&record) else { return Ok(()) };
        let own = format!("{}/direct_url.json,", file_name(dist_info));
        let lines: Vec<String> = lines
            .lines()
            .map(|line| {
                if !line.starts_with(&own) {
                    return line.to_owned();
                }
                format!("{own}sha256={},{}", base64(&Sha256::digest(&text)), text.len())
            })
            .collect();
        replace(&record, &(lines.join("\n") + "\n"))
    }
}

/// A file with another content, which may be a link to what others have, too.
fn replace(path: &Path, text: &str) -> Result<(), Error> {
    Draft::default().with_mode(0o666).write(path, text.as_bytes()).context("write", path)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A `file:` URL as the tools write it.
fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.extend(["%".to_owned(), format!("{byte:02X}")]);
        }
    }
    url
}

/// As `RECORD` has it: the alphabet of URLs, and no padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..=chunk.len() {
            let digit = group >> (18 - 6 * index) & 63;
            text.push(char::from(ALPHABET[digit as usize]));
        }
    }
    text
}

/// Copies a project: its sources, and the version control that may tell its version. A link is
/// copied as what it leads to, for that may lie outside.
fn copy_project(from: &Path, to: &Path) -> Result<(), Error> {
    let is_repository = |below: &Path| {
        below.components().any(|part| REPOSITORIES.iter().any(|name| part.as_os_str() == *name))
    };
    let is_left = |below: &Path| is_by_product(below, |path| from.join(path).is_file());
    let is_wanted = |entry: &DirEntry| {
        let Ok(below) = entry.path().strip_prefix(from) else { return false };
        // A file stands for all that lies in a folder.
        let is_dir = entry.file_type().is_dir();
        is_repository(below)
            || !(if is_dir { is_left(&below.join("file")) } else { is_left(below) })
    };
    fs::create_dir_all(to).context("make", to)?;
    let walk = WalkDir::new(from).min_depth(1).follow_links(true).into_iter();
    let walk = walk.filter_entry(is_wanted);
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // A link that leads nowhere, or in a circle, holds nothing.
            Err(error) if error.loop_ancestor().is_some() || is_dangling(&error) => continue,
            Err(error) => return Err(io::Error::from(error)).context("read", from),
        };
        let Ok(below) = entry.path().strip_prefix(from) else { continue };
        let target = to.join(below);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).context("make", &target)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &target).context("copy", entry.path())?;
        }
    }
    Ok(())
}

fn is_dangling(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_sources_and_what_links_lead_to_but_no_leftovers() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        for file in ["pkg/a.py", "build/lib/pkg/old.py", "p.egg-info/SOURCES.txt", ".git/HEAD"] {
            fs::create_dir_all(project.join(file).parent().unwrap()).unwrap();
            fs::write(project.join(file), file).unwrap();
        }
        fs::write(dir.path().join("README"), "read me").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, project.join(name));
        link("../README", "README").unwrap();
        link("nowhere", "dangling").unwrap();
        link(".", "circle").unwrap();
        let copy = dir.path().join("copy");
        copy_project(&project, &copy).unwrap();
        let has = |file: &str| copy.join(file).exists();
        assert!(has("pkg/a.py") && has(".git/HEAD"));
        assert!(!has("build/lib") && !has("p.egg-info") && !has("dangling"));
        assert_eq!(fs::read_to_string(copy.join("README")).unwrap(), "read me");
    }

    #[test]
    fn a_digest_is_written_as_in_a_record() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"\xfb\xff"), "-_8");
        assert_eq!(base64(b"abcd"), "YWJjZA");
    }
}
