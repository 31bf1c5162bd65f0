//! Large trees, deleted on all cores.

use std::ffi::{CString, OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::fs::{Dir, FileType};

use crate::delete::{self, Left};
use crate::folder::{Folder, Kind};
use crate::mount::{Mount, Place};
use crate::names::{entries, os_name};

/// Maximum number of threads: more would only wait for each other.
const MOST_THREADS: usize = 8;

/// From this many folders on, none is split further.
const MANY: usize = 64;

/// Depth of the search below a tree's root: `lib/python3.11/site-packages/package`.
const MOST_LEVELS: usize = 4;

/// A folder to delete, within an open one.
struct Part {
    above: Arc<Folder>,
    name: OsString,
}

impl Folder {
    /// Deletes these entries on all cores. Returns those that could not be deleted, each with the
    /// first obstacle.
    #[must_use]
    pub fn delete_all(&self, names: &[OsString]) -> Vec<Left> {
        delete_all(self, names)
    }
}

fn delete_all(folder: &Folder, names: &[OsString]) -> Vec<Left> {
    if let Ok(place) = Place::of(folder.fd()) {
        let parts = taken_apart(folder, names, place.mount);
        // The deletion of the whole tree below meets any failure here again.
        on_all_cores(&parts, |part| drop(part.above.delete(&part.name)));
    }
    let (left, found) = mpsc::channel();
    on_all_cores(names, |name| {
        let path: PathBuf = folder.path().join(name);
        if let Err(resisting) = delete::entry(folder.fd(), name, &path) {
            // The receiver outlives the threads.
            let _ = left.send(resisting);
        }
    });
    drop(left);
    found.into_iter().collect()
}

/// Returns folders in these trees, enough to keep every core busy to the end; none if the trees
/// themselves are enough.
fn taken_apart(folder: &Folder, names: &[OsString], mount: Mount) -> Vec<Part> {
    if names.len() >= MANY {
        return Vec::new();
    }
    let open = |name: &OsString| folder.folder_on(name, mount).ok();
    let mut parts: Vec<Part> = names.iter().filter_map(open).flat_map(folders_in).collect();
    for _ in 1..MOST_LEVELS {
        if parts.len() >= MANY {
            break;
        }
        let open = |part: &Part| part.above.folder_on(&part.name, mount).ok();
        parts = parts.iter().filter_map(open).flat_map(folders_in).collect();
    }
    parts
}

fn folders_in(above: Folder) -> Vec<Part> {
    let above = Arc::new(above);
    let listed = Dir::read_from(above.fd()).and_then(|mut dir| entries(&mut dir));
    let is_folder = |name: &OsStr, kind| match kind {
        FileType::Unknown => matches!(above.kind(name), Ok(Some(Kind::Folder))),
        known => known == FileType::Directory,
    };
    let part = |(name, kind): (CString, FileType)| {
        let name = os_name(&name);
        is_folder(name, kind).then(|| Part { above: above.clone(), name: name.to_owned() })
    };
    listed.unwrap_or_default().into_iter().filter_map(part).collect()
}

fn on_all_cores<T: Sync>(items: &[T], action: impl Fn(&T) + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let work = || {
        // Each number is given out once, whatever the order of other memory.
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            action(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..cores.min(MOST_THREADS).min(items.len()) {
            // This thread does the work if no other can be started.
            let _ =
                thread::Builder::new().name("curator-files".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
}
