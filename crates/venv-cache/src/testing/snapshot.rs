//! A snapshot of a whole tree, to prove that nothing in it has changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Everything below a folder: path, kind, mode, modification time, size and content. Two snapshots
/// are equal if no byte has changed between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeMap<PathBuf, String>,
}

impl Snapshot {
    /// Reads the whole tree; links are not followed.
    ///
    /// # Errors
    ///
    /// If something in the tree cannot be read.
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut entries = BTreeMap::new();
        for entry in WalkDir::new(root) {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let content = if metadata.is_file() {
                hex::encode(Sha256::digest(fs::read(entry.path())?))
            } else if metadata.is_symlink() {
                fs::read_link(entry.path())?.display().to_string()
            } else {
                String::new()
            };
            let (mode, size) =
                (metadata.mode(), if metadata.is_dir() { 0 } else { metadata.len() });
            let modified = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
            entries.insert(
                entry.into_path(),
                format!("mode {mode:o} modified {modified} size {size} {content}"),
            );
        }
        Ok(Self { entries })
    }

    /// Returns the number of entries, folders included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether even the root is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the differences, a line each: `- path …` only here, `+ path …` only in `later`;
    /// empty if the two are equal.
    #[must_use]
    pub fn difference(&self, later: &Self) -> Vec<String> {
        let gone =
            self.entries.iter().filter(|(path, seen)| later.entries.get(*path) != Some(seen));
        let come =
            later.entries.iter().filter(|(path, seen)| self.entries.get(*path) != Some(seen));
        let line = |sign: char| {
            move |(path, seen): (&PathBuf, &String)| format!("{sign} {} {seen}", path.display())
        };
        gone.map(line('-')).chain(come.map(line('+'))).collect()
    }
}
