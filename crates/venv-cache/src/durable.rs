//! Files that are there whole or not at all, also after a power cut.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Result;
use crate::access::Access;
use crate::error::IoResultExt;

/// Writes a file by a temporary one beside it: fsync, rename, fsync of the folder.
///
/// All three are here so that no caller can forget one. When it fails, the old file is as it was.
pub(crate) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempfile_in(dir)
        .context("create a file in", dir)?;
    file.write_all(bytes).context("write", path)?;
    access.share_file(file.as_file()).context("share", path)?;
    file.as_file().sync_all().context("sync", path)?;
    file.persist(path).map_err(|failed| failed.error).context("publish", path)?;
    sync_dir(dir)
}

/// Makes the names in a folder durable.
fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).context("sync", dir)
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
