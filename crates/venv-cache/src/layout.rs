//! The layout of the cache. Every path below the root comes from here.

use std::path::{Path, PathBuf};

use files::{Folder, Kind, Mark};
use rustix::io::Errno;

use crate::error::IoResultExt;
use crate::{Error, Key, Result};

/// Marks a folder as a cache; it also tells backup programs to skip the folder
/// (<https://bford.info/cachedir/>). Caches of other programs have another text in theirs.
pub(crate) const TAG: Mark = Mark {
    name: "CACHEDIR.TAG",
    text: "Signature: 8a477f597d28d172789f06886806bc55\n\
        # This folder is a cache of Python environments; it can be made anew.\n\
        # About cache folders see https://bford.info/cachedir/\n",
};

/// The file that makes an environment exist; written last, removed first.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The recorded sizes of the environment's files; written before the manifest.
pub(crate) const SIZES: &str = "sizes.json";

/// Maximum size of a record of sizes; a longer one is not ours.
pub(crate) const MAX_SIZES: u64 = 256 << 20;

/// The folders and files below a cache's root.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a folder of the cache. The root may be a link to the cache; nothing below it may be.
    pub(crate) fn open(&self, dir: &Path) -> Result<Folder> {
        let root = Folder::open(&self.root).context("open", &self.root)?;
        let below = dir.strip_prefix(&self.root).unwrap_or(dir);
        root.below(below).map_err(|source| match Errno::from_io_error(&source) {
            Some(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                // The outermost one that is not a folder.
                let parts = below.ancestors().filter(|part| !part.as_os_str().is_empty());
                let path =
                    parts.map(|part| self.root.join(part)).filter(|it| !is_folder(it)).last();
                Error::NotAFolder { path: path.unwrap_or(dir.to_owned()) }
            }
            _ => Error::io("open", dir, source),
        })
    }

    /// Opens the parent of this folder, if the parent is a real folder. `None` if the name does not
    /// exist.
    pub(crate) fn open_above(&self, dir: &Path) -> Result<Option<Folder>> {
        let name = dir.file_name().unwrap_or_default();
        let above = self.open(dir.parent().unwrap_or(&self.root))?;
        match above.kind(name).context("read", dir)? {
            None => Ok(None),
            Some(Kind::Folder) => Ok(Some(above)),
            Some(_) => Err(Error::NotAFolder { path: dir.to_owned() }),
        }
    }

    /// Returns the folders that `open` creates.
    pub(crate) fn dirs(&self) -> [PathBuf; 6] {
        [
            self.envs_dir(),
            self.locks_dir(),
            self.interpreters_dir(),
            self.tools_dir(),
            self.shims_dir(),
            self.trash_dir(),
        ]
    }

    /// Returns the folder of the environments. Its name carries the version of their layout.
    pub(crate) fn envs_dir(&self) -> PathBuf {
        self.root.join("envs-v1")
    }

    pub(crate) fn locks_dir(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn interpreters_dir(&self) -> PathBuf {
        self.root.join("interpreters")
    }

    pub(crate) fn tools_dir(&self) -> PathBuf {
        self.root.join("tools")
    }

    pub(crate) fn shims_dir(&self) -> PathBuf {
        self.root.join("shims")
    }

    /// Returns the folder of bases' bytecode, which is made when it is first needed.
    pub(crate) fn bytecode_dir(&self) -> PathBuf {
        self.root.join("bytecode")
    }

    pub(crate) fn trash_dir(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Maps a key to the environment's files; the only place that does.
    pub(crate) fn entry(&self, key: &Key) -> Entry {
        let name = key.to_string();
        Entry { dir: self.envs_dir().join(&name), lock_file: self.locks_dir().join(name + ".lock") }
    }

    /// Returns the lock of evictions. Shared: a builder commits and takes its lease. Exclusive: an
    /// evictor chooses and removes.
    pub(crate) fn eviction_lock_file(&self) -> PathBuf {
        self.locks_dir().join("eviction.lock")
    }

    /// Returns the lock of the trash. Shared: a process is deleting what it put into the trash.
    /// Exclusive: everything in the trash is left over from crashes.
    pub(crate) fn trash_lock_file(&self) -> PathBuf {
        self.locks_dir().join("trash.lock")
    }
}

fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The paths of one environment.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) dir: PathBuf,
    pub(crate) lock_file: PathBuf,
}

impl Entry {
    pub(crate) fn manifest_file(&self) -> PathBuf {
        self.dir.join(MANIFEST)
    }

    pub(crate) fn sizes_file(&self) -> PathBuf {
        self.dir.join(SIZES)
    }
}
