//! Distributions of which a site folder has the metadata more than once, as an installation leaves them
//! that was cut short, or a folder that was copied over another.
//!
//! In an environment each is there once: installers take away one of them, and Python would go on to
//! tell the version of the other.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::record;

/// The metadata folders of a site folder that others of their distribution prevail over.
#[derive(Debug, Default)]
pub(super) struct Doubles {
    /// By the name of the folder, the one that prevails.
    left: BTreeMap<OsString, OsString>,
}

impl Doubles {
    /// Returns the doubles among the entries of a site folder.
    pub(super) fn of(site_dir: &Path, names: &[OsString]) -> Self {
        let mut by_distribution: BTreeMap<String, Vec<&OsStr>> = BTreeMap::new();
        for name in names {
            let text = name.to_str().filter(|text| text.ends_with(".dist-info"));
            if let Some(distribution) = text.and_then(record::distribution) {
                by_distribution.entry(distribution).or_default().push(name);
            }
        }
        let mut left = BTreeMap::new();
        for doubles in by_distribution.into_values().filter(|names| names.len() > 1) {
            let kept = prevailing(site_dir, &doubles);
            let others = doubles.into_iter().filter(|name| Some(*name) != kept);
            left.extend(others.filter_map(|it| Some((it.to_owned(), kept?.to_owned()))));
        }
        Self { left }
    }

    /// Returns whether another one prevails over it.
    pub(super) fn is_left(&self, name: &OsStr) -> bool {
        self.left.contains_key(name)
    }

    /// Returns those that it prevails over.
    pub(super) fn over(&self, name: &OsStr) -> impl Iterator<Item = &OsStr> {
        self.left.iter().filter(move |(_, kept)| *kept == name).map(|(left, _)| left.as_os_str())
    }
}

/// Returns the metadata folder, of several of one distribution, that tells of what lies in a site
/// folder: most of the files that its list has are there in the length that it says. Of equals the
/// newer one.
#[must_use]
pub fn prevailing<'n>(site_dir: &Path, names: &[&'n OsStr]) -> Option<&'n OsStr> {
    let rank = |name: &OsStr| {
        let file = site_dir.join(name).join("RECORD");
        let list = files::read_regular_text(&file).unwrap_or_default();
        let has_length = |line: &&str| {
            let mut parts = line.rsplitn(3, ',');
            let length = parts.next().and_then(|length| length.trim().parse().ok());
            let path = parts.nth(1).map(|path| path.trim_matches('"'));
            let found = path.and_then(|path| fs::metadata(site_dir.join(path)).ok());
            found.is_some_and(|found| Some(found.len()) == length)
        };
        let lines = list.lines().filter(|line| !line.is_empty());
        let missing = lines.clone().count() - lines.filter(has_length).count();
        let written = fs::metadata(&file).and_then(|it| it.modified());
        let is_listed = !list.is_empty();
        (is_listed, usize::MAX - missing, written.unwrap_or(SystemTime::UNIX_EPOCH))
    };
    names.iter().copied().max_by_key(|name| (rank(name), natural(name)))
}

/// Returns a name by whose parts versions are in their order, nearly always.
fn natural(name: &OsStr) -> Vec<(u64, String)> {
    let name = name.to_string_lossy();
    let part = |part: &str| (part.parse().unwrap_or_default(), part.to_owned());
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(part).collect()
}
