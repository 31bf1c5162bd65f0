//! Errors, distinguished by what the caller can do next.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::Untrusted;
use rustix::io::Errno;

use envspec::Tool;

use crate::transcript::{Transcript, tool_name};

/// Why nothing was installed.
///
/// The tool's own words are the error's `source`, a [`Transcript`]; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder of tools that were fetched is, or could be, written by strangers.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// No versions satisfy all requirements, constraints and overrides together.
    #[error("`{}` found no versions that satisfy the requirements", tool_name(*tool))]
    Unsatisfiable {
        /// The package manager.
        tool: Tool,
        /// Its words.
        source: Box<Transcript>,
    },
    /// No queried index has a package of this name.
    #[error("`{}` found no package `{package}`", tool_name(*tool))]
    NotFound {
        /// The package manager.
        tool: Tool,
        /// The name or the requirement as the tool gives it.
        package: String,
        /// Its words.
        source: Box<Transcript>,
    },
    /// A package could not be built from its sources.
    #[error("`{}` could not build {}", tool_name(*tool), named_or(package.as_deref(), "a package"))]
    BuildFailed {
        /// The package manager.
        tool: Tool,
        /// The package, where the tool names it.
        package: Option<String>,
        /// Its words, with the end of the build's own.
        source: Box<Transcript>,
    },
    /// An index or another server could not be reached, or broke off.
    #[error("`{}` could not download what it needs", tool_name(*tool))]
    Network {
        /// The package manager.
        tool: Tool,
        /// Whether a later call may succeed; all sensible retries were made.
        transient: bool,
        /// Its words in the last attempt.
        source: Box<Transcript>,
    },
    /// The deadline passed while the tool ran; its whole process group was killed.
    #[error("`{}` was stopped at the deadline, after {:.1} s", tool_name(*tool), elapsed.as_secs_f64())]
    Timeout {
        /// The package manager.
        tool: Tool,
        /// How long the last attempt ran.
        elapsed: Duration,
        /// Its words until then.
        source: Box<Transcript>,
    },
    /// The deadline passed before the tool was started.
    #[error("the deadline passed before {action}")]
    Late {
        /// The action that remained.
        action: &'static str,
    },
    /// The package manager is neither on this machine nor in the base, and fetching it failed.
    #[error("no `{}` {requirement} was found, nor could it be fetched", tool_name(*tool))]
    ToolMissing {
        /// The package manager.
        tool: Tool,
        /// The acceptable versions, as a specifier.
        requirement: String,
        /// Why it could not be fetched, if that was tried.
        source: Option<Box<Error>>,
    },
    /// The disk, or the user's share of it, is full.
    #[error("`{}` ran out of disk space", tool_name(*tool))]
    NoSpace {
        /// The package manager.
        tool: Tool,
        /// Its words.
        source: Box<Transcript>,
    },
    /// The tool failed in another way.
    #[error("`{}` failed", tool_name(*tool))]
    Failed {
        /// The package manager.
        tool: Tool,
        /// Its words.
        source: Box<Transcript>,
    },
    /// The tool succeeded, but its report could not be read.
    #[error("the report of `{}` could not be read", tool_name(*tool))]
    Report {
        /// The package manager.
        tool: Tool,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The tool succeeded, but its resolution could not be read.
    #[error("the answer of `{}` could not be read: {text}", tool_name(*tool))]
    Lock {
        /// The package manager.
        tool: Tool,
        /// The line, or its words.
        text: String,
    },
    /// A configuration file of the package manager is invalid.
    #[error("the configuration file `{}` cannot be read: {reason}", file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The spec has an option for the package manager that is not allowed.
    #[error("an option for the package manager cannot be used")]
    Option {
        /// The option, and the reason.
        source: Box<envspec::Error>,
    },
    /// uv is asked both for new queries to indexes and to work offline.
    #[error("{what} has indexes asked again, and {by} lets uv ask none")]
    Offline {
        /// The option that asks for new queries.
        what: String,
        /// The setting or option that asks for no queries.
        by: String,
    },
    /// The files that the build of a local project reads cannot be determined.
    #[error("a project in a folder cannot be built")]
    Project {
        /// The project, and the reason.
        source: Box<envspec::Error>,
    },
    /// The package manager has no such option.
    #[error("`{}` has no {option}", tool_name(*tool))]
    Unsupported {
        /// The package manager.
        tool: Tool,
        /// The missing option.
        option: &'static str,
    },
    /// `pip_version` or `uv_version` is no version specifier.
    #[error("`{version}` is no version specifier for `{}`", tool_name(*tool))]
    ToolVersion {
        /// The package manager.
        tool: Tool,
        /// The text.
        version: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The interpreter could not be asked about itself.
    #[error("`{}` is no working Python interpreter", python.display())]
    Interpreter {
        /// The interpreter.
        python: PathBuf,
        /// Its words instead.
        source: Box<Transcript>,
    },
    /// The interpreter gave an invalid answer.
    #[error("`{}` gave an answer that could not be read", python.display())]
    Answer {
        /// The interpreter.
        python: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The folder for fetched tools has other contents and no mark.
    #[error("`{}` is no folder of fetched tools: it holds `{}`", dir.display(), found.display())]
    NotTools {
        /// The folder.
        dir: PathBuf,
        /// A name in it.
        found: OsString,
    },
    /// A file could not be read, written or started.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Unsatisfiable { .. } => Some(
                "loosen one of the requirements that the tool names; names in `keep` hold the base's versions",
            ),
            Self::NotFound { .. } => Some(
                "check the spelling, and that the index which has the package is given (`--index-url`, `--extra-index-url`)",
            ),
            Self::BuildFailed { .. } => Some(
                "choose a version that has a wheel for this Python and platform, or install what its build needs (a compiler, headers)",
            ),
            Self::Network { .. } => Some(
                "check the connection, the proxy and the certificates (`HTTPS_PROXY`, `SSL_CERT_FILE`, `PIP_CERT`)",
            ),
            Self::Timeout { .. } | Self::Late { .. } => {
                Some("raise `config.setup_timeout_seconds`, or install from wheels that are near")
            }
            Self::ToolMissing { tool: Tool::Uv, .. } => Some(
                "install uv and put it on PATH or name it in CURATOR_UV, or give the base a pip that can fetch it",
            ),
            Self::ToolMissing { tool: Tool::Pip, .. } => {
                Some("install pip into the base, or ask for `uv` instead of `pip`")
            }
            Self::NoSpace { .. } => {
                Some("free space for the cache, for the package manager's own cache and for TMPDIR")
            }
            Self::Unsupported { tool: Tool::Pip, .. } => Some("ask for `uv` instead of `pip`"),
            Self::ToolVersion { .. } => Some("write it like `==24.1.2` or `>=24,<25`"),
            Self::Failed { source, .. } if source.output().contains("must have a hash") => Some(
                "give every requirement its version and `--hash`; `curator env lock` writes such a file",
            ),
            Self::Settings { .. } => Some(
                "correct the file, or have none in force by `PIP_CONFIG_FILE=/dev/null` or `UV_NO_CONFIG=1`",
            ),
            Self::Option { .. } => Some(
                "leave it out; Curator decides where packages go, and knows the other options by their whole names",
            ),
            Self::Offline { .. } => Some("leave one of them out"),
            Self::Project { .. } => Some("build a wheel, and name that"),
            Self::Failed { .. }
            | Self::Report { .. }
            | Self::Lock { .. }
            | Self::Unsupported { .. }
            | Self::Interpreter { .. }
            | Self::Answer { .. } => None,
            Self::Io { .. } if self.is_at_a_limit() => Some(
                "raise the limit of open files (`ulimit -n`), or that of processes (`ulimit -u`)",
            ),
            Self::Io { path, .. } => (*path == std::env::temp_dir())
                .then_some("set TMPDIR to a folder that is there and that you can write to"),
            Self::NotTools { .. } => {
                Some("keep fetched tools in a folder that is empty or does not exist yet")
            }
            Self::Untrusted(refused) => return refused.hint(),
        };
        hint.map(Cow::Borrowed)
    }

    /// Returns everything for a person: the message, those of all causes, and the hint.
    #[must_use]
    pub fn report(&self) -> String {
        envspec::report(self, None, self.hint().as_deref())
    }

    /// Returns the failed command line and its output, if a tool ran.
    #[must_use]
    pub fn transcript(&self) -> Option<&Transcript> {
        match self {
            Self::Unsatisfiable { source, .. }
            | Self::NotFound { source, .. }
            | Self::BuildFailed { source, .. }
            | Self::Network { source, .. }
            | Self::Timeout { source, .. }
            | Self::NoSpace { source, .. }
            | Self::Failed { source, .. }
            | Self::Interpreter { source, .. } => Some(source),
            Self::ToolMissing { source, .. } => source.as_deref().and_then(Self::transcript),
            Self::Late { .. }
            | Self::Report { .. }
            | Self::Lock { .. }
            | Self::Settings { .. }
            | Self::Option { .. }
            | Self::Offline { .. }
            | Self::Project { .. }
            | Self::Unsupported { .. }
            | Self::ToolVersion { .. }
            | Self::Answer { .. }
            | Self::NotTools { .. }
            | Self::Untrusted(_)
            | Self::Io { .. } => None,
        }
    }

    /// Returns whether this process, or the machine, may have no more files, processes or memory: that
    /// a program does not start then says nothing of the program.
    pub(crate) fn is_at_a_limit(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        let errno = Errno::from_io_error(source);
        matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM))
    }

    /// Returns whether the same call may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Network { transient: true, .. })
    }
}

const _: () = {
    const fn ok<T: Send + Sync + 'static>() {}
    ok::<Error>();
};

/// Adds the file to an I/O error.
pub(crate) trait IoResultExt<T> {
    /// Completes the sentence "failed to {action} `{path}`".
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T> IoResultExt<T> for io::Result<T> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|source| match Untrusted::of(&source) {
            Some(refused) => Error::Untrusted(refused.clone()),
            None => Error::Io { action, path: path.as_ref().to_owned(), source },
        })
    }
}

fn named_or(name: Option<&str>, otherwise: &str) -> String {
    name.map_or_else(|| otherwise.to_owned(), |name| format!("`{name}`"))
}
