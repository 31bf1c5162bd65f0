//! A command line, and its result.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// A command line with everything that decides its effect.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment: nothing else is inherited.
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) working_dir: PathBuf,
    /// A folder that must not outlive this process, since it may hold credentials.
    pub(crate) doomed_dir: Option<PathBuf>,
    /// An empty file for its standard input, whose lock it then holds for as long as it runs.
    pub(crate) lock: Option<Arc<File>>,
}

/// The result of a child process.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The status at its end; `None` if the deadline passed and it was killed.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Finished {
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}
