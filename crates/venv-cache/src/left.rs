//! Remains of removed environments that could not be deleted.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::Key;
use crate::occupied::occupied;

/// The remains of a removed environment in the trash: in a shared cache, files that another user's
/// processes wrote. They go when that user next opens the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The environment's key; none if an earlier call removed it.
    pub key: Option<Key>,
    /// The path of the remains.
    pub dir: PathBuf,
    /// The size of the remains on disk, in bytes.
    pub bytes: u64,
    /// The folder whose files could not be deleted.
    pub path: PathBuf,
    /// The number of that folder's owner.
    pub owner: u32,
    /// What the operating system said.
    pub problem: String,
}

impl Left {
    /// Examines the remains of a tree; `None` if it is gone after all.
    pub(crate) fn of(key: Option<Key>, dir: &Path, problem: impl fmt::Display) -> Option<Self> {
        let own = rustix::process::geteuid().as_raw();
        let top = fs::symlink_metadata(dir).ok()?;
        let mut culprit = None;
        let mut bytes = 0;
        for entry in WalkDir::new(dir).into_iter().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            // Deleting a file with other names outside frees nothing.
            if metadata.is_dir() || metadata.nlink() == 1 {
                bytes += occupied(&metadata);
            }
            if metadata.is_dir() && metadata.uid() != own && metadata.mode() & 0o020 == 0 {
                culprit.get_or_insert((entry.path().to_owned(), metadata.uid()));
            }
        }
        let (path, owner) = culprit.unwrap_or_else(|| (dir.to_owned(), top.uid()));
        Some(Self { key, dir: dir.to_owned(), bytes, path, owner, problem: problem.to_string() })
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, bytes, path, owner, .. } = self;
        let path = path.display();
        let environment = match key {
            Some(key) => format!("environment `{key}`"),
            None => "an environment that was removed before".to_owned(),
        };
        write!(f, "{bytes} bytes of {environment} are left in `{path}`, of user {owner}")
    }
}
