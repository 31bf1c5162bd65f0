//! The files that specs refer to, as they are on disk.

use std::io;
use std::path::{Path, PathBuf};

use envspec::Source;

/// Reads what specs refer to from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskSource;

impl Source for DiskSource {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
            let entry = entry.map_err(io::Error::from)?;
            if !entry.file_type().is_dir() {
                files.push(entry.into_path());
            }
        }
        Ok(files)
    }
}
