//! Folders that go away with a value.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use crate::delete::Left;
use crate::draft::unique;
use crate::folder::Folder;

/// A private folder (mode 0700) that is deleted, as [`delete`](crate::delete()) does it, with the
/// value.
#[derive(Debug)]
pub struct Scratch {
    above: Folder,
    /// `None` if it is not to be deleted any more.
    name: Option<OsString>,
    path: PathBuf,
}

impl Scratch {
    /// Makes one in the folder for temporary files.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Self::new_in(&env::temp_dir(), prefix)
    }

    /// Makes one in this folder.
    pub fn new_in(dir: &Path, prefix: &str) -> io::Result<Self> {
        let above = Folder::open(&std::path::absolute(dir)?)?;
        loop {
            let name = OsString::from(format!("{prefix}{}", unique()));
            match mkdirat(above.fd(), &name, Mode::RWXU) {
                Ok(()) => {
                    let path = above.path().join(&name);
                    return Ok(Self { above, name: Some(name), path });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another name beside its own, by which it stays.
    pub fn persist(mut self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        let path = self.path.with_file_name(name.as_ref());
        if let Some(old) = &self.name {
            self.above.rename(old, &self.above, name)?;
        }
        self.name = None;
        Ok(path)
    }

    /// Deletes it now, and tells what stays.
    pub fn close(mut self) -> Result<(), Left> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), Left> {
        self.name.take().map_or(Ok(()), |name| self.above.delete(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is in nobody's way.
        let _ = self.remove();
    }
}
