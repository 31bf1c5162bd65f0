//! Digests of the local files and folders that a spec refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::by_products::is_by_product;
use crate::digest::{Digest, Encoder};
use crate::error::Error;
use crate::install::Install;
use crate::local_project::{LocalProject, Need};
use crate::name;
use crate::page::{is_page, linked_archives};
use crate::requirement::Requirement;
use crate::settings::{self, Named};
use crate::source::Source;
use crate::static_project::StaticProject;
use crate::tool::Tool;

/// The files that determine how a project is built, and its dependencies.
const BUILD_FILES: [&str; 3] = ["pyproject.toml", "setup.cfg", "setup.py"];

/// Returns the digests of everything local that `install` and its settings name.
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
        let projects = LocalProject::all(path, source)?;
        contents.insert(path.to_owned(), project(path, true, &projects, source)?);
    }
    for (path, is_whole) in install.index.local_paths() {
        let digest = if is_whole { index(&path, source)? } else { links(&path, source)? };
        contents.insert(path, digest);
    }
    for path in paths(false) {
        let digest = if name::is_archive_path(path) {
            file(path, source)?
        } else {
            let projects = LocalProject::all(path, source)?;
            for project in &projects {
                project.check_copied(source, |need| has_sources(install, need))?;
            }
            project(path, false, &projects, source)?
        };
        contents.insert(path.to_owned(), digest);
    }
    for one in named {
        let (path, digest) = match one {
            // It is empty, and some sandboxes cannot read it.
            Named::File(path) if path == Path::new("/dev/null") => continue,
            Named::File(path) => (path, file(path, source)),
            Named::Links(path) => (path, links(path, source)),
            Named::Index(path) => (path, index(path, source)),
        };
        match digest {
            // The tools skip missing folders of links, and report a missing index themselves.
            Err(Error::Read { source, .. } | Error::List { source, .. })
                if !matches!(one, Named::File(_)) && source.kind() == io::ErrorKind::NotFound => {}
            digest => {
                contents.insert(path.clone(), digest?);
            }
        }
    }
    Ok(contents)
}

/// Returns the digest of a local archive or of a project's folder, as it counts in a spec.
///
/// For an installation in place, the digest covers every file that Python may import, and the build
/// files. The key of an environment only points to the folder; this digest tells whether the same
/// code would run. Other files in the folder, such as the results of a run, do not count.
pub fn local_digest(path: &Path, is_editable: bool, source: &dyn Source) -> Result<Digest, Error> {
    let is_code = |below: &Path| {
        let ends = ["py", "so", "pyd", "pth"];
        let is_build_file = BUILD_FILES.iter().any(|name| below == Path::new(name));
        is_build_file || below.extension().is_some_and(|end| ends.iter().any(|it| end == *it))
    };
    if name::is_archive_path(path) {
        file(path, source)
    } else if is_editable {
        folder(path, source, |below, all| is_source(below, all) && is_code(below))
    } else {
        project(path, false, &LocalProject::all(path, source)?, source)
    }
}

/// Returns the digest of a page of links, or of a folder of archives and such pages, in which a
/// package manager sees only what is at the top.
fn links(path: &Path, source: &dyn Source) -> Result<Digest, Error> {
    let is_at_top = |below: &Path| below.components().count() == 1;
    offered(path, source, |below| {
        is_at_top(below) && (name::is_archive_path(below) || is_page(below))
    })
}

/// Returns the digest of a folder that is an index, by all its files.
fn index(path: &Path, source: &dyn Source) -> Result<Digest, Error> {
    offered(path, source, |_| true)
}

/// Returns the digest of a page, or of the files in a folder that `counts` accepts, with the archives
/// elsewhere on this machine that its pages link to.
fn offered(
    path: &Path,
    source: &dyn Source,
    counts: impl Fn(&Path) -> bool,
) -> Result<Digest, Error> {
    let is_counted = |linked: &Path| {
        linked.strip_prefix(path).is_ok_and(|below| !is_page(path) && counts(below))
    };
    let (own, pages) = if is_page(path) {
        (file(path, source)?, vec![path.to_owned()])
    } else {
        let listed =
            source.list(path).map_err(|source| Error::List { path: path.to_owned(), source })?;
        let pages = listed.into_iter().filter(|file| is_page(file) && is_counted(file));
        (folder(path, source, |below, _| counts(below))?, pages.collect())
    };
    let mut linked = Vec::new();
    for page in pages {
        let text = String::from_utf8_lossy(&read(&page, source)?).into_owned();
        linked.extend(linked_archives(&page, &text));
    }
    linked.retain(|archive| !is_counted(archive));
    if linked.is_empty() {
        return Ok(own);
    }
    let mut encoder = Encoder::default();
    encoder.blob(own.as_bytes());
    encoder.length(linked.len());
    for archive in linked {
        // The package manager reports an archive that is missing, if it wants that one.
        let digest = file(&archive, source).ok();
        encoder.optional_text(digest.map(|digest| digest.to_string()).as_deref());
    }
    Ok(Digest::of(&encoder.finish()))
}

/// Returns whether a build sees a file in a project's folder: all its sources.
fn is_source(below: &Path, all: &BTreeSet<&Path>) -> bool {
    !is_by_product(below, |path| all.contains(path))
}

fn read(path: &Path, source: &dyn Source) -> Result<Vec<u8>, Error> {
    source.read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn file(path: &Path, source: &dyn Source) -> Result<Digest, Error> {
    Ok(Digest::of(&read(path, source)?))
}

/// Returns whether uv obeys `tool.uv.sources` for a dependency.
fn has_sources(install: &Install, need: &Need) -> bool {
    let is_on = |value: Option<&str>| value.is_none_or(|it| !["0", "false", ""].contains(&it));
    let names_it = |value: Option<&str>| {
        let mut names = value.unwrap_or_default().split([' ', ',']);
        names.any(|name| name::normal_name(name) == need.name)
    };
    let given = settings::parse(install.tool, &install.tool_options).unwrap_or_default();
    let given = given.iter().map(|it| (it.setting.name, it.value.as_deref()));
    let variables = install.build_env.iter().filter_map(|(variable, value)| {
        Some((settings::by_variable(install.tool, variable)?.name, Some(&**value)))
    });
    let is_off = given.chain(variables).any(|(name, value)| match name {
        "no-sources" => is_on(value),
        "no-sources-package" => names_it(value),
        _ => false,
    });
    install.tool == Tool::Uv && !is_off
}

/// Returns the digest of a project's folder and of all other files that its build reads. The digest
/// covers the builds of the projects that it needs, too.
fn project(
    dir: &Path,
    is_editable: bool,
    projects: &[LocalProject],
    source: &dyn Source,
) -> Result<Digest, Error> {
    let own = if is_editable { editable(dir, source)? } else { folder(dir, source, is_source)? };
    let is_alone =
        |it: &LocalProject| it.repository.is_none() && it.history.is_none() && it.needs.is_empty();
    if projects.iter().all(is_alone) {
        return Ok(own);
    }
    let mut encoder = Encoder::default();
    encoder.blob(own.as_bytes());
    for project in projects {
        encoder.tag(u8::from(project.repository.is_some()));
        if let Some(repository) = &project.repository {
            encoder.blob(repository.digest(&project.folder, source)?.as_bytes());
        }
        if let Some(history) = &project.history {
            encoder.blob(history.digest.as_bytes());
        }
        encoder.length(project.needs.len());
        for need in &project.needs {
            encoder.text(&need.name);
            encoder.tag(u8::from(need.is_in_place));
            let digest = if name::is_archive_path(&need.path) {
                file(&need.path, source)?
            } else if need.is_in_place {
                // The environment will point to this path.
                encoder.blob(need.path.as_os_str().as_encoded_bytes());
                editable(&need.path, source)?
            } else {
                folder(&need.path, source, is_source)?
            };
            encoder.blob(digest.as_bytes());
        }
    }
    Ok(Digest::of(&encoder.finish()))
}

/// Returns the digest of a project for an installation in place, which copies the output of the
/// project's build. The build may read any file of the project. If a `pyproject.toml` has all
/// metadata and the build runs no code of the project, Python reads the contents of modules only at
/// their import.
fn editable(dir: &Path, source: &dyn Source) -> Result<Digest, Error> {
    let mut is_project = false;
    for name in BUILD_FILES {
        match source.read(&dir.join(name)) {
            Ok(_) => is_project = true,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => {}
            Err(source) => return Err(Error::Read { path: dir.join(name), source }),
        }
    }
    if !is_project {
        return Err(Error::NoProject { path: dir.to_owned() });
    }
    let Some(project) = StaticProject::read(dir, source) else {
        return folder(dir, source, is_source);
    };
    let mut encoder = Encoder::default();
    let read = folder(dir, source, |below, _| project.reads(below))?;
    encoder.blob(read.as_bytes());
    let listed = source.list(dir).map_err(|source| Error::List { path: dir.to_owned(), source })?;
    let all: BTreeSet<&Path> =
        listed.iter().filter_map(|path| path.strip_prefix(dir).ok()).collect();
    let modules: Vec<_> =
        all.iter().filter(|below| is_module(below) && is_source(below, &all)).collect();
    encoder.length(modules.len());
    for module in modules {
        encoder.blob(module.as_os_str().as_encoded_bytes());
    }
    Ok(Digest::of(&encoder.finish()))
}

/// Returns whether Python may import the file, so that the file's name decides where imports find
/// the project.
fn is_module(below: &Path) -> bool {
    below.extension().is_some_and(|end| ["py", "so", "pyd"].iter().any(|it| end == *it))
}

/// Returns the digest over names and contents of the files below `dir` that `counts` accepts.
fn folder(
    dir: &Path,
    source: &dyn Source,
    counts: impl Fn(&Path, &BTreeSet<&Path>) -> bool,
) -> Result<Digest, Error> {
    let listed = source.list(dir).map_err(|source| Error::List { path: dir.to_owned(), source })?;
    let all = listed.iter().filter_map(|path| path.strip_prefix(dir).ok()).collect();
    let mut files: Vec<_> = listed
        .iter()
        .filter_map(|path| Some((path.strip_prefix(dir).ok()?, path)))
        .filter(|(below, _)| counts(below, &all))
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
