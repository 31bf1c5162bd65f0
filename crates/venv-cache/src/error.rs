//! What can go wrong, cut by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why an environment cannot be described, created or kept.
///
/// The message is a fragment without its cause; walk [`std::error::Error::source`] for that, and
/// show [`Error::hint`] once after the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused something.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was being done, as the words after "failed to".
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// There is no interpreter where one was named.
    #[error("no Python interpreter at `{}`", path.display())]
    NoInterpreter {
        /// The path as it was given, made absolute.
        path: PathBuf,
        /// The system's answer, or why `PATH` has none of that name.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A virtualenv's interpreter is a link to a Python that is no longer there.
    #[error("`{}` points to an interpreter that is gone, `{}`", path.display(), target.display())]
    InterpreterGone {
        /// The link.
        path: PathBuf,
        /// What it points to.
        target: PathBuf,
    },

    /// The interpreter did not describe itself.
    #[error("`{}` did not describe itself: {outcome}", python.display())]
    Describe {
        /// The interpreter.
        python: PathBuf,
        /// How it ended, with the last lines that it wrote.
        outcome: String,
    },

    /// The interpreter is older than what environments can be made for.
    #[error("`{}` is Python {version}", python.display())]
    UnsupportedPython {
        /// The interpreter.
        python: PathBuf,
        /// Its version.
        version: String,
    },

    /// A conda environment cannot be a base: its libraries find each other by their place in it.
    #[error("the base `{}` is a conda environment", prefix.display())]
    Conda {
        /// The environment's folder.
        prefix: PathBuf,
    },

    /// Neither `$VIRTUAL_ENV` nor `PATH` names a Python.
    #[error("no base environment: `VIRTUAL_ENV` is not set and there is no `python3` on `PATH`")]
    NoBase,

    /// `$VIRTUAL_ENV` names something that cannot be used as a base.
    #[error("the virtualenv named by `VIRTUAL_ENV` cannot be the base")]
    VirtualEnv {
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },

    /// An environment would lie inside its own base.
    #[error("the environment `{}` would lie inside its base `{}`", dir.display(), prefix.display())]
    InsideBase {
        /// The folder asked for.
        dir: PathBuf,
        /// The base's folder.
        prefix: PathBuf,
    },

    /// The folder of a new environment holds something already.
    #[error("`{}` exists and is not empty", dir.display())]
    Occupied {
        /// The folder.
        dir: PathBuf,
    },

    /// A path holds bytes that are no text, which neither scripts nor `pyvenv.cfg` can carry.
    #[error("`{}` is not valid UTF-8", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },

    /// The file system refuses hard links from the base to the environment.
    #[error("the file system refuses to hard-link `{}` into `{}`", from.display(), to.display())]
    LinkRefused {
        /// A file of the base.
        from: PathBuf,
        /// The folder that the link was to lie in.
        to: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// What the person who reads the message can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoInterpreter { .. } => {
                Some("name a Python executable, or the folder of a virtualenv")
            }
            Self::InterpreterGone { .. } => {
                Some("make the virtualenv anew: the Python it was made with has been removed")
            }
            Self::Describe { .. } => {
                Some("check that the interpreter starts: run it with `-I -c pass`")
            }
            Self::UnsupportedPython { .. } => Some("use Python 3.9 or later"),
            Self::Conda { .. } => Some(
                "make a virtualenv with its Python (`python -m venv DIR`), install into that what \
                 the base needs, and use it as the base",
            ),
            Self::NoBase => {
                Some("activate a virtualenv, install python3, or name a base interpreter")
            }
            Self::VirtualEnv { source } => {
                source.hint().or(Some("unset `VIRTUAL_ENV`, or name a base interpreter"))
            }
            Self::InsideBase { .. } => {
                Some("keep the cache outside of the base: set `CURATOR_CACHE_DIR`")
            }
            Self::Occupied { .. } => Some("name a folder that does not exist yet"),
            Self::NotUtf8 { .. } => Some("use a folder whose name is valid UTF-8"),
            Self::LinkRefused { .. } => Some("use the `symlink` strategy, or `copy`"),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => Some("free some space, or move the cache"),
                io::ErrorKind::PermissionDenied => {
                    Some("check who owns the folder and who may write to it")
                }
                _ => None,
            },
        }
    }
}

/// Gives an I/O error its action and its path.
pub(crate) trait IoResultExt<T> {
    /// Names what was done (the words after "failed to") and what to.
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> IoResultExt<T> for Result<T, E> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            action,
            path: path.as_ref().to_path_buf(),
            source: source.into(),
        })
    }
}

const _: () = {
    const fn ok<T: Send + Sync + 'static>() {}
    ok::<Error>();
};
