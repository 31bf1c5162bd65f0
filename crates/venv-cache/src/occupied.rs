//! The size of a file on disk.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Returns the file's size on disk. A file system that allocates late may still report 0.
pub(crate) fn occupied(metadata: &fs::Metadata) -> u64 {
    (metadata.blocks() * 512).max(metadata.len())
}
