//! The sources of an environment's distributions, as the tools note them (PEP 610).

use std::fs;
use std::path::{Path, PathBuf};

use envspec::normal_name;
use serde_json::Value;

/// Returns a URL without the parts that package managers spell differently: the version control
/// system, the reference, the fragment and the local host. URLs that are then equal lead to the
/// same archive or repository.
#[must_use]
pub fn address(url: &str) -> String {
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

/// Returns the metadata folders of the distributions beside an interpreter.
pub(crate) fn metadata_folders(python: &Path) -> impl Iterator<Item = PathBuf> {
    let lib = python.parent().and_then(Path::parent).map(|prefix| prefix.join("lib"));
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let sites = lib.into_iter().flat_map(entries).map(|it| it.path().join("site-packages"));
    let found = sites.flat_map(entries).map(|entry| entry.path());
    found.filter(|path| path.extension().is_some_and(|extension| extension == "dist-info"))
}

/// Returns the normal names of the distributions beside an interpreter.
pub(crate) fn names(python: &Path) -> impl Iterator<Item = String> {
    metadata_folders(python)
        .filter_map(|info| Some(normal_name(info.file_name()?.to_str()?.split_once('-')?.0)))
}

/// Returns the distributions beside an interpreter that came from an archive: their normal names,
/// each with the archive's address.
pub(crate) fn archives(python: &Path) -> impl Iterator<Item = (String, String)> {
    metadata_folders(python).filter_map(|info| {
        let bytes = files::read_regular(&info.join("direct_url.json")).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        value.get("archive_info")?;
        let (name, _) = info.file_name()?.to_str()?.split_once('-')?;
        let url = envspec::redact(value["url"].as_str()?).into_owned();
        Some((normal_name(name), address(&url)))
    })
}
