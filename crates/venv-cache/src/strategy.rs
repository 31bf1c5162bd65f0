//! Strategies by which an environment gets the base's files, and the choice among them.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use files::Scratch;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::base::Base;
use crate::error::{Error, IoResultExt};

/// `f_type` of overlayfs (`OVERLAYFS_SUPER_MAGIC` in `linux/magic.h`).
#[cfg(target_os = "linux")]
const OVERLAYFS: u64 = 0x794c_7630;

/// The way in which an environment gets the files of its base.
///
/// Under each of them folders are real, and so is every file that has to differ from the base's
/// (scripts, `pyvenv.cfg`, `.pth` files); installers, deleted, replaced and new files, and
/// bytecode leave the base alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Every file is a hard link to the base's: the least disk and the fastest start. A program
    /// that edits an installed file *in place* (or changes its mode) edits the base's.
    Hardlink,
    /// Every file is a symbolic link to the base's, in real folders. It works across devices and on
    /// overlayfs. Editing a file in place edits the base's, as with hard links. `compileall -f`
    /// refuses to replace the bytecode of the base's packages, as it does with every link; imports
    /// do replace it.
    Symlink,
    /// Every file is a copy, a reflink where the file system supports them: nothing that happens in
    /// the environment reaches the base.
    Copy,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hardlink => "hardlink",
            Self::Symlink => "symlink",
            Self::Copy => "copy",
        })
    }
}

/// Whether an environment may share files with its base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Files may be links to those of the base: safe against everything but edits in place.
    #[default]
    Allowed,
    /// Every file is a copy.
    Forbidden,
}

/// A strategy and why it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// The strategy.
    pub strategy: Strategy,
    /// Why this one; it displays as words that follow "because".
    pub reason: Reason,
}

/// Why a strategy was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// Hard links work.
    LinksWork,
    /// Full isolation is asked for.
    FullIsolation,
    /// The base is on overlayfs, where a hard link silently copies the file.
    Overlayfs,
    /// The base is on another device.
    OtherDevice,
    /// The kernel refuses a hard link to the base's files.
    LinkRefused,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinksWork => "hard links to the base work",
            Self::FullIsolation => "full isolation is asked for",
            Self::Overlayfs => "the base is on overlayfs, where a hard link copies the file",
            Self::OtherDevice => "the base is on another device",
            Self::LinkRefused => "the system refuses hard links to the base's files",
        })
    }
}

impl Strategy {
    /// Chooses the best strategy for an environment over `base` in the folder `dir`, which is
    /// created if need be. Leaves nothing in it.
    ///
    /// [`Sharing::Forbidden`] takes [`Strategy::Copy`]. Else it is [`Strategy::Hardlink`] where the base
    /// is on the device of `dir` and on no overlayfs, and where one file of the base can indeed be
    /// linked (`fs.protected_hardlinks` refuses files of another owner, and a read-only mount
    /// refuses all); [`Strategy::Symlink`] everywhere else.
    ///
    /// The trial runs in `dir`, and a process killed meanwhile leaves its files there. In the
    /// folder of a [`Site`](crate::Site), they are removed with the unfinished build.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if `dir` cannot be created or written to, or the base not be read.
    pub fn probe(base: &Base, dir: &Path, sharing: Sharing) -> Result<Choice, Error> {
        fs::create_dir_all(dir).context("create", dir)?;
        if sharing == Sharing::Forbidden {
            return Ok(Choice { strategy: Self::Copy, reason: Reason::FullIsolation });
        }
        let device = fs::metadata(dir).context("examine", dir)?.dev();
        for site in base.interpreter().site_dirs() {
            let Ok(metadata) = fs::metadata(site) else { continue };
            if is_overlayfs(site)? {
                return Ok(Choice { strategy: Self::Symlink, reason: Reason::Overlayfs });
            }
            if metadata.dev() != device {
                return Ok(Choice { strategy: Self::Symlink, reason: Reason::OtherDevice });
            }
        }
        match try_link(base, dir) {
            Err(Error::LinkRefused { .. }) => {
                Ok(Choice { strategy: Self::Symlink, reason: Reason::LinkRefused })
            }
            other => other.map(|()| Choice { strategy: Self::Hardlink, reason: Reason::LinksWork }),
        }
    }
}

/// Links one file of the base into a fresh folder in `dir` and takes it away again.
pub(crate) fn try_link(base: &Base, dir: &Path) -> Result<(), Error> {
    for site in base.interpreter().site_dirs() {
        let Some(from) = sample(site) else { continue };
        let scratch = Scratch::new_in(dir, ".probe-").context("create a folder in", dir)?;
        if let Err(source) = fs::hard_link(&from, scratch.path().join("link")) {
            let refused = matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::CrossesDevices
                    | io::ErrorKind::TooManyLinks
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::ReadOnlyFilesystem
            );
            return if refused {
                Err(Error::LinkRefused { from, to: dir.to_path_buf(), source })
            } else {
                Err(source).context("link", from)
            };
        }
    }
    Ok(())
}

/// Returns a file of a site folder that belongs to the folder's owner, as most of its files do.
fn sample(dir: &Path) -> Option<PathBuf> {
    let owner = fs::metadata(dir).ok()?.uid();
    WalkDir::new(dir)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .find(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == owner))
        .map(walkdir::DirEntry::into_path)
}

#[cfg(target_os = "linux")]
fn is_overlayfs(dir: &Path) -> Result<bool, Error> {
    let statfs = rustix::fs::statfs(dir).context("examine the file system of", dir)?;
    Ok(u64::try_from(statfs.f_type).is_ok_and(|magic| magic == OVERLAYFS))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of Linux")]
fn is_overlayfs(_: &Path) -> Result<bool, Error> {
    Ok(false)
}
