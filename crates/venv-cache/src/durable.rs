//! Files that are whole or absent, even after a power cut.

use std::fs::File;
use std::path::Path;

use files::{Access, Draft};

use crate::Result;
use crate::error::IoResultExt;

/// Writes a file through a temporary one beside it: fsync, rename, fsync of the folder.
///
/// A failed write leaves the old file unchanged.
pub(crate) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let share = |file: &File| access.share(file);
    draft(access).before(&share).write(path, bytes).context("write", path)
}

/// Returns how the cache's files are written, before they are shared.
pub(crate) fn draft(access: Access) -> Draft<'static> {
    Draft::default().with_mode(access.file_mode()).synced()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_write_replaces_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"one", Access::Private).unwrap();
        write(&path, b"two", Access::Private).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(write(&path, b"one", Access::Private).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
