//! What is asked of an installer.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use envspec::Install;

use crate::deadline::{Deadline, Limit};
use crate::progress::Progress;
use crate::settings::Settings;

/// One installation: what, into which interpreter's environment, and within which limits.
#[derive(Clone)]
#[must_use]
pub struct Request<'a> {
    pub(crate) install: &'a Install,
    pub(crate) python: PathBuf,
    pub(crate) held: &'a [String],
    pub(crate) limit: Limit,
    pub(crate) is_offline: bool,
    pub(crate) is_fresh: bool,
    /// Whether a resolution is written down as a `pylock.toml`, by a uv.
    pub(crate) as_file: bool,
    pub(crate) again: &'a [String],
    pub(crate) patience: Option<Duration>,
    pub(crate) lock: Option<Arc<File>>,
    pub(crate) progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    pub(crate) settings: Option<&'a Settings>,
}

impl<'a> Request<'a> {
    /// Asks for `install` in the environment whose interpreter is `python`.
    ///
    /// By default, nothing is held, there is no deadline, and the network is used. A relative
    /// `python` is taken from the current folder.
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
        }
    }

    /// Asks for something else in the same way.
    pub fn with_install(mut self, install: &'a Install) -> Self {
        self.install = install;
        self
    }

    /// Adds constraint lines (`name==version`) for packages that must not move.
    ///
    /// [`Install::keep`] has names alone; whoever knows the base knows their versions. By default,
    /// nothing is held.
    pub fn with_held(mut self, held: &'a [String]) -> Self {
        self.held = held;
        self
    }

    /// Sets the moment by which all of it must be over, when the tool's process group is killed. By
    /// default, there is none.
    pub fn with_deadline(mut self, limit: impl Into<Limit>) -> Self {
        self.limit = limit.into();
        self
    }

    /// Has the tool's processes hold the lock of an open, empty file for as long as they run: one
    /// that outlives this program, however that ended, keeps others from what it writes to.
    ///
    /// By default, they hold none.
    pub fn with_lock(mut self, lock: Arc<File>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Has just these settings of the tool in force: those that a key was made of, for instance.
    ///
    /// By default, they are read when the tool is called ([`Settings::read`]), without a base.
    pub fn with_settings(mut self, settings: &'a Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Tells somebody how far an installation has come, from the thread that waits for it.
    ///
    /// By default, nobody is told.
    pub fn with_progress(mut self, progress: &'a (dyn Fn(Progress) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Asks the indexes and repositories again instead of trusting what uv remembers of them; pip
    /// always asks. By default, uv trusts what it remembers for as long as the index allows.
    pub fn fresh(mut self) -> Self {
        self.is_fresh = true;
        self
    }

    /// Has these packages installed once more: by uv, past its own cache; by pip, as the only ones that
    /// are asked for, and without what they require. By default, what is installed stays, and what is
    /// in the cache is used.
    pub fn with_again(mut self, packages: &'a [String]) -> Self {
        self.again = packages;
        self
    }

    /// Gives an index so long to answer, and no second chance. By default, the tool's own settings
    /// decide, and what may be a passing failure is tried again.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Uses nothing but what is on this machine: uv its cache, pip the `--find-links` folders.
    ///
    /// By default, the network is used.
    pub fn offline(mut self) -> Self {
        self.is_offline = true;
        self
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { install, python, held, limit, is_offline, is_fresh, again, .. } = self;
        let Self { patience, lock, .. } = self;
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
            .finish_non_exhaustive()
    }
}

/// The path from the root, without looking at the disk.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    // It fails only for an empty path or without a current folder; the tool will say so.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
