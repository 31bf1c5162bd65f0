//! The state of Mercurial, Subversion and Bazaar work trees, which a project's build may ask for.
//! It is read from the systems' own files.

use std::path::{Path, PathBuf};

use crate::digest::{Digest, Encoder};
use crate::source::Source;

/// Each system's name, its folder, and the files in the folder that hold the work tree's state.
const SYSTEMS: [(&str, &str, &[&str]); 3] = [
    (
        "Mercurial",
        ".hg",
        &[
            "store/00changelog.i",
            "store/00changelog.d",
            "dirstate",
            "branch",
            "bookmarks",
            "bookmarks.current",
            "localtags",
        ],
    ),
    ("Subversion", ".svn", &["wc.db", "entries"]),
    ("Bazaar", ".bzr", &["branch/last-revision", "branch/tags"]),
];

/// A work tree of another system than git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// The system's name.
    pub(crate) system: &'static str,
    /// The top of the work tree.
    pub(crate) root: PathBuf,
    /// The digest of its state.
    pub(crate) digest: Digest,
}

impl History {
    /// Returns whether a folder is its top.
    pub(crate) fn is_of(&self, folder: &Path, source: &dyn Source) -> bool {
        source.real_dir(folder).map_or(self.root == folder, |folder| self.root == folder)
    }

    /// Finds the work tree that a folder lies in, links resolved.
    pub(crate) fn find(folder: &Path, source: &dyn Source) -> Option<Self> {
        let folder = source.real_dir(folder).unwrap_or_else(|_| folder.to_owned());
        folder.ancestors().find_map(|root| {
            SYSTEMS.iter().find_map(|&(system, dir, files)| {
                let dir = root.join(dir);
                let states: Vec<Option<Vec<u8>>> = files
                    .iter()
                    .map(|file| Some(state(file, source.read(&dir.join(file)).ok()?)))
                    .collect();
                if states.iter().all(Option::is_none) {
                    return None;
                }
                let mut encoder = Encoder::new("history");
                encoder.text(system);
                for state in states {
                    encoder.tag(u8::from(state.is_some()));
                    encoder.blob(&state.unwrap_or_default());
                }
                let digest = Digest::of(&encoder.finish());
                Some(Self { system, root: root.to_owned(), digest })
            })
        })
    }
}

/// Returns the part of a file's contents that counts. Mercurial's `dirstate` begins with the two
/// parents; the rest holds the times at which Mercurial saw each file.
fn state(file: &str, mut contents: Vec<u8>) -> Vec<u8> {
    const MARK: &[u8] = b"dirstate-v2\n";
    if file == "dirstate" {
        let parents = if contents.starts_with(MARK) { MARK.len() + 64 } else { 40 };
        contents.truncate(parents);
    }
    contents
}
