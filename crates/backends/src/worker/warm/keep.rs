//! For how long templates stay, and how many.

use std::path::PathBuf;
use std::time::Duration;

use super::folder::WarmTemplates;
use super::memory;

/// How many templates of a user stay, by default.
const MOST: usize = 8;

/// How long a run's templates stay after it.
///
/// ```
/// use std::time::Duration;
/// use backends::LocalExecutor;
///
/// let executor = LocalExecutor::default().with_keep_warm(Duration::from_secs(600));
/// # let _ = executor;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct KeepWarm {
    pub(crate) idle: Duration,
    pub(crate) owner: Option<u32>,
    pub(crate) most: usize,
    pub(crate) most_bytes: u64,
    dir: Option<PathBuf>,
}

impl KeepWarm {
    /// Keeps a template until it has been idle for this long.
    pub fn new(idle: Duration) -> Self {
        let most_bytes = memory::of_machine().map_or(u64::MAX, |all| all / 4);
        Self { idle, owner: None, most: MOST, most_bytes, dir: None }
    }

    /// Has templates end with this process, too.
    pub fn with_owner(self, pid: u32) -> Self {
        Self { owner: Some(pid), ..self }
    }

    /// Sets how many templates of the user's stay; those that were used least recently end. Default: 8.
    pub fn with_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Sets how much memory they hold together, each with its part of what it shares. Default: a
    /// quarter of the machine's, or of what its control group may use.
    pub fn with_most_bytes(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }

    /// Sets the folder of their sockets, which only this user may enter. Default: that of
    /// [`WarmTemplates::of_user`].
    pub fn with_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..self }
    }

    pub(crate) fn templates(&self) -> WarmTemplates {
        self.dir.as_deref().map_or_else(WarmTemplates::of_user, WarmTemplates::in_dir)
    }
}

impl From<Duration> for KeepWarm {
    fn from(idle: Duration) -> Self {
        Self::new(idle)
    }
}
