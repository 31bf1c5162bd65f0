//! Temporary folders, deleted on drop.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use crate::access::Access;
use crate::delete::Left;
use crate::draft::unique;
use crate::folder::Folder;

/// A private folder (mode 0700) that is deleted on drop, as by [`delete`](crate::delete()).
#[derive(Debug)]
pub struct Scratch {
    above: Folder,
    /// `None` if it must not be deleted any more.
    name: Option<OsString>,
    path: PathBuf,
}

impl Scratch {
    /// Creates one in the system's temporary folder.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Self::new_root(&env::temp_dir(), prefix)
    }

    /// Creates one in a folder of others, unless [anyone could replace it](Access::check_above) there:
    /// what it holds is read back, and run.
    pub fn new_root(dir: &Path, prefix: &str) -> io::Result<Self> {
        Access::check_above(&dir.join(format!("{prefix}{}", unique())))?;
        Self::new_in(dir, prefix)
    }

    /// Creates one in this folder, which belongs to a tree whose rules hold for it.
    pub fn new_in(dir: &Path, prefix: &str) -> io::Result<Self> {
        let above = Folder::open(&std::path::absolute(dir)?)?;
        loop {
            let name = OsString::from(format!("{prefix}{}", unique()));
            let path = above.path().join(&name);
            match mkdirat(above.fd(), &name, Mode::RWXU) {
                Ok(()) => return Ok(Self { above, name: Some(name), path }),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the folder's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it within its parent folder and keeps it.
    pub fn persist(mut self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        let path = self.path.with_file_name(name.as_ref());
        if let Some(old) = &self.name {
            self.above.rename(old, &self.above, name)?;
        }
        self.name = None;
        Ok(path)
    }

    /// Deletes it now, and returns an error for entries that stay.
    pub fn close(mut self) -> Result<(), Left> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), Left> {
        self.name.take().map_or(Ok(()), |name| self.above.delete(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover here is harmless.
        let _ = self.remove();
    }
}
