//! Whose files are opened and run.

use std::borrow::Cow;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid, getgroups};

use crate::accounts;

/// Bits of a mode.
const SET_GROUP: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ENTER: u32 = 0o001;
const GROUP_ENTERS: u32 = 0o010;

/// Whose files are opened and run below a folder, and for whom files are made there.
///
/// Files of this user and of root are trusted. A group-writable folder with the set-group-ID bit
/// (mode 2770) *names* its group: files of that group are then trusted too, by its members. The bit
/// is required because no umask sets it, so it is there on purpose; without it, a group-writable
/// folder is refused unless this user is the group's only member. World-writable files and folders
/// are never trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Folders are made with mode 0700.
    Private,
    /// Like the above, below a folder that only this user can enter: a group has no access there,
    /// whatever the modes say.
    Closed,
    /// Folders are made with mode 2770 and this group.
    Group {
        /// The group's number.
        gid: u32,
    },
}

/// Why a file or folder is neither opened nor run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It belongs to a stranger.
    #[error("`{}` belongs to user {owner}, who is not trusted here", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The number of the user it belongs to.
        owner: u32,
    },
    /// It is world-writable.
    #[error("`{}` can be written by everyone (mode {mode:o})", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is writable by a group that the folder does not name.
    #[error("`{}` can be written by group {gid}, which it is not shared with (mode {mode:o})", path.display())]
    Unnamed {
        /// The file or folder.
        path: PathBuf,
        /// The number of the group.
        gid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// It is shared with a group that this process is not in.
    #[error("`{}` is shared with group {gid}, which this user is not in", path.display())]
    NotAMember {
        /// The file or folder.
        path: PathBuf,
        /// The number of the group.
        gid: u32,
    },
    /// A folder on the way to it is in a world-writable one, so anyone may replace it.
    #[error("`{}` can be replaced by everyone, since `{}` has mode {mode:o}", path.display(), above.display())]
    Replaceable {
        /// The file or folder.
        path: PathBuf,
        /// The world-writable folder above it.
        above: PathBuf,
        /// The permissions of that folder.
        mode: u32,
    },
    /// It is a link, a pipe, a device or a folder where a file should be.
    #[error("`{}` is {found} and no file of its own", path.display())]
    NoFile {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It is a link or a file where a folder should be.
    #[error("`{}` is {found} and no folder of its own", path.display())]
    NoFolder {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
}

impl Untrusted {
    /// Returns the reason that an I/O error of this crate carries, if that is why it failed.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns advice on what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Owner { .. } => {
                "use a folder of your own; to share one, its owner gives it a group that you are in \
                 and mode 2770"
            }
            Self::Open { .. } => "check its contents, and take the right away: `chmod o-w`",
            Self::Unnamed { .. } => {
                "`chmod g-w` keeps it your own; `chmod g+s` on the folder shares it with the group, \
                 whose members' programs then run as you"
            }
            Self::NotAMember { .. } => {
                "have this user added to the group, or use a folder of your own; root may use a \
                 folder that belongs to root"
            }
            Self::Replaceable { .. } => {
                "take the right away from the folder above (`chmod o-w`, or `chmod +t`), or use \
                 another place"
            }
            Self::NoFile { .. } => "put a regular file in its place, or remove it",
            Self::NoFolder { .. } => "put a folder in its place, or remove it",
        };
        Some(hint.into())
    }
}

impl From<Untrusted> for io::Error {
    fn from(refused: Untrusted) -> Self {
        Self::other(refused)
    }
}

impl Access {
    /// Reads the rules from a folder's owner, group and mode. Fails if the folder is not trusted.
    ///
    /// Follows a link to the folder: only trusted users can make one in a trusted folder.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(dir)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (mode, gid) = (metadata.mode(), metadata.gid());
        if mode & OTHERS_WRITE == 0 && mode & GROUP_WRITES != 0 && mode & SET_GROUP != 0 {
            if is_member(gid)? || (geteuid().is_root() && metadata.uid() == 0) {
                return Ok(Self::Group { gid });
            }
            return Err(Untrusted::NotAMember { path: dir.to_owned(), gid }.into());
        }
        Self::Private.check(dir, &metadata)?;
        Ok(Self::Private.below(&metadata))
    }

    /// Reads the rules from the outermost folder of a tree, which also must not be replaceable by
    /// anyone.
    ///
    /// Checks all folders above, by the given path and by the real one. It trusts their owners and
    /// groups, who set up the machine; the check of the folder itself detects a stranger's folder
    /// by its owner.
    pub fn of_root(dir: &Path) -> io::Result<Self> {
        let access = Self::of(dir)?;
        Self::check_above(dir)?;
        Ok(access)
    }

    /// Refuses a place for the outermost folder of a tree where anyone could replace it. The folder
    /// and the last ones above it need not be there yet.
    pub fn check_above(dir: &Path) -> io::Result<()> {
        let named = std::path::absolute(dir)?;
        let is_there = |path: &&Path| fs::metadata(path).is_ok();
        let there = named.ancestors().find(is_there).unwrap_or(Path::new("/"));
        let real = fs::canonicalize(there)?;
        let itself = usize::from(there == named);
        for above in there.ancestors().skip(itself).chain(real.ancestors().skip(itself)) {
            let mode = fs::metadata(above)?.mode();
            if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
                let (path, above, mode) = (dir.to_owned(), above.to_owned(), mode & 0o7777);
                return Err(Untrusted::Replaceable { path, above, mode }.into());
            }
        }
        Ok(())
    }

    /// Returns the rules for the contents of a checked folder.
    #[must_use]
    pub fn below(self, folder: &Metadata) -> Self {
        let mode = folder.mode();
        let keeps_others_out = mode & OTHERS_ENTER == 0
            && (mode & GROUP_ENTERS == 0 || accounts::is_alone_in(folder.gid()));
        if self == Self::Private && keeps_others_out { Self::Closed } else { self }
    }

    /// Refuses files that belong to strangers or that strangers may write.
    pub fn check(self, path: &Path, metadata: &Metadata) -> Result<(), Untrusted> {
        let (owner, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        let is_named = matches!(self, Self::Group { gid: named } if named == gid);
        if owner != geteuid().as_raw() && owner != 0 && !is_named {
            return Err(Untrusted::Owner { path: path.to_owned(), owner });
        }
        // The mode of a link says nothing.
        if metadata.is_symlink() {
            return Ok(());
        }
        if mode & OTHERS_WRITE != 0 {
            return Err(Untrusted::Open { path: path.to_owned(), mode });
        }
        let is_harmless = is_named || self == Self::Closed || accounts::is_alone_in(gid);
        if mode & GROUP_WRITES != 0 && !is_harmless {
            return Err(Untrusted::Unnamed { path: path.to_owned(), gid, mode });
        }
        Ok(())
    }

    /// Returns the mode for new files.
    #[must_use]
    pub fn file_mode(self) -> u32 {
        match self {
            Self::Private | Self::Closed => 0o600,
            Self::Group { .. } => 0o660,
        }
    }
}

fn is_member(gid: u32) -> io::Result<bool> {
    Ok(getegid().as_raw() == gid || getgroups()?.iter().any(|group| group.as_raw() == gid))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;
    use crate::{Folder, Scratch};

    proptest! {
        /// World-writable folders are refused, whatever else the mode says; and whatever a folder's
        /// mode is, what is accepted is this user's and names a group only by both bits.
        #[test]
        fn a_mode_is_trusted_only_where_strangers_cannot_write(mode in 0u32..0o10000) {
            let dir = Scratch::new("trust-")?;
            let folder = dir.path().join("folder");
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(mode | 0o700))?;
            let mode = fs::metadata(&folder)?.mode();
            let access = Access::of(&folder);
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            prop_assert_eq!(access.is_err() && mode & 0o020 == 0, mode & 0o022 == 0o002);
            if let Ok(access) = access {
                let is_named = matches!(access, Access::Group { .. });
                prop_assert_eq!(is_named, mode & 0o2020 == 0o2020);
                prop_assert_eq!(access == Access::Closed, !is_named && mode & 0o001 == 0
                    && (mode & 0o010 == 0 || accounts::is_alone_in(getegid().as_raw())));
            } else {
                prop_assert!(mode & 0o022 != 0);
            }
        }
    }

    #[test]
    fn a_world_writable_folder_above_needs_the_sticky_bit() {
        let dir = Scratch::new("trust-").unwrap();
        let root = dir.path().join("above/root");
        fs::create_dir_all(&root).unwrap();
        let above = root.parent().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        for (mode, is_trusted) in [(0o755, true), (0o1777, true), (0o777, false)] {
            fs::set_permissions(above, Permissions::from_mode(mode)).unwrap();
            for path in [&root, &link] {
                let found = Access::of_root(path);
                assert_eq!(found.is_ok(), is_trusted, "{mode:o}: {found:?}");
                // A folder is refused before it is made, by the same rule.
                let new = path.join("new");
                for path in [&new, &new.join("below")] {
                    let made = Folder::make_root(path, 0o700);
                    assert_eq!(made.is_ok(), is_trusted, "{mode:o}: {made:?}");
                }
                assert_eq!(new.exists(), is_trusted, "{mode:o}");
                let _ = fs::remove_dir_all(new);
            }
        }
    }
}
