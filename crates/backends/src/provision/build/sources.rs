//! What was installed from a folder, an archive or a repository, and which requirement asked for it.

use std::path::{Path, PathBuf};

use envspec::{Install, Requirement, normal_name};

use super::installed::Source;
use crate::run::DiskSource;

/// Whether a requirement asks for a package of this normal name that came from this source, if not
/// from an index. One without a name is known by its place.
pub(crate) fn asks_for(requirement: &Requirement, name: &str, source: Option<&str>) -> bool {
    match (requirement.name(), requirement.path(), requirement.url(), source) {
        (Some(own), ..) => normal_name(own) == name,
        (None, Some(path), _, Some(source)) => {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            local_path(source).is_some_and(|from| from == path || real(&from) == real(path))
        }
        (None, _, Some(url), Some(source)) => address(&url) == address(source),
        _ => false,
    }
}

/// Whether it names a folder, an archive or a repository rather than a package of an index.
pub(crate) fn is_direct(requirement: &Requirement) -> bool {
    requirement.is_local() || requirement.url().is_some()
}

/// The path behind a `file:` URL.
pub(crate) fn local_path(source: &str) -> Option<PathBuf> {
    source.parse::<Requirement>().ok()?.path().map(Into::into)
}

/// The digest of a local folder or archive as it is now; none where it cannot be read.
pub(crate) fn digest_now(path: &Path, is_editable: bool) -> Option<String> {
    let digest = envspec::local_digest(path, is_editable, &DiskSource);
    digest.ok().map(|digest| digest.to_string())
}

/// The digest of what a package was just built from: of what the spec names, as it was when the
/// spec was read. None of what is installed in place, which may change at any time, and of what
/// lies elsewhere.
pub(super) fn digest(source: &Source, install: &Install) -> Option<String> {
    if source.is_editable || source.commit.is_some() {
        return None;
    }
    let path = local_path(&source.url)?;
    let known = install.requirements.iter().any(|it| !it.is_editable() && it.path() == Some(&path));
    let known = install.contents.get(&path).filter(|_| known);
    known.map(ToString::to_string).or_else(|| digest_now(&path, false))
}

/// A URL without what package managers write in their own ways: the version control system, the
/// reference, the fragment, this host.
fn address(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let is_repository = scheme.contains('+');
    let scheme = scheme.rsplit('+').next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = match path.rsplit_once('@') {
        Some((path, _)) if is_repository => path,
        _ => path,
    };
    let host = if scheme == "file" && host == "localhost" { "" } else { host };
    format!("{scheme}://{}{}", host.to_lowercase(), path.trim_end_matches('/'))
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
