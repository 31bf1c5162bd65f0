//! The files of an environment and their sizes, for detecting damage.
//!
//! A power cut can lose data that was not yet on disk, and syncing every file would cost more than
//! the build. Instead, a build records the sizes, which are compared once after every boot.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::layout::{MANIFEST, SIZES};
use crate::occupied::occupied;
use files::Access;

/// The result of a walk over an environment's folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) sizes: Sizes,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) own_files: u64,
    pub(crate) own_bytes: u64,
}

/// The lengths of files and links, by folder and name; a folder's name is stored once.
///
/// Names that are not UTF-8 are counted but not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sizes(BTreeMap<String, BTreeMap<String, u64>>);

/// A file of an environment that has changed since the build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The file, relative to the environment's folder.
    pub path: PathBuf,
    /// Its length when the environment was built, in bytes; of a link, the length of its text.
    pub recorded: u64,
    /// Its current length in bytes; `None` if it is gone.
    pub found: Option<u64>,
}

/// The links to one file that the walk has met so far.
struct Shared {
    links: u64,
    met: u64,
    occupied: u64,
}

impl Inventory {
    /// Walks over the environment, and sets the modes that the cache's rules ask for, whatever the
    /// builder's umask was.
    pub(crate) fn take(dir: &Path, access: Access) -> io::Result<Self> {
        let mut inventory = Self::default();
        let mut shared: HashMap<(u64, u64), Shared> = HashMap::new();
        for entry in WalkDir::new(dir) {
            let entry = entry?;
            let mut metadata = entry.metadata()?;
            if access.settle(entry.path(), &metadata)? {
                metadata = entry.path().symlink_metadata()?;
            }
            if metadata.is_dir() {
                inventory.own_bytes += occupied(&metadata);
                continue;
            }
            if entry.depth() == 1 && is_ours(entry.file_name()) {
                continue;
            }
            inventory.files += 1;
            inventory.bytes += metadata.len();
            if let Ok(relative) = entry.path().strip_prefix(dir) {
                inventory.sizes.add(relative, metadata.len());
            }
            if metadata.nlink() == 1 {
                inventory.own_files += 1;
                inventory.own_bytes += occupied(&metadata);
            } else {
                let file = shared.entry((metadata.dev(), metadata.ino())).or_insert(Shared {
                    links: metadata.nlink(),
                    met: 0,
                    occupied: occupied(&metadata),
                });
                file.met += 1;
            }
        }
        // Removing the environment frees a file only if all its links lie in it.
        for file in shared.values().filter(|file| file.met == file.links) {
            inventory.own_files += file.met;
            inventory.own_bytes += file.occupied;
        }
        Ok(inventory)
    }
}

impl Sizes {
    fn add(&mut self, relative: &Path, size: u64) {
        let folder = relative.parent().and_then(Path::to_str);
        let name = relative.file_name().and_then(OsStr::to_str);
        if let (Some(folder), Some(name)) = (folder, name) {
            // One lookup per file is enough but for the first of a folder.
            if let Some(files) = self.0.get_mut(folder) {
                files.insert(name.to_owned(), size);
            } else {
                let files = BTreeMap::from([(name.to_owned(), size)]);
                self.0.insert(folder.to_owned(), files);
            }
        }
    }

    /// Returns files that are gone or have another length; added files do not count.
    pub(crate) fn differences(&self, dir: &Path) -> io::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        for (folder, files) in &self.0 {
            let folder = Path::new(folder);
            for (name, &recorded) in files {
                let path = folder.join(name);
                let found = match fs::symlink_metadata(dir.join(&path)) {
                    Ok(metadata) => Some(metadata.len()),
                    Err(error) if is_absence(&error) => None,
                    Err(error) => return Err(error),
                };
                if found != Some(recorded) {
                    differences.push(Difference { path, recorded, found });
                }
            }
        }
        Ok(differences)
    }
}

impl Difference {
    /// Returns whether the file is bytecode, which Python rewrites at any time.
    pub(crate) fn is_bytecode(&self) -> bool {
        self.path.extension() == Some(OsStr::new("pyc"))
            && self.path.parent().and_then(Path::file_name) == Some(OsStr::new("__pycache__"))
    }
}

/// Returns an identifier of this boot of the machine, if the system has one.
pub(crate) fn current_boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned())
    };
    BOOT.get_or_init(read).as_deref()
}

fn is_ours(name: &OsStr) -> bool {
    name == MANIFEST || name == SIZES
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shared_with_the_outside_is_not_own() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir_in(outside.path()).unwrap();
        fs::write(outside.path().join("base"), vec![1; 100_000]).unwrap();
        fs::hard_link(outside.path().join("base"), dir.path().join("linked")).unwrap();
        fs::write(dir.path().join("a"), vec![1; 50_000]).unwrap();
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        fs::write(dir.path().join(MANIFEST), "not counted").unwrap();

        let inventory = Inventory::take(dir.path(), Access::Private).unwrap();
        assert_eq!((inventory.files, inventory.own_files), (3, 2));
        assert_eq!(inventory.bytes, 200_000);
        assert!((50_000..100_000).contains(&inventory.own_bytes), "{}", inventory.own_bytes);
    }

    #[test]
    fn changes_are_found_and_additions_are_not_changes() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lib")).unwrap();
        for name in ["lib/kept", "lib/cut", "gone"] {
            fs::write(dir.path().join(name), "contents").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        let sizes = Inventory::take(dir.path(), Access::Private).unwrap().sizes;
        assert_eq!(sizes.differences(dir.path()).unwrap(), []);

        fs::write(dir.path().join("lib/cut"), "").unwrap();
        fs::write(dir.path().join("lib/added"), "new").unwrap();
        fs::remove_file(dir.path().join("gone")).unwrap();
        assert_eq!(
            sizes.differences(dir.path()).unwrap(),
            [
                Difference { path: "gone".into(), recorded: 8, found: None },
                Difference { path: "lib/cut".into(), recorded: 8, found: Some(0) },
            ]
        );
    }
}
