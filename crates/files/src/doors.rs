//! Opening and making files by the rules of [`Access`].
//!
//! Opening follows no link in the file's place and does not wait for the other end of a pipe. The
//! check uses the open descriptor, so the file cannot be swapped between check and use.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::access::{Access, Untrusted};
use crate::bounded::read_from;
use crate::draft::Draft;

impl Access {
    /// Opens a file to read.
    pub fn open(self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().read(true).custom_flags(guarded()).open(path);
        self.admit(path, file)
    }

    /// Reads a whole file. Fails if it is longer than `limit` bytes.
    pub fn read(self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        read_from(self.open(path)?, limit)
    }

    /// Checks a folder that must not be a link, and gives the rules for what lies in it.
    pub fn enter(self, dir: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(dir)?;
        if !metadata.is_dir() {
            let found = if metadata.is_symlink() { "a link" } else { "a file" };
            return Err(Untrusted::NoFolder { path: dir.to_owned(), found }.into());
        }
        self.check(dir, &metadata)?;
        Ok(self.below(&metadata))
    }

    /// Checks a program before it runs. It may be a link to a program elsewhere; the owner of the
    /// link vouches for the target, whose owner is not checked.
    pub fn check_program(self, path: &Path) -> io::Result<()> {
        self.check(path, &fs::symlink_metadata(path)?)?;
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            let found = if metadata.is_dir() { "a folder" } else { "a pipe or device" };
            return Err(Untrusted::NoFile { path: path.to_owned(), found }.into());
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o002 != 0 {
            return Err(Untrusted::Open { path: fs::canonicalize(path)?, mode }.into());
        }
        Ok(())
    }

    /// Opens a file for locking, creating it if needed, and shares it. A file that may not be
    /// written is opened for reading, which is enough for a lock; if that also fails, returns the
    /// error of writing.
    pub fn open_lock(self, path: &Path) -> io::Result<File> {
        let written = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(self.file_mode())
            .custom_flags(guarded())
            .open(path);
        match written {
            Err(error) if is_refusal(&error) => match self.open(path) {
                Err(other) if Untrusted::of(&other).is_none() => Err(error),
                opened => opened,
            },
            opened => {
                let file = self.admit(path, opened)?;
                self.share(&file)?;
                Ok(file)
            }
        }
    }

    /// Creates a folder unless it exists. Checks an existing one, and shares it if it is this
    /// user's.
    pub fn ensure_dir(self, dir: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let metadata = fs::metadata(dir)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        // A folder of a group belongs to the group only once it is shared.
        if let (Self::Group { gid }, true) = (self, is_own(&metadata))
            && (metadata.gid() != gid || metadata.mode() & 0o2070 != 0o2070)
        {
            let folder = File::open(dir)?;
            if metadata.gid() != gid {
                fchown(&folder, None, Some(gid))?;
            }
            folder.set_permissions(Permissions::from_mode((metadata.mode() & 0o7777) | 0o2070))?;
            return Ok(self.check(dir, &folder.metadata()?)?);
        }
        Ok(self.check(dir, &metadata)?)
    }

    /// Replaces a file atomically: writes it beside the old one and renames it.
    pub fn replace(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let share = |file: &File| self.share(file);
        Draft::default().with_mode(self.file_mode()).before(&share).write(path, bytes)
    }

    /// Restores the group's permissions that the umask took from a file of this user.
    ///
    /// A file with a second name keeps its mode: it may be another file of this user that others
    /// have linked here.
    pub fn share(self, file: &File) -> io::Result<()> {
        let Self::Group { gid } = self else { return Ok(()) };
        let metadata = file.metadata()?;
        if !is_own(&metadata) || !metadata.is_file() || metadata.nlink() > 1 {
            return Ok(());
        }
        if metadata.gid() != gid {
            fchown(file, None, Some(gid))?;
        }
        if metadata.mode() & 0o777 != self.file_mode() {
            file.set_permissions(Permissions::from_mode(self.file_mode()))?;
        }
        Ok(())
    }

    /// Sets the modes that the rules ask for on a file or folder in a tree that this process has
    /// made, whatever the umask was: a group may read everything and write to folders, and others
    /// may write nothing. Returns whether anything changed.
    ///
    /// A file with other names outside of the tree keeps its mode, and is replaced by a copy where
    /// the group could not read it.
    pub fn settle(self, path: &Path, metadata: &Metadata) -> io::Result<bool> {
        if !is_own(metadata) {
            return Ok(false);
        }
        let group = match self {
            Self::Group { gid } => Some(gid),
            Self::Private | Self::Closed => None,
        };
        let has_group = group.is_none_or(|gid| gid == metadata.gid());
        let old = metadata.mode() & 0o7777;
        if metadata.is_symlink() {
            if !has_group {
                lchown(path, None, group)?;
            }
            return Ok(!has_group);
        }
        let new = match self {
            Self::Closed => old & !0o002,
            Self::Private => old & !0o022,
            Self::Group { .. } if metadata.is_dir() => (old | 0o2070) & !0o002,
            Self::Group { .. } => (old | (old & 0o700) >> 3) & !0o002,
        };
        if has_group && new == old {
            return Ok(false);
        }
        if metadata.is_file() && metadata.nlink() > 1 {
            let reads = if has_group { 0o044 } else { 0o004 };
            if group.is_none() || old & reads != 0 {
                return Ok(false);
            }
            copy_in_place(path, metadata)?;
        } else if !metadata.is_file() && !metadata.is_dir() {
            return Ok(false);
        }
        if let Some(gid) = group {
            lchown(path, None, Some(gid))?;
        }
        // After the group, whose change takes the set-group-ID bit away.
        fs::set_permissions(path, Permissions::from_mode(new))?;
        Ok(true)
    }

    /// Checks an opened file, and reports an open that failed on something other than a file in the
    /// same way.
    fn admit(self, path: &Path, opened: io::Result<File>) -> io::Result<File> {
        let no_file = |found| Err(Untrusted::NoFile { path: path.to_owned(), found }.into());
        let file = match opened {
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::LOOP) => return no_file("a link"),
                Some(Errno::ISDIR) => return no_file("a folder"),
                // A socket, or a pipe without a reader.
                Some(Errno::NXIO) => return no_file("a socket or pipe"),
                _ => return Err(error),
            },
            Ok(file) => file,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return no_file(if metadata.is_dir() { "a folder" } else { "a pipe or device" });
        }
        self.check(path, &metadata)?;
        Ok(file)
    }
}

/// Returns whether an error means that this user may not write here, though perhaps read.
#[must_use]
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn guarded() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw()
}

/// Replaces a linked name by its own copy of the file, with the same contents, mode and times.
fn copy_in_place(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let modified = metadata.modified()?;
    // Python matches bytecode to its source by the modification time.
    let keep = |file: &File| file.set_modified(modified);
    let draft = Draft::default().with_mode(metadata.mode() & 0o7777);
    draft.before(&keep).write(path, &fs::read(path)?)
}
