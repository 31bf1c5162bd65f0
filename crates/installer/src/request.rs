//! Requests to an installer.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use envspec::Install;

use crate::deadline::{Deadline, Limit};
use crate::known::Archive;
use crate::progress::Progress;
use crate::settings::Settings;

/// One installation: the packages, the target interpreter, and the limits.
#[derive(Clone)]
#[must_use]
pub struct Request<'a> {
    pub(crate) install: &'a Install,
    pub(crate) python: PathBuf,
    pub(crate) held: &'a [String],
    pub(crate) limit: Limit,
    pub(crate) is_offline: bool,
    pub(crate) is_fresh: bool,
    /// Whether uv writes the resolution as a `pylock.toml`.
    pub(crate) as_file: bool,
    pub(crate) again: &'a [String],
    pub(crate) patience: Option<Duration>,
    pub(crate) lock: Option<Arc<File>>,
    pub(crate) progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    pub(crate) settings: Option<&'a Settings>,
    pub(crate) known: Option<&'a [Archive]>,
}

impl<'a> Request<'a> {
    /// Creates a request for `install` in the environment whose interpreter is `python`.
    ///
    /// Default: no pinned packages, no deadline, and use of the network. A relative `python` starts
    /// at the current folder.
    pub fn new(install: &'a Install, python: &Path) -> Self {
        Self {
            install,
            python: absolute(python),
            held: &[],
            limit: Deadline::NEVER.into(),
            is_offline: false,
            is_fresh: false,
            as_file: false,
            again: &[],
            patience: None,
            lock: None,
            progress: None,
            settings: None,
            known: None,
        }
    }

    /// Replaces the packages, and keeps all other settings.
    pub fn with_install(mut self, install: &'a Install) -> Self {
        self.install = install;
        self
    }

    /// Adds constraint lines (`name==version`) for packages that must not change.
    ///
    /// [`Install::keep`] has only names; the caller, who knows the base, supplies their versions.
    /// Default: none.
    pub fn with_held(mut self, held: &'a [String]) -> Self {
        self.held = held;
        self
    }

    /// Sets the deadline for the whole operation, at which the tool's process group is killed.
    /// Default: none.
    pub fn with_deadline(mut self, limit: impl Into<Limit>) -> Self {
        self.limit = limit.into();
        self
    }

    /// Passes the lock of an open, empty file to the tool's processes, which hold it as long as
    /// they run. So a process that outlives this program still keeps others away from its target.
    ///
    /// Default: none.
    pub fn with_lock(mut self, lock: Arc<File>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Sets the tool's settings, for instance to those that a key was made of.
    ///
    /// Default: [`Settings::read`] at the call, without a base.
    pub fn with_settings(mut self, settings: &'a Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Sets known archives, so that no index is queried: pip takes only these archives, and uv only
    /// its cache. The installation fails if they are not enough. pip fetches an archive again that
    /// its cache has lost.
    ///
    /// Default: none, so indexes are queried.
    pub fn with_known(mut self, known: Option<&'a [Archive]>) -> Self {
        self.known = known;
        self
    }

    /// Sets the observer of progress, called from the thread that waits for the installation.
    ///
    /// Default: none.
    pub fn with_progress(mut self, progress: &'a (dyn Fn(Progress) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Queries indexes and repositories again instead of trusting cached answers. Default: uv, and pip
    /// since 26.2, trust their caches for as long as the index allows.
    pub fn fresh(mut self) -> Self {
        self.is_fresh = true;
        self
    }

    /// Reinstalls these packages: uv bypasses its own cache; pip installs only these, without their
    /// dependencies. Default: installed packages stay, and the cache is used.
    pub fn with_again(mut self, packages: &'a [String]) -> Self {
        self.again = packages;
        self
    }

    /// Sets the time limit for an index's answer, and disables retries. Default: the tool's own
    /// limit, and retries of failures that may be temporary.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Uses only local files: uv its cache, pip the `--find-links` folders.
    ///
    /// Default: the network is used.
    pub fn offline(mut self) -> Self {
        self.is_offline = true;
        self
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { install, python, held, limit, is_offline, is_fresh, again, .. } = self;
        let Self { patience, lock, known, .. } = self;
        f.debug_struct("Request")
            .field("install", install)
            .field("python", python)
            .field("held", held)
            .field("limit", limit)
            .field("is_offline", is_offline)
            .field("is_fresh", is_fresh)
            .field("again", again)
            .field("patience", patience)
            .field("lock", lock)
            .field("known", known)
            .finish_non_exhaustive()
    }
}

/// Makes the path absolute, without looking at the disk.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    // It fails only for an empty path or without a current folder; the tool will say so.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
