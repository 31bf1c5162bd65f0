//! A [`Source`] without a file system.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// Files held in memory, by absolute path; for tests.
///
/// ```
/// use std::path::Path;
///
/// use envspec::{MemorySource, Source};
///
/// let source = MemorySource::new().with_file("/project/a/b.txt", "text");
/// assert_eq!(source.read(Path::new("/project/a/b.txt"))?, b"text");
/// assert_eq!(source.list(Path::new("/project"))?, [Path::new("/project/a/b.txt")]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemorySource {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemorySource {
    /// Creates a source without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the source with one more file, or with a new text for an existing one.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), contents.into());
        self
    }

    /// Returns the paths of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }
}

impl Source for MemorySource {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Fails with `NotFound` if no file lies below `dir`: folders exist only by their files.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let below: Vec<_> = self
            .paths()
            .filter(|path| *path != dir && path.starts_with(dir))
            .map(Into::into)
            .collect();
        if below.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(below) }
    }
}
