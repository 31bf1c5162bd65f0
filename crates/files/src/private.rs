//! Folders that one user alone may enter.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use crate::access::{Access, Untrusted};
use crate::folder::Folder;

/// Bits of a mode.
const OTHERS: u32 = 0o077;

impl Folder {
    /// Opens the folder at this path, into which this user alone may look, and creates it if it is
    /// missing. Refuses a link, a folder of another user, also of root, and one that others may enter
    /// or replace.
    pub fn private(path: &Path) -> io::Result<Self> {
        Self::make(path, 0o700)?;
        let found = fs::symlink_metadata(path)?;
        if !found.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (owner, mode) = (found.uid(), found.mode() & 0o7777);
        if owner != geteuid().as_raw() {
            return Err(Untrusted::Owner { path: path.to_owned(), owner }.into());
        }
        if mode & OTHERS != 0 {
            let problem = format!("others may enter `{}` (mode {mode:o})", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        Access::of_root(path)?;
        let folder = Self::open(path)?;
        // It is the one that was looked at.
        let opened = rustix::fs::fstat(folder.fd())?;
        if opened.st_ino != found.ino() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::Scratch;

    #[test]
    fn only_a_folder_that_nothing_else_may_enter_is_private() {
        let dir = Scratch::new("private-").unwrap();
        let path = dir.path().join("own");
        Folder::private(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        Folder::private(&path).unwrap();
        for mode in [0o710, 0o701, 0o740, 0o755, 0o777, 0o2770] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Folder::private(&path).unwrap_err();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&path, dir.path().join("link")).unwrap();
        Folder::private(&dir.path().join("link")).unwrap_err();
        fs::write(dir.path().join("file"), "").unwrap();
        Folder::private(&dir.path().join("file")).unwrap_err();
        // Anyone could put another in its place.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Folder::private(&path).unwrap_err();
    }
}
