//! Environments in use, which are not evicted or rewritten while their lock is held.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use files::Access;

use crate::error::IoResultExt;
use crate::inventory::{Difference, Sizes};
use crate::layout::{Entry, MAX_SIZES};
use crate::lock::SharedLock;
use crate::{Key, Manifest, Result};

/// Whether an environment was found or built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It was in the cache.
    Hit,
    /// This call built it.
    Built,
}

/// An environment of the cache, leased so that it stays unchanged.
///
/// It holds the environment's lock, shared with all other users, and that of every environment it
/// needs. Clones share one lock. Dropping the last clone ends the lease, unless a duplicate of
/// [`lease`](Self::lease) is still open.
#[derive(Clone, Debug)]
pub struct CachedEnv {
    inner: Arc<Inner>,
    state: State,
}

#[derive(Debug)]
struct Inner {
    entry: Entry,
    manifest: Manifest,
    access: Access,
    python: PathBuf,
    lock: SharedLock,
    needs: Vec<CachedEnv>,
}

impl CachedEnv {
    pub(crate) fn new(
        entry: Entry,
        manifest: Manifest,
        access: Access,
        needs: Vec<CachedEnv>,
        lock: SharedLock,
        state: State,
    ) -> Self {
        let python = entry.dir.join(&manifest.python);
        Self { inner: Arc::new(Inner { entry, manifest, access, python, lock, needs }), state }
    }

    /// Returns the environment's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.inner.manifest.key
    }

    /// Returns the environment's folder, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.entry.dir
    }

    /// Returns the environment's interpreter, absolute.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.inner.python
    }

    /// Returns the manifest, recorded when the environment was built.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Returns whether this call built the environment or found it.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the open lock file, whose shared lock keeps the environment.
    ///
    /// The lock belongs to the open file, not to this value (`flock(2)`): a duplicate of the
    /// descriptor, passed to a child process or over a socket, keeps the environment for as long
    /// as it is open anywhere, and a process that dies closes it. A child that should hold it
    /// needs the duplicate without the close-on-exec flag. The environments in
    /// [`needs`](Self::needs) stay too: nothing evicts what a kept environment needs.
    ///
    /// Never unlock it: that ends the lease of all who share it.
    #[must_use]
    pub fn lease(&self) -> &File {
        self.inner.lock.file()
    }

    /// Returns the environments that this one needs, leased with it.
    #[must_use]
    pub fn needs(&self) -> &[CachedEnv] {
        &self.inner.needs
    }

    /// Compares all files with the record of the build.
    ///
    /// Returns those that are gone or have another length, except bytecode, which Python rewrites
    /// at any time; added files do not count. Fails if the record cannot be read.
    pub fn differences(&self) -> Result<Vec<Difference>> {
        let path = self.inner.entry.sizes_file();
        let bytes = self.inner.access.read(&path, MAX_SIZES).context("read", &path)?;
        let sizes: Sizes = serde_json::from_slice(&bytes).context("read", &path)?;
        let mut differences = sizes.differences(self.dir()).context("check", self.dir())?;
        differences.retain(|difference| !difference.is_bytecode());
        Ok(differences)
    }
}
