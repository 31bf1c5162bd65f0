//! Trees on their way out: renamed into `trash/` at once, deleted at leisure.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use walkdir::WalkDir;

use crate::access::Access;
use crate::error::IoResultExt;
use crate::layout::Layout;
use crate::lock::{ExclusiveLock, SharedLock};
use crate::{Error, Result};

/// Deleting a tree may lose races against others who delete it too; each try gets further.
const ATTEMPTS: usize = 8;

/// More threads than this wait for each other rather than delete.
const MOST_THREADS: usize = 8;

/// With so many folders to delete, none of them is taken apart any more.
const MANY: usize = 64;

/// How far below a tree's root that is looked for: `lib/python3.11/site-packages/package`.
const MOST_LEVELS: usize = 4;

/// The folder of trees that nobody uses any more.
#[derive(Debug)]
pub(crate) struct Trash<'a> {
    layout: &'a Layout,
    access: Access,
}

/// A tree in the trash. Dropped, it stays there for the next sweep.
#[derive(Debug)]
#[must_use = "the tree is deleted by `Trash::delete`"]
pub(crate) struct Trashed {
    path: PathBuf,
    #[expect(dead_code, reason = "held so that no sweep meddles with a deletion under way")]
    lock: Option<SharedLock>,
}

impl<'a> Trash<'a> {
    pub(crate) fn new(layout: &'a Layout, access: Access) -> Self {
        Self { layout, access }
    }

    /// Moves a tree out of the way. Nothing is moved if the tree is not there.
    pub(crate) fn take(&self, dir: &Path) -> Result<Option<Trashed>> {
        // Without the lock a sweep may help with the deletion, which is safe.
        let lock = SharedLock::try_acquire(&self.layout.trash_lock_file(), self.access)?;
        self.access.ensure_dir(&self.layout.trash_dir())?;
        loop {
            let path = self.layout.trash_dir().join(unique_name());
            match fs::rename(dir, &path) {
                Ok(()) => return Ok(Some(Trashed { path, lock })),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound => return Ok(None),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {}
                    _ => return Err(error).context("move to the trash", dir),
                },
            }
        }
    }

    /// Deletes trees, on all cores. One that resists stays for the next sweep, by somebody else
    /// perhaps.
    pub(crate) fn delete(trashed: &[Trashed]) {
        let trees: Vec<PathBuf> = trashed.iter().map(|trashed| trashed.path.clone()).collect();
        let parts = taken_apart(&trees);
        if parts != trees {
            // What resists here is met again below.
            on_all_cores(&parts, |part| drop(delete_tree(part)));
        }
        on_all_cores(&trees, |tree| {
            if let Err(error) = delete_tree(tree) {
                tracing::warn!(path = %tree.display(), %error, "left in the trash");
            }
        });
    }

    /// Deletes what crashes left behind, unless somebody is deleting already.
    pub(crate) fn sweep(&self) {
        match self.try_sweep() {
            Ok(()) | Err(Error::ReadOnly { .. }) => {}
            Err(error) => tracing::warn!(%error, "the trash was not emptied"),
        }
    }

    fn try_sweep(&self) -> Result<()> {
        let dir = self.layout.trash_dir();
        let mut entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.context("list", &dir)?.peekable(),
        };
        if entries.peek().is_none() {
            return Ok(());
        }
        let lock_file = self.layout.trash_lock_file();
        let Some(_lock) = ExclusiveLock::try_acquire(&lock_file, self.access)? else {
            return Ok(());
        };
        for entry in entries {
            let path = entry.context("list", &dir)?.path();
            if let Err(error) = delete_tree(&path) {
                tracing::debug!(path = %path.display(), %error, "left in the trash");
            }
        }
        Ok(())
    }
}

/// A name that no other process or thread picks at this moment.
fn unique_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{now:x}-{:x}-{count:x}", process::id())
}

/// Folders in these trees: enough of them that no core is left without work at the end.
fn taken_apart(trees: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = trees.to_vec();
    for _ in 0..MOST_LEVELS {
        if folders.len() >= MANY {
            break;
        }
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
        folders = below.map(|entry| entry.path()).collect();
    }
    folders
}

fn on_all_cores(paths: &[PathBuf], action: impl Fn(&Path) + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let work = || {
        // Each number is given out once, whatever the order of other memory.
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            action(path);
        }
    };
    thread::scope(|scope| {
        for _ in 1..cores.min(MOST_THREADS).min(paths.len()) {
            scope.spawn(work);
        }
        work();
    });
}

fn delete_tree(path: &Path) -> io::Result<()> {
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        let deleted = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match deleted {
            Ok(()) => return Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    // Somebody else deletes it too: it may be gone, or only a part of it.
                    if fs::symlink_metadata(path).is_err() {
                        return Ok(());
                    }
                    last = Err(error);
                }
                io::ErrorKind::PermissionDenied => {
                    make_deletable(path);
                    last = Err(error);
                }
                _ => last = Err(error),
            },
        }
    }
    last
}

/// A folder without write permission keeps its entries; a package may well ship one.
fn make_deletable(path: &Path) {
    let folders = WalkDir::new(path).into_iter().flatten().filter(|e| e.file_type().is_dir());
    for folder in folders {
        // Whose permissions cannot be changed is found by the deletion.
        let _ = fs::set_permissions(folder.path(), Permissions::from_mode(0o700));
    }
}

#[cfg(test)]
mod tests {
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
    fn a_sweep_leaves_what_somebody_is_deleting() {
        let (root, layout) = layout();
        let trash = Trash::new(&layout, Access::Private);
        fs::create_dir(root.path().join("env")).unwrap();
        let trashed = trash.take(&root.path().join("env")).unwrap().unwrap();
        trash.sweep();
        assert!(trashed.path.exists());
        let path = trashed.path.clone();
        drop(trashed);
        trash.sweep();
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
        Trash::delete(&trees);
        assert_eq!(fs::read_dir(layout.trash_dir()).unwrap().count(), 0);
        assert!(outside.join("folder").is_dir());
    }

    #[test]
    fn several_may_delete_the_same_tree_at_once() {
        let (_root, layout) = layout();
        let tree = layout.trash_dir().join("tree");
        for folder in 0..50 {
            let folder = tree.join(folder.to_string());
            fs::create_dir_all(&folder).unwrap();
            for file in 0..20 {
                fs::write(folder.join(file.to_string()), "x").unwrap();
            }
        }
        thread::scope(|scope| {
            let deleters: Vec<_> = (0..4).map(|_| scope.spawn(|| delete_tree(&tree))).collect();
            for deleter in deleters {
                deleter.join().unwrap().unwrap();
            }
        });
        assert!(!tree.exists());
    }
}
