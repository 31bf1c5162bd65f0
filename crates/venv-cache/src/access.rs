//! Who may use the cache: its owner alone, or a group if the operator made the folder so.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, fchown};
use std::path::Path;

use crate::error::IoResultExt;
use crate::{Error, Result};

/// Whether the cache is shared with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Folders are made with mode 0700.
    Private,
    /// The root is group-writable: folders are made with mode 2770 and this group.
    Group { gid: u32 },
}

impl Access {
    /// What the mode of the cache's root says.
    pub(crate) fn of(root: &Metadata) -> Self {
        if root.mode() & 0o020 == 0 { Self::Private } else { Self::Group { gid: root.gid() } }
    }

    pub(crate) fn file_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Group { .. } => 0o660,
        }
    }

    /// Makes a folder unless it is there, and refuses one that a stranger owns.
    pub(crate) fn ensure_dir(self, dir: &Path) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {
                let Self::Group { gid } = self else { return Ok(()) };
                if is_refused(chown(dir, None, Some(gid))).context("share", dir)? {
                    // Who is not in the group keeps what they make for themselves.
                    return Ok(());
                }
                fs::set_permissions(dir, Permissions::from_mode(0o2770)).context("share", dir)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.require_trust(dir, &fs::metadata(dir).context("read", dir)?)
            }
            Err(error) => Err(error).context("create", dir),
        }
    }

    /// Gives the group what the umask took from a file that this process made.
    pub(crate) fn share_file(self, file: &File) -> io::Result<()> {
        let Self::Group { gid } = self else { return Ok(()) };
        let metadata = file.metadata()?;
        if metadata.uid() != effective_uid() {
            return Ok(());
        }
        if metadata.gid() != gid && is_refused(fchown(file, None, Some(gid)))? {
            return Ok(());
        }
        if metadata.mode() & 0o777 != self.file_mode() {
            file.set_permissions(Permissions::from_mode(self.file_mode()))?;
        }
        Ok(())
    }

    /// Refuses what belongs neither to this user, nor to root, nor to the group of a shared cache.
    pub(crate) fn require_trust(self, path: &Path, metadata: &Metadata) -> Result<()> {
        let owner = metadata.uid();
        let group = matches!(self, Self::Group { gid } if gid == metadata.gid());
        if owner == effective_uid() || owner == 0 || group {
            Ok(())
        } else {
            Err(Error::Untrusted { path: path.to_owned(), owner })
        }
    }
}

/// Whether the system forbids it, any other failure being one.
fn is_refused(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(true),
        Err(error) => Err(error),
    }
}

fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
