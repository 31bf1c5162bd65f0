//! Files that are there whole or not at all.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, RenameFlags, fsync, linkat, renameat_with};
use rustix::io::Errno;

use crate::folder::Folder;

const PREFIX: &str = ".unfinished-";

/// An action on the open file.
type Action<'a> = &'a dyn Fn(&File) -> io::Result<()>;

/// Returns whether only drafts have such a name: a crash left this file during a write.
#[must_use]
pub fn is_draft(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// Writes a file under a unique temporary name, then renames it.
///
/// A link with the file's name is replaced, not followed. A failed write leaves the old file
/// unchanged.
#[derive(Clone, Copy, Default)]
#[must_use]
pub struct Draft<'a> {
    mode: Option<u32>,
    is_synced: bool,
    is_new: bool,
    before: Option<Action<'a>>,
}

impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, is_synced, is_new, .. } = self;
        write!(f, "Draft {{ mode: {mode:?}, is_synced: {is_synced}, is_new: {is_new} }}")
    }
}

impl<'a> Draft<'a> {
    /// Sets the permissions, less those that the umask takes. Default: 0600.
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Makes the write survive a power cut, with an fsync of the file, and of its folder after the
    /// rename. Default: neither.
    pub fn synced(mut self) -> Self {
        self.is_synced = true;
        self
    }

    /// Fails with `AlreadyExists` if the name is taken. Default: replaces the file.
    pub fn new_only(mut self) -> Self {
        self.is_new = true;
        self
    }

    /// Runs an action on the file before the rename. Default: none.
    pub fn before(mut self, action: Action<'a>) -> Self {
        self.before = Some(action);
        self
    }

    /// Writes the file at this path.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        self.write_in(&Folder::open(above.unwrap_or(Path::new(".")))?, name, bytes)
    }

    /// Writes a file in an open folder.
    pub fn write_in(
        &self,
        folder: &Folder,
        name: impl AsRef<OsStr>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let (file, draft) = loop {
            let draft = format!("{PREFIX}{}", unique());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            match folder.open_file(&draft, flags, self.mode.unwrap_or(0o600)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => break (other?, draft),
            }
        };
        let written = self.fill(file, bytes).and_then(|()| {
            if self.is_new {
                return give_new_name(folder, &draft, name.as_ref());
            }
            folder.rename(&draft, folder, name)
        });
        if let Err(error) = written {
            // Only the failure itself matters.
            let _ = folder.unlink(&draft);
            return Err(error);
        }
        if self.is_synced {
            fsync(folder.fd())?;
        }
        Ok(())
    }

    fn fill(&self, mut file: File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)?;
        if let Some(before) = self.before {
            before(&file)?;
        }
        if self.is_synced { file.sync_all() } else { Ok(()) }
    }
}

fn give_new_name(folder: &Folder, draft: &str, name: &OsStr) -> io::Result<()> {
    match renameat_with(folder.fd(), draft, folder.fd(), name, RenameFlags::NOREPLACE) {
        // Network file systems cannot.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(folder.fd(), draft, folder.fd(), name, AtFlags::empty())?;
            folder.unlink(draft).map(drop)
        }
        other => Ok(other?),
    }
}

/// Returns a name that others are unlikely to pick.
pub(crate) fn unique() -> String {
    // Seeded anew for each of them.
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
