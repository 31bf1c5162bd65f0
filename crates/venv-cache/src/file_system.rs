//! Abilities of the file system below a cache.

use std::fs;
use std::io;

use files::Scratch;

use crate::error::IoResultExt;
use crate::lock::ExclusiveLock;
use crate::{Cache, Error, Result, durable};

/// Capabilities of the file system below a cache, from [`Cache::file_system`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSystem {
    /// Whether it has file locks, without which a cache cannot be used.
    pub locks: bool,
    /// Whether a file can have several names.
    pub hard_links: bool,
    /// Whether files can share their contents until one of them changes (reflinks).
    pub reflinks: bool,
    /// The free space for this user, in bytes.
    pub free_bytes: u64,
}

impl Cache {
    /// Tests what the file system below the cache can do, in a scratch folder.
    ///
    /// Fails if nothing can be written there.
    pub fn file_system(&self) -> Result<FileSystem> {
        let root = self.root();
        let scratch = Scratch::new_in(root, ".probe-").context("create a folder in", root)?;
        let path = |name: &str| scratch.path().join(name);
        let file = path("file");
        durable::write(&file, b"probe", self.access())?;
        let locks = match ExclusiveLock::try_acquire(&file, self.access()) {
            Ok(lock) => lock.is_some(),
            Err(Error::LocksUnsupported { .. }) => false,
            Err(error) => return Err(error),
        };
        let space = rustix::fs::statvfs(root).map_err(io::Error::from).context("measure", root)?;
        Ok(FileSystem {
            locks,
            hard_links: fs::hard_link(&file, path("link")).is_ok(),
            reflinks: reflink_copy::reflink(&file, path("clone")).is_ok(),
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().count();
        let before = names();
        let found = cache.file_system().unwrap();
        assert!(found.locks && found.hard_links && found.free_bytes > 0, "{found:?}");
        assert_eq!(names(), before);
    }
}
