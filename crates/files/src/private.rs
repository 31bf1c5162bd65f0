//! Folders that one user alone may enter.

use std::fs::{self, File, Metadata};
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
        Access::check_above(path)?;
        Self::make(path, 0o700)?;
        // Another user's folder may not even be opened, and gets the better message here.
        check(path, &fs::symlink_metadata(path)?)?;
        Access::of_root(path)?;
        let folder = Self::open_itself(path)?;
        // The folder at the path may be another one by now.
        check(path, &File::from(folder.fd().try_clone_to_owned()?).metadata()?)?;
        Ok(folder)
    }
}

/// Refuses what is no folder, is another user's, or may be entered by others.
fn check(path: &Path, found: &Metadata) -> io::Result<()> {
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
    Ok(())
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

    /// Whatever stands at the path by then, the folder that was opened is private.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_takes_its_place_is_checked_too() {
        use std::sync::atomic::{AtomicBool, Ordering};

        use rustix::fs::{CWD, RenameFlags, renameat_with};

        let dir = Scratch::new("private-").unwrap();
        let [path, open, link] = ["own", "open", "link"].map(|name| dir.path().join(name));
        Folder::private(&path).unwrap();
        Folder::make(&open, 0o755).unwrap();
        symlink(&open, &link).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for other in [&open, &link] {
                        renameat_with(CWD, &path, CWD, other, RenameFlags::EXCHANGE).unwrap();
                        renameat_with(CWD, &path, CWD, other, RenameFlags::EXCHANGE).unwrap();
                    }
                }
            });
            let mut opened = 0;
            for _ in 0..5000 {
                let Ok(folder) = Folder::private(&path) else { continue };
                let found = rustix::fs::fstat(folder.fd()).unwrap();
                assert_eq!(found.st_mode & 0o7777, 0o700);
                opened += 1;
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(opened > 0);
        });
    }
}
