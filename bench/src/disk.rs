//! The disk usage that an environment adds, measured without the product's own figures.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use curator::venv_cache::BoxError;
use walkdir::{DirEntry, WalkDir};

/// The files and links below a folder, and the bytes that they occupy.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    inodes: HashSet<(u64, u64)>,
}

impl Contents {
    pub(crate) fn of(dir: &Path) -> Result<Self, BoxError> {
        let mut contents = Self::default();
        for entry in WalkDir::new(dir) {
            let metadata = entry?.metadata()?;
            if contents.inodes.insert(inode(&metadata)) {
                contents.bytes += metadata.blocks() * 512;
            }
            contents.files += usize::from(!metadata.is_dir());
        }
        Ok(contents)
    }

    /// Returns the bytes that an environment over this base occupies besides the base's files and
    /// those of one package.
    ///
    /// The files must have been flushed to the disk, since some file systems do not know sizes
    /// earlier.
    pub(crate) fn bytes_beyond(&self, env_dir: &Path, package: &str) -> Result<u64, BoxError> {
        let info = format!("{package}-");
        let is_package = |entry: &DirEntry| {
            let name = entry.file_name().to_string_lossy();
            let in_site = entry.path().parent().is_some_and(|it| it.ends_with("site-packages"));
            in_site && (name == package || name.starts_with(&info))
        };
        let mut met = HashSet::new();
        let mut bytes = 0;
        for entry in WalkDir::new(env_dir).into_iter().filter_entry(|entry| !is_package(entry)) {
            let metadata = entry?.metadata()?;
            let inode = inode(&metadata);
            if !self.inodes.contains(&inode) && met.insert(inode) {
                bytes += metadata.blocks() * 512;
            }
        }
        Ok(bytes)
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
