//! The location of an open folder: its mount, and its identity on it.

use std::os::fd::BorrowedFd;

use rustix::fs::{Dev, fstat};
use rustix::io::Result;

/// One mount of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    device: Dev,
    /// Tells bind mounts of one device apart, where the kernel says it.
    id: Option<u64>,
}

/// Identity of a folder, for recognizing it when it is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) mount: Mount,
    inode: u64,
}

impl Place {
    pub(crate) fn of(folder: BorrowedFd<'_>) -> Result<Self> {
        let stat = fstat(folder)?;
        #[allow(
            clippy::allow_attributes,
            clippy::useless_conversion,
            reason = "as wide as the system has them"
        )]
        let (device, inode) = (Dev::from(stat.st_dev), u64::from(stat.st_ino));
        Ok(Self { mount: Mount { device, id: mount_id(folder) }, inode })
    }
}

#[cfg(target_os = "linux")]
fn mount_id(folder: BorrowedFd<'_>) -> Option<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};

    // Old kernels, and filters of system calls that are older than it, do not know it.
    let found = statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
fn mount_id(_: BorrowedFd<'_>) -> Option<u64> {
    None
}
