//! Copies of local project folders, which are built in place of the folders themselves.
//!
//! Both pip and uv build a folder where it lies, and most build backends leave something there
//! (setuptools `build/` and `*.egg-info`). What one build leaves would reach the next one's wheel.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use envspec::{Install, LocalProject, Requirement, is_by_product};
use files::Draft;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::disk_source::DiskSource;
use crate::error::{Error, IoResultExt};
use crate::origin::metadata_folders;
use crate::repository;

/// Version control, which tells some build backends the version.
const REPOSITORIES: [&str; 4] = [".git", ".hg", ".svn", ".bzr"];

/// The copies of one call, each with its original folder.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(PathBuf, PathBuf)>);

/// Folders that are copied together, since the build of one reads another.
struct Group {
    /// The folders as the spec names them.
    folders: Vec<PathBuf>,
    projects: Vec<LocalProject>,
    /// All folders to copy, with links resolved.
    places: BTreeSet<PathBuf>,
}

impl Group {
    fn of(folder: &Path) -> Result<Self, Error> {
        let projects = LocalProject::all(folder, &DiskSource)
            .map_err(|source| Error::Project { source: Box::new(source) })?;
        let mut places = BTreeSet::new();
        for project in &projects {
            places.insert(real(&project.folder));
            places.extend(project.repository.iter().map(|repository| repository.root.clone()));
            places.extend(
                project.needs.iter().filter(|it| it.url.is_none()).map(|it| real(&it.path)),
            );
        }
        Ok(Self { folders: vec![folder.to_owned()], projects, places })
    }

    fn join(&mut self, other: Self) {
        self.folders.extend(other.folders);
        for project in other.projects {
            if !self.projects.iter().any(|it| it.folder == project.folder) {
                self.projects.push(project);
            }
        }
        self.places.extend(other.places);
    }

    /// Copies all folders below `into`, with the same relative places.
    fn copy(&self, into: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let top = self.places.iter().skip(1).fold(self.places.first().cloned(), |top, place| {
            top?.ancestors().find(|top| place.starts_with(top)).map(Path::to_owned)
        });
        let top = top.unwrap_or_else(|| "/".into());
        // Some backends take the folder's name for the project's.
        let into = into.join(top.file_name().unwrap_or_else(|| "project".as_ref()));
        let copy_of = |place: &Path| {
            let place = real(place);
            match place.strip_prefix(&top) {
                Ok(below) if !below.as_os_str().is_empty() => into.join(below),
                _ => into.clone(),
            }
        };
        let repositories = self.projects.iter().filter_map(|project| project.repository.as_ref());
        let mut copied = BTreeSet::new();
        for repository in repositories.filter(|it| copied.insert(&it.root)) {
            repository::copy(repository, &copy_of(&repository.root))?;
        }
        let mut copies = Vec::new();
        for project in &self.projects {
            let copy = copy_of(&project.folder);
            copy_project(&real(&project.folder), &copy, project.repository.is_none())?;
            copies.push((project.folder.clone(), copy));
        }
        for project in &self.projects {
            for need in &project.needs {
                match &need.url {
                    None if need.path.is_file() => {
                        let copy = copy_of(&need.path);
                        fs::copy(&need.path, &copy).context("copy", &need.path)?;
                        copies.push((need.path.clone(), copy));
                    }
                    Some(url) if need.path.is_dir() => {
                        let file = copy_of(&project.folder).join(&need.file);
                        let text = fs::read_to_string(&file).context("read", &file)?;
                        replace(&file, &with_address(&text, url, &file_url(&copy_of(&need.path))))?;
                    }
                    _ => {}
                }
            }
        }
        Ok(copies)
    }
}

impl Sources {
    /// Copies every folder to build, with the projects and repositories that its build reads, below
    /// `into`, which need not exist. Editables are not copied: they ask for the folder itself.
    pub(crate) fn copy(install: &Install, into: &Path) -> Result<Self, Error> {
        let mut groups: Vec<Group> = Vec::new();
        let folders = install.requirements.iter().filter(|requirement| !requirement.is_editable());
        for folder in folders.filter_map(Requirement::path).filter(|path| path.is_dir()) {
            let mut group = Group::of(folder)?;
            // Those that are in this one, too, become one with it.
            let (shared, apart): (Vec<Group>, Vec<Group>) =
                groups.into_iter().partition(|other| !other.places.is_disjoint(&group.places));
            for other in shared {
                group.join(other);
            }
            groups = apart;
            groups.push(group);
        }
        let mut copies: Vec<(PathBuf, PathBuf)> = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let made = group.copy(&into.join(number.to_string()))?;
            // One folder may go by two names.
            for folder in &group.folders {
                let copy = made.iter().find(|(original, _)| real(original) == real(folder));
                copies.extend(copy.map(|(_, copy)| (folder.clone(), copy.clone())));
            }
            for (original, copy) in made {
                if !group.folders.contains(&original) {
                    copies.push((original, copy));
                }
            }
        }
        Ok(Self(copies))
    }

    /// Returns the requirement with the copy in place of the folder.
    pub(crate) fn moved(&self, requirement: &Requirement) -> Requirement {
        let copy = requirement.path().filter(|_| !requirement.is_editable()).and_then(|path| {
            self.0.iter().find(|(original, _)| original == path).map(|(_, copy)| copy)
        });
        copy.map_or_else(|| requirement.clone(), |copy| requirement.with_path(copy))
    }

    /// Returns the text with the folders in place of their copies.
    pub(crate) fn restored(&self, text: String) -> String {
        self.0.iter().fold(text, |text, (original, copy)| {
            let url = |path: &Path| path.to_str().map(str::to_owned).unwrap_or_default();
            text.replace(&url(copy), &url(original))
        })
    }

    /// Changes the origins of packages (PEP 610) in an interpreter's environment: to the folders in
    /// place of the temporary copies, and to addresses without credentials.
    pub(crate) fn rename_origins(&self, install: &Install, python: &Path) -> Result<(), Error> {
        let has_any =
            !self.0.is_empty() || install.requirements.iter().any(|it| it.url().is_some());
        if has_any {
            for info in metadata_folders(python) {
                self.rename_origin(&info)?;
                self.rename_needs(&info)?;
            }
        }
        Ok(())
    }

    fn rename_origin(&self, dist_info: &Path) -> Result<(), Error> {
        let path = dist_info.join("direct_url.json");
        let bytes = match files::read_regular(&path) {
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
        replace_recorded(dist_info, "direct_url.json", &text)
    }

    /// Changes the dependencies in a package's metadata to the folders in place of their copies.
    fn rename_needs(&self, dist_info: &Path) -> Result<(), Error> {
        let Ok(text) = files::read_regular_text(&dist_info.join("METADATA")) else { return Ok(()) };
        let renamed = self.0.iter().fold(text.clone(), |text, (original, copy)| {
            with_address(&text, &file_url(copy), &file_url(original))
        });
        if renamed == text {
            return Ok(());
        }
        replace_recorded(dist_info, "METADATA", &renamed)
    }
}

/// Replaces a file of a distribution's metadata, and its digest in the list of files.
fn replace_recorded(dist_info: &Path, name: &str, text: &str) -> Result<(), Error> {
    replace(&dist_info.join(name), text)?;
    let record = dist_info.join("RECORD");
    let Ok(lines) = files::read_regular_text(&record) else { return Ok(()) };
    let own = format!("{}/{name},", file_name(dist_info));
    let lines: Vec<String> = lines
        .lines()
        .map(|line| {
            if !line.starts_with(&own) {
                return line.to_owned();
            }
            format!("{own}sha256={},{}", base64(&Sha256::digest(text)), text.len())
        })
        .collect();
    replace(&record, &(lines.join("\n") + "\n"))
}

/// Returns the folder with links resolved; if that fails, unchanged.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Returns the text with `other` in place of `address`, but not in place of longer addresses that
/// begin with it.
fn with_address(text: &str, address: &str, other: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(address) {
        let (before, after) = (&rest[..at], &rest[at + address.len()..]);
        let goes_on = |c: char| c.is_alphanumeric() || "/-._~%+".contains(c);
        replaced.push_str(before);
        replaced.push_str(if after.starts_with(goes_on) { address } else { other });
        rest = after;
    }
    replaced + rest
}

/// Replaces a file, which may be a link to a file that others share.
fn replace(path: &Path, text: &str) -> Result<(), Error> {
    Draft::default().with_mode(0o666).write(path, text.as_bytes()).context("write", path)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns a `file:` URL as the tools write it.
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

/// Returns base 64 as in a `RECORD`: the alphabet of URLs, and no padding.
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

/// Copies a project: its sources, and its version control, from which its build may take the
/// version, unless that is already there. It follows links, which may lead out of the project;
/// existing files in the copy stay.
fn copy_project(from: &Path, to: &Path, with_repository: bool) -> Result<(), Error> {
    let is_repository = |below: &Path| {
        below.components().any(|part| REPOSITORIES.iter().any(|name| part.as_os_str() == *name))
    };
    let is_left = |below: &Path| is_by_product(below, |path| from.join(path).is_file());
    let is_wanted = |entry: &DirEntry| {
        let Ok(below) = entry.path().strip_prefix(from) else { return false };
        // A file stands for all that lies in a folder.
        let is_dir = entry.file_type().is_dir();
        if is_repository(below) {
            // A file there names a repository that is elsewhere.
            let is_own = below.components().count() == 1;
            return if is_own { with_repository } else { is_dir || !below.ends_with(".git") };
        }
        !to.join(below).is_symlink()
            && !(if is_dir { is_left(&below.join("file")) } else { is_left(below) })
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
        copy_project(&project, &copy, true).unwrap();
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
