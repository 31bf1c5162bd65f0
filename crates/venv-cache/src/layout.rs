//! Where everything in the cache lies. Every path below the root comes from here.

use std::path::{Path, PathBuf};

use crate::Key;

/// The file by which an environment exists; written last, removed first.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The recorded sizes of the environment's files; written before the manifest.
pub(crate) const SIZES: &str = "sizes.json";

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

    /// Tells backup programs to pass the folder over (<https://bford.info/cachedir/>).
    pub(crate) fn tag_file(&self) -> PathBuf {
        self.root.join("CACHEDIR.TAG")
    }

    /// The folders that `open` makes.
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

    /// The environments. Its name carries the version of their shape.
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

    pub(crate) fn trash_dir(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// The one way from a key to the environment's files.
    pub(crate) fn entry(&self, key: &Key) -> Entry {
        let name = key.to_string();
        Entry { dir: self.envs_dir().join(&name), lock_file: self.locks_dir().join(name + ".lock") }
    }

    /// Shared: a builder commits and takes its lease. Exclusive: an evictor chooses and removes.
    pub(crate) fn eviction_lock_file(&self) -> PathBuf {
        self.locks_dir().join("eviction.lock")
    }

    /// Shared: somebody deletes what they put into the trash. Exclusive: all that is there is left
    /// over from a crash.
    pub(crate) fn trash_lock_file(&self) -> PathBuf {
        self.locks_dir().join("trash.lock")
    }
}

/// Where one environment lies.
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
