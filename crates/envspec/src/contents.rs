//! Digests of the local files and folders that a spec refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::digest::{Digest, Encoder};
use crate::error::Error;
use crate::install::Install;
use crate::name;
use crate::requirement::Requirement;
use crate::settings::Named;
use crate::source::Source;

/// The files that tell how a project is built, and what it depends on.
const BUILD_FILES: [&str; 3] = ["pyproject.toml", "setup.cfg", "setup.py"];

/// The digest of everything local that `install` names, and of what its settings name.
pub(crate) fn digest_contents(
    install: &Install,
    named: &[Named],
    source: &dyn Source,
) -> Result<BTreeMap<PathBuf, Digest>, Error> {
    let lists = [&install.requirements, &install.constraints, &install.overrides];
    let requirements = || lists.into_iter().flatten();
    let mut contents = BTreeMap::new();
    // A path that is named twice keeps the digest over more of it, so those come last.
    let paths = |is_editable| -> BTreeSet<&Path> {
        requirements()
            .filter(|one| one.is_editable() == is_editable)
            .filter_map(Requirement::path)
            .collect()
    };
    for path in paths(true) {
        contents.insert(path.to_owned(), editable(path, source)?);
    }
    for (path, is_whole) in install.index.local_paths() {
        let digest = if is_page(&path) {
            file(&path, source)?
        } else if is_whole {
            folder(&path, source, |_| true)?
        } else {
            folder(&path, source, is_archive_in)?
        };
        contents.insert(path, digest);
    }
    for path in paths(false) {
        let digest =
            if is_archive(path) { file(path, source)? } else { folder(path, source, |_| true)? };
        contents.insert(path.to_owned(), digest);
    }
    for one in named {
        let (path, digest) = match one {
            // It holds nothing, and cannot be read everywhere.
            Named::File(path) if path == Path::new("/dev/null") => continue,
            Named::File(path) => (path, file(path, source)),
            Named::Links(path) | Named::Index(path) if is_page(path) => (path, file(path, source)),
            Named::Links(path) => (path, folder(path, source, is_archive_in)),
            Named::Index(path) => (path, folder(path, source, |_| true)),
        };
        match digest {
            // The tools pass over links that lead nowhere, and say so of an index.
            Err(Error::Read { source, .. } | Error::List { source, .. })
                if !matches!(one, Named::File(_)) && source.kind() == io::ErrorKind::NotFound => {}
            digest => {
                contents.insert(path.clone(), digest?);
            }
        }
    }
    Ok(contents)
}

/// The digest of a local archive, or of a project's folder, as it counts in a spec.
///
/// Of what is installed in place all counts that Python may import, and the files that it is built
/// by: unlike the key of an environment, which only points there, this tells whether the same would
/// run. Other files in the folder, such as the results of a run, do not count.
pub fn local_digest(path: &Path, is_editable: bool, source: &dyn Source) -> Result<Digest, Error> {
    let is_code = |below: &Path| {
        let ends = ["py", "so", "pyd", "pth"];
        let is_build_file = BUILD_FILES.iter().any(|name| below == Path::new(name));
        is_build_file || below.extension().is_some_and(|end| ends.iter().any(|it| end == *it))
    };
    if is_archive(path) {
        file(path, source)
    } else {
        folder(path, source, |below| !is_editable || is_code(below))
    }
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "html" || end == "htm")
}

/// Of a folder of links, the package managers see the archives in it, and none below.
fn is_archive_in(below: &Path) -> bool {
    below.components().count() == 1 && is_archive(below)
}

fn is_archive(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(name::is_archive)
}

fn read(path: &Path, source: &dyn Source) -> Result<Vec<u8>, Error> {
    source.read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn file(path: &Path, source: &dyn Source) -> Result<Digest, Error> {
    Ok(Digest::of(&read(path, source)?))
}

/// What an installation in place copies into the environment comes from its build files alone.
fn editable(dir: &Path, source: &dyn Source) -> Result<Digest, Error> {
    let mut encoder = Encoder::default();
    let mut is_project = false;
    for name in BUILD_FILES {
        let path = dir.join(name);
        match source.read(&path) {
            Ok(bytes) => {
                is_project = true;
                encoder.text(name);
                encoder.blob(Digest::of(&bytes).as_bytes());
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    if is_project {
        Ok(Digest::of(&encoder.finish()))
    } else {
        Err(Error::NoProject { path: dir.to_owned() })
    }
}

/// The digest over names and contents of the files below `dir` that `counts`.
fn folder(
    dir: &Path,
    source: &dyn Source,
    counts: impl Fn(&Path) -> bool,
) -> Result<Digest, Error> {
    let listed = source.list(dir).map_err(|source| Error::List { path: dir.to_owned(), source })?;
    let mut files: Vec<_> = listed
        .iter()
        .filter_map(|path| Some((path.strip_prefix(dir).ok()?, path)))
        .filter(|(below, _)| !is_by_product(below) && counts(below))
        .collect();
    files.sort_unstable();
    files.dedup();
    let mut encoder = Encoder::default();
    encoder.length(files.len());
    for (below, path) in files {
        encoder.blob(below.as_os_str().as_encoded_bytes());
        encoder.blob(file(path, source)?.as_bytes());
    }
    Ok(Digest::of(&encoder.finish()))
}

/// Whether a file, relative to a project's folder, is no part of its sources: version control,
/// caches, virtualenvs, and what building the project leaves in its folder, which would give it
/// another key after each build.
#[must_use]
pub fn is_by_product(below: &Path) -> bool {
    const FOLDERS: [&str; 14] = [
        ".eggs",
        ".git",
        ".hg",
        ".idea",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "node_modules",
        "venv",
    ];
    let names: Vec<_> = below
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        })
        .collect();
    let (Some((file, folders)), first) = (names.split_last(), names.first()) else {
        return false;
    };
    let is_build = first.is_some_and(|first| first == "build")
        && names.get(1).is_some_and(|second| {
            ["bdist.", "lib", "temp."].iter().any(|start| second.starts_with(start))
        });
    is_build
        || file.ends_with(".pyc")
        || folders.iter().any(|name| FOLDERS.contains(&&**name) || name.ends_with(".egg-info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_products_of_a_build_are_not_counted() {
        for path in [
            "build/lib/pkg/a.py",
            "build/bdist.linux-x86_64/x",
            "src/pkg.egg-info/PKG-INFO",
            "pkg/__pycache__/a.cpython-311.pyc",
            ".git/HEAD",
        ] {
            assert!(is_by_product(Path::new(path)), "{path}");
        }
        for path in ["pyproject.toml", "build/__init__.py", "pkg/build/lib/x.py", "venv.py"] {
            assert!(!is_by_product(Path::new(path)), "{path}");
        }
    }
}
