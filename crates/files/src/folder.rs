//! Open folders, and operations on the names in them.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::access::Access;
use crate::delete::{self, Left};
use crate::mount::{Mount, Place};
use crate::names::{NAMES, NO_LINK, entries, entry};

/// An open folder, in which names are looked up wherever its path leads by now.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// The kind of an entry in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, whatever its target.
    Link,
    /// A socket, a pipe or a device.
    Other,
}

impl Folder {
    /// Creates the folder at this path with these permissions, less the umask's, unless it exists.
    /// Missing folders above it get default permissions, but not everyone may write there,
    /// whatever the umask.
    pub fn make(path: &Path, mode: u32) -> io::Result<()> {
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o775).create(above)?;
        }
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// Creates the outermost folder of a tree as [`make`](Self::make) does, and returns whose files
    /// are trusted in it. Makes nothing where [anyone could replace it](Access::check_above).
    pub fn make_root(path: &Path, mode: u32) -> io::Result<Access> {
        Access::check_above(path)?;
        Self::make(path, mode)?;
        Access::of_root(path)
    }

    /// Opens the folder at this path; links in it are followed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open =
            |how| openat(CWD, path, how | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        // A folder that cannot be listed may still accept files, as some temporary folders do.
        let opened = open(OFlags::RDONLY).or_else(|error| open(NAMES).map_err(|_| error));
        Ok(Self { fd: opened?, path: path.to_owned() })
    }

    /// Opens the folder at this path. A link in its place is refused, those on the way are followed.
    pub(crate) fn open_itself(path: &Path) -> io::Result<Self> {
        let fd = openat(CWD, path, OFlags::RDONLY | NO_LINK, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a folder in this one. A link is refused.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        let fd = openat(&self.fd, entry(name)?, OFlags::RDONLY | NO_LINK, Mode::empty())?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Opens a folder further below. A link anywhere on the way is refused.
    pub fn below(&self, path: &Path) -> io::Result<Self> {
        let mut folder = Self { fd: self.fd.try_clone()?, path: self.path.clone() };
        for name in path {
            folder = folder.folder(name)?;
        }
        Ok(folder)
    }

    /// Returns the path by which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of this entry; `None` if there is none.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Kind>> {
        match statat(&self.fd, entry(name.as_ref())?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Kind::Folder,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns its entries, in no order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = entries(&mut Dir::read_from(&self.fd)?)?;
        Ok(entries.into_iter().map(|(name, _)| OsString::from_vec(name.into_bytes())).collect())
    }

    /// Opens a regular file in it, with these permissions if it is created. Refuses links, and
    /// anything that could block or is not a regular file.
    pub fn open_file(&self, name: impl AsRef<OsStr>, flags: OFlags, mode: u32) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mode = permissions(mode);
        let file = openat(&self.fd, entry(name.as_ref())?, flags, mode)?;
        let file = File::from(file);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
        }
    }

    /// Renames an entry, perhaps into another folder. A link is moved, not followed.
    pub fn rename(
        &self,
        name: impl AsRef<OsStr>,
        to: &Self,
        new: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        Ok(renameat(&self.fd, entry(name.as_ref())?, &to.fd, entry(new.as_ref())?)?)
    }

    /// Deletes an entry other than a folder; of a link, the link itself. Returns false if there is
    /// none.
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        match unlinkat(&self.fd, entry(name.as_ref())?, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes this entry and, if it is a folder, all below it, as [`delete`](crate::delete()) does.
    pub fn delete(&self, name: impl AsRef<OsStr>) -> Result<(), Left> {
        let name = name.as_ref();
        let path = self.path.join(name);
        delete::entry(self.fd(), name, &path)
    }

    /// Returns the open descriptor.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns whether another file system, or another folder, is mounted on this folder in it.
    pub fn is_mount(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        let folder = self.folder(name.as_ref())?;
        Ok(Place::of(folder.fd())?.mount != Place::of(self.fd())?.mount)
    }

    /// Opens a folder in this one if it is on this mount.
    pub(crate) fn folder_on(&self, name: &OsStr, mount: Mount) -> io::Result<Self> {
        let folder = self.folder(name)?;
        if Place::of(folder.fd())?.mount == mount { Ok(folder) } else { Err(Errno::XDEV.into()) }
    }
}

/// Permissions as the system has them: macOS holds them in 16 bits, and none lies above those.
fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate((mode & 0o7777) as rustix::fs::RawMode)
}
