//! Packages installed from a folder, an archive or a repository, and the requirements behind them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envspec::{Install, LocalProject, Requirement, normal_name};
use installer::{Outcome, address};

use super::installed::{Installed, Source};
use crate::run::{DiskSource, Error};

/// Returns whether a requirement asks for a package of this normal name from this source, if not
/// from an index. A requirement without a name is recognized by its path.
pub(crate) fn asks_for(requirement: &Requirement, name: &str, source: Option<&str>) -> bool {
    match (requirement.name(), requirement.path(), requirement.url(), source) {
        (Some(own), ..) => normal_name(own) == name,
        (None, Some(path), _, Some(source)) => {
            local_path(source).is_some_and(|from| from == path || real(&from) == real(path))
        }
        (None, _, Some(url), Some(source)) => address(&url) == address(source),
        _ => false,
    }
}

/// Returns whether it names a folder, an archive or a repository rather than a package of an index.
pub(crate) fn is_direct(requirement: &Requirement) -> bool {
    requirement.is_local() || requirement.url().is_some()
}

/// Returns the path of a `file:` URL.
pub(crate) fn local_path(source: &str) -> Option<PathBuf> {
    source.parse::<Requirement>().ok()?.path().map(Into::into)
}

/// Returns the current digest of a local folder or archive; none if it cannot be read.
pub(crate) fn digest_now(path: &Path, is_editable: bool) -> Option<String> {
    let digest = envspec::local_digest(path, is_editable, &DiskSource);
    digest.ok().map(|digest| digest.to_string())
}

/// Returns the digest of the source that a package was just built from: that of a path in the spec,
/// as it was when the spec was read. None for a package installed in place, which may change at any
/// time, and for sources elsewhere.
pub(super) fn digest(source: &Source, install: &Install) -> Option<String> {
    if source.is_editable || source.commit.is_some() {
        return None;
    }
    let path = local_path(&source.url)?;
    let known = install.requirements.iter().any(|it| !it.is_editable() && it.path() == Some(&path));
    let known = install.contents.get(&path).filter(|_| known);
    known.map(ToString::to_string).or_else(|| digest_now(&path, false))
}

/// Fails if a package came from a path on this machine that neither the spec nor the build files of
/// its projects name: its contents are in no key.
pub(super) fn check_places(
    install: &Install,
    now: &Installed,
    outcome: &Outcome,
) -> Result<(), Error> {
    // pip installs it in place from a clone that it makes in the environment.
    let is_cloned = |name: &str| {
        let mut requirements = install.requirements.iter();
        requirements.any(|it| it.is_editable() && it.url().is_some() && asks_for(it, name, None))
    };
    let places = outcome.added.iter().filter_map(|added| {
        let name = normal_name(&added.name);
        let source = now.get(&name)?.source().filter(|_| !is_cloned(&name))?;
        let path = local_path(&source.url).filter(|_| source.commit.is_none())?;
        Some((added, path))
    });
    let mut known: Option<BTreeSet<PathBuf>> = None;
    for (added, path) in places {
        if known.is_none() {
            known = Some(known_places(install)?);
        }
        if !known.as_ref().is_some_and(|known| known.contains(&real(&path))) {
            return Err(Error::UnknownPlace {
                package: added.name.clone(),
                place: path.display().to_string(),
            });
        }
    }
    Ok(())
}

/// Returns the folders and archives that a spec names, and those that their builds name.
fn known_places(install: &Install) -> Result<BTreeSet<PathBuf>, Error> {
    let mut known = BTreeSet::new();
    let lists = [&install.requirements, &install.constraints, &install.overrides];
    for path in lists.into_iter().flatten().filter_map(Requirement::path) {
        known.insert(real(path));
        if path.is_dir() {
            let projects = LocalProject::all(path, &DiskSource).map_err(|source| {
                Error::install(installer::Error::Project { source: Box::new(source) })
            })?;
            let needs = projects.into_iter().flat_map(|project| project.needs);
            known.extend(needs.map(|need| real(&need.path)));
        }
    }
    Ok(known)
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_without_a_name_is_known_by_its_place() {
        for (line, source) in [
            ("/w/proj", "file:///w/proj"),
            ("-e /w/a%20b", "file:///w/a%2520b"),
            ("git+file:///w/r@main#subdirectory=x", "file:///w/r"),
            ("git+file://localhost/w/r", "file:///w/r"),
            ("git+ssh://git@Host/r.git@v1", "ssh://git@host/r.git"),
            ("git+https://me:key@host/r", "https://host/r"),
        ] {
            let requirement: Requirement = line.parse().unwrap();
            assert!(asks_for(&requirement, "any", Some(source)), "{line}");
            assert!(!asks_for(&requirement, "any", Some("file:///w/other")), "{line}");
            assert!(!asks_for(&requirement, "any", None), "{line}");
        }
    }
}
