//! The files that specs refer to, as they are on disk.

use std::io;
use std::path::{Path, PathBuf};

use envspec::Source;

/// Reads what specs refer to from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskSource;

impl Source for DiskSource {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A device may never end; a file does, and an archive may be as large as it likes.
        if std::fs::metadata(path)?.is_file() { std::fs::read(path) } else { self.read_text(path) }
    }

    fn read_text(&self, path: &Path) -> io::Result<Vec<u8>> {
        files::read(path, files::MOST_TEXT)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(dir).follow_links(true).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // A link that leads nowhere, or in a circle, holds nothing.
                Err(error) if error.depth() > 0 && is_idle_link(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            if !entry.file_type().is_dir() {
                files.push(entry.into_path());
            }
        }
        Ok(files)
    }
}

fn is_idle_link(error: &walkdir::Error) -> bool {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    error.loop_ancestor().is_some() || error.io_error().is_some_and(is_missing)
}
