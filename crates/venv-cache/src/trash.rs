//! Trees to delete: renamed into `trash/` at once, deleted later.
//!
//! Where a rename is impossible (an image's layer below an overlay), a tree is deleted in place,
//! its manifest first, so that it stops being an environment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use files::{Access, Kind, Left};

use crate::error::IoResultExt;
use crate::layout::{Layout, MANIFEST};
use crate::lock::{ExclusiveLock, SharedLock};
use crate::{Error, Result};

/// The folder of trees that are no longer used.
#[derive(Debug)]
pub(crate) struct Trash<'a> {
    layout: &'a Layout,
    access: Access,
    /// One for all that is taken.
    lock: OnceLock<Option<Arc<SharedLock>>>,
}

/// A tree in the trash, or one to delete in place. If this is dropped, the tree stays for the next
/// sweep.
#[derive(Debug)]
#[must_use = "the tree is deleted by `Trash::delete`"]
pub(crate) struct Trashed {
    pub(crate) path: PathBuf,
    #[expect(dead_code, reason = "held so that no sweep meddles with a deletion under way")]
    lock: Option<Arc<SharedLock>>,
    /// The lock of a tree that is deleted in place, held so that no build starts there meanwhile.
    place: Option<ExclusiveLock>,
}

impl Trashed {
    /// Returns whether the tree is still in place, and so must be locked.
    pub(crate) fn is_in_place(&self, layout: &Layout) -> bool {
        !self.path.starts_with(layout.trash_dir())
    }

    pub(crate) fn keep_out_others(&mut self, lock: ExclusiveLock) {
        self.place = Some(lock);
    }
}

impl<'a> Trash<'a> {
    pub(crate) fn new(layout: &'a Layout, access: Access) -> Self {
        Self { layout, access, lock: OnceLock::new() }
    }

    /// Moves a tree into the trash. Does nothing if the tree does not exist; refuses a mount, and
    /// anything but a folder.
    pub(crate) fn take(&self, dir: &Path) -> Result<Option<Trashed>> {
        let Some(above) = self.layout.open_above(dir)? else { return Ok(None) };
        let name = dir.file_name().unwrap_or_default();
        let lock = self.lock()?;
        let trash_dir = self.layout.trash_dir();
        self.layout.open_above(&trash_dir)?;
        self.access.ensure_dir(&trash_dir).context("make", &trash_dir)?;
        let trash = self.layout.open(&trash_dir)?;
        loop {
            let new = unique_name();
            match above.rename(name, &trash, &new) {
                Ok(()) => {
                    return Ok(Some(Trashed { path: trash_dir.join(new), lock, place: None }));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound => return Ok(None),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {}
                    io::ErrorKind::CrossesDevices => {
                        let tree = above.folder(name).context("open", dir)?;
                        tree.unlink(MANIFEST).context("remove", dir.join(MANIFEST))?;
                        return Ok(Some(Trashed { path: dir.to_owned(), lock, place: None }));
                    }
                    io::ErrorKind::ResourceBusy => {
                        return Err(Error::Mounted { dir: dir.to_owned() });
                    }
                    _ => return Err(error).context("move to the trash", dir),
                },
            }
        }
    }

    /// Takes the shared lock; without it, a sweep may help with a deletion, which is safe.
    fn lock(&self) -> Result<Option<Arc<SharedLock>>> {
        if let Some(lock) = self.lock.get() {
            return Ok(lock.clone());
        }
        let lock = match SharedLock::try_acquire(&self.layout.trash_lock_file(), self.access) {
            // If it cannot be created, the tree cannot be moved either, and that error is the one
            // to report.
            Err(error) if error.is_refusal() => None,
            tried => tried?,
        };
        Ok(self.lock.get_or_init(|| lock.map(Arc::new)).clone())
    }

    /// Deletes trees, on all cores. One that cannot be deleted stays for the next sweep, perhaps by
    /// another user; returns the obstacle for each.
    pub(crate) fn delete(&self, trashed: &[Trashed]) -> Vec<Left> {
        let mut left = Vec::new();
        let (in_place, moved): (Vec<_>, Vec<_>) =
            trashed.iter().partition(|trashed| trashed.is_in_place(self.layout));
        for trees in [moved, in_place] {
            let Some(dir) = trees.first().and_then(|trashed| trashed.path.parent()) else {
                continue;
            };
            let names = trees.iter().filter_map(|trashed| trashed.path.file_name());
            let names: Vec<OsString> = names.map(OsStr::to_owned).collect();
            match self.layout.open(dir) {
                Ok(folder) => left.extend(folder.delete_all(&names)),
                Err(error) => tracing::warn!(%error, "left in the trash"),
            }
        }
        for left in &left {
            tracing::warn!(%left, error = %left.source, "for the next sweep");
        }
        left
    }

    /// Deletes what crashes and earlier calls left behind, unless another process is deleting already.
    /// Returns the trees that could not be deleted, with the obstacle for each.
    pub(crate) fn sweep(&self) -> Vec<(PathBuf, Left)> {
        match self.try_sweep() {
            Ok(left) => left,
            Err(Error::ReadOnly { .. }) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "the trash was not emptied");
                Vec::new()
            }
        }
    }

    fn try_sweep(&self) -> Result<Vec<(PathBuf, Left)>> {
        let dir = self.layout.trash_dir();
        if self.layout.open_above(&dir)?.is_none() {
            return Ok(Vec::new());
        }
        let trash = self.layout.open(&dir)?;
        let mut names = trash.names().context("list", &dir)?;
        // Nothing of ours is a link, a pipe or a device, or has a name that we do not give.
        names.retain(|name| {
            is_ours(name) && matches!(trash.kind(name), Ok(Some(Kind::Folder | Kind::File)))
        });
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let lock_file = self.layout.trash_lock_file();
        let Some(_lock) = ExclusiveLock::try_acquire(&lock_file, self.access)? else {
            return Ok(Vec::new());
        };
        let left = trash.delete_all(&names).into_iter().filter_map(|left| {
            tracing::debug!(%left, error = %left.source, "left in the trash");
            let name = left.path.strip_prefix(&dir).ok()?.iter().next()?;
            Some((dir.join(name), left))
        });
        Ok(left.collect())
    }
}

/// Returns a name that no other process or thread picks at this moment.
fn unique_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{now:x}-{:x}-{count:x}", process::id())
}

/// Returns whether [`unique_name`] gives such names.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_number =
        |part: &str| !part.is_empty() && part.chars().all(|digit| digit.is_ascii_hexdigit());
    name.split('-').count() == 3 && name.split('-').all(is_number)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn layout() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("no temporary folder");
        let layout = Layout::new(root.path().to_owned());
        fs::create_dir(layout.locks_dir()).expect("no locks folder");
        (root, layout)
    }

    #[test]
    fn a_tree_that_is_not_there_is_not_taken() {
        let (root, layout) = layout();
        let trash = Trash::new(&layout, Access::Private);
        assert!(trash.take(&root.path().join("nothing")).unwrap().is_none());
    }

    #[test]
    fn a_sweep_leaves_trees_that_are_being_deleted() {
        let (root, layout) = layout();
        let trash = Trash::new(&layout, Access::Private);
        fs::create_dir(root.path().join("env")).unwrap();
        let trashed = trash.take(&root.path().join("env")).unwrap().unwrap();
        trash.sweep();
        assert!(trashed.path.exists());
        let path = trashed.path.clone();
        drop((trashed, trash));
        Trash::new(&layout, Access::Private).sweep();
        assert!(!path.exists());
    }

    #[test]
    fn trees_are_deleted_whole_and_links_in_them_are_not_followed() {
        let (root, layout) = layout();
        let trash = Trash::new(&layout, Access::Private);
        let outside = root.path().join("outside");
        fs::create_dir_all(outside.join("folder")).unwrap();
        let trees: Vec<Trashed> = (0..3)
            .map(|number| {
                let tree = root.path().join(format!("env-{number}"));
                for package in 0..40 {
                    let folder = tree.join(format!("lib/python3/site-packages/{package}/deep/er"));
                    fs::create_dir_all(&folder).unwrap();
                    fs::write(folder.join("module.py"), "x").unwrap();
                    let link = tree.join(format!("lib/python3/site-packages/link-{package}"));
                    std::os::unix::fs::symlink(&outside, link).unwrap();
                }
                fs::set_permissions(tree.join("lib"), Permissions::from_mode(0o500)).unwrap();
                trash.take(&tree).unwrap().unwrap()
            })
            .collect();
        assert!(trash.delete(&trees).is_empty());
        assert_eq!(fs::read_dir(layout.trash_dir()).unwrap().count(), 0);
        assert!(outside.join("folder").is_dir());
    }

    #[test]
    fn a_sweep_takes_only_what_has_a_name_of_ours_and_no_link() {
        let (root, layout) = layout();
        let trash = Trash::new(&layout, Access::Private);
        let victim = root.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "theirs").unwrap();
        fs::create_dir(layout.trash_dir()).unwrap();
        let path = |name: &str| layout.trash_dir().join(name);
        fs::create_dir_all(path("1a-2b-3c/folder")).unwrap();
        std::os::unix::fs::symlink(&victim, path("1a-2b-3d")).unwrap();
        std::os::unix::fs::symlink(&victim, path("1a-2b-3c/folder/link")).unwrap();
        fs::create_dir(path(&unique_name())).unwrap();
        for theirs in ["cache", "1a-2b", "1a-2b-3c-4d", "run-2b-3c"] {
            fs::create_dir(path(theirs)).unwrap();
            fs::write(path(theirs).join("file"), "theirs").unwrap();
        }
        trash.sweep();
        let mut names: Vec<_> = fs::read_dir(layout.trash_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["1a-2b", "1a-2b-3c-4d", "1a-2b-3d", "cache", "run-2b-3c"]);
        assert!(victim.join("file").is_file());
    }

    #[test]
    fn what_is_no_folder_is_not_taken_and_neither_is_anything_into_such_a_trash() {
        let (root, layout) = layout();
        let trash = Trash::new(&layout, Access::Private);
        let victim = root.path().join("victim");
        fs::create_dir(&victim).unwrap();
        let link = root.path().join("env");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let error = trash.take(&link).unwrap_err();
        assert!(matches!(&error, Error::NotAFolder { path } if *path == link), "{error}");
        std::os::unix::fs::symlink(&victim, layout.trash_dir()).unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        let error = trash.take(&root.path().join("other")).unwrap_err();
        assert!(matches!(&error, Error::NotAFolder { path } if *path == layout.trash_dir()));
        trash.sweep();
        assert!(root.path().join("other").is_dir());
    }
}
