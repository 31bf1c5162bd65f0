//! Errors of the cache, distinguished by what the caller can do next.

use std::borrow::Cow;
use std::error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::Untrusted;

use crate::Key;
use crate::holder::Holder;
use crate::left::Left;
use crate::unusable::Unusable;

/// Any error, as a build closure returns it.
pub type BoxError = Box<dyn error::Error + Send + Sync>;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the environment cache.
///
/// The message never holds its cause; walk [`source`](error::Error::source) to print the chain,
/// and ask [`hint`](Error::hint) for advice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused something.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The call needed to write to the cache, which is read-only.
    #[error("the cache is read-only: cannot {action} `{}`", path.display())]
    ReadOnly {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The file system below the cache has no advisory locks.
    #[error("the file system of `{}` has no file locks", path.display())]
    LocksUnsupported {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Another process or thread held a lock for longer than the caller's limit.
    #[error("gave up after {:.1} s of waiting for `{}`, which {holder} holds", waited.as_secs_f64(), path.display())]
    Timeout {
        /// The lock file.
        path: PathBuf,
        /// How long the wait was.
        waited: Duration,
        /// The process that holds it.
        holder: Holder,
    },

    /// An environment exists, so it is not being built, but another process keeps its lock.
    #[error("{holder} holds `{}`, which is held only briefly in normal use: gave up after {:.1} s", path.display(), waited.as_secs_f64())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// How long the wait was.
        waited: Duration,
        /// The process that holds it.
        holder: Holder,
    },

    /// The build closure failed; nothing of the environment stays on disk.
    #[error("failed to build environment `{key}`")]
    Build {
        /// The environment's key.
        key: Key,
        /// What the closure returned.
        source: BoxError,
    },

    /// The closure returned, but left no valid environment on disk.
    #[error("the build of `{}` is not usable: {problem}", dir.display())]
    Misbuilt {
        /// The environment's folder, by now removed.
        dir: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// An environment that the new one needs is not in the cache.
    #[error("environment `{key}` needs `{need}`, which is not in the cache")]
    NeedMissing {
        /// The environment that was being built.
        key: Key,
        /// The one it needs.
        need: Key,
    },

    /// An environment was gone right after it was built: something outside this crate removed it.
    #[error("environment `{}` vanished after it was built", dir.display())]
    Vanished {
        /// The environment's folder.
        dir: PathBuf,
    },

    /// The environment is in use, so it cannot be removed.
    #[error("environment `{key}` is in use")]
    InUse {
        /// The environment's key.
        key: Key,
    },

    /// Another environment needs this one, so it cannot be removed.
    #[error("environment `{key}` is needed by `{by}`")]
    Needed {
        /// The environment's key.
        key: Key,
        /// One environment that needs it.
        by: Key,
    },

    /// The folder named as the cache has contents but no mark of a cache. Nothing in it was
    /// touched.
    #[error("`{}` is no cache of this program: it holds `{}`, and no `CACHEDIR.TAG` of ours", dir.display(), found.display())]
    NotACache {
        /// The folder.
        dir: PathBuf,
        /// A name in it.
        found: OsString,
    },

    /// A link or a file lies in place of one of the cache's folders.
    #[error("`{}` is no folder of the cache: it is a link, or a file", path.display())]
    NotAFolder {
        /// Where it lies.
        path: PathBuf,
    },

    /// Something is mounted on a folder of the cache, which can be removed only without it.
    #[error("`{}` is a mount, so it cannot be removed", dir.display())]
    Mounted {
        /// The folder.
        dir: PathBuf,
    },

    /// An environment was removed, but some of its files could not be deleted.
    #[error("the environment is removed, but {_0}")]
    Left(Left),

    /// A file or folder of the cache belongs to an untrusted user, or is writable by one.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),

    /// The text is no key.
    #[error("`{text}` is not a key: 64 lower-case hexadecimal digits")]
    InvalidKey {
        /// The text.
        text: String,
    },

    /// No environment's key starts with the text.
    #[error("no environment's key starts with `{prefix}`")]
    NoMatch {
        /// The start of a key.
        prefix: String,
    },

    /// What lies under a key cannot be used.
    #[error("environment {key} cannot be used: {why}")]
    Unusable {
        /// The key.
        key: Key,
        /// The reason.
        why: Unusable,
    },

    /// The keys of several environments start with the text.
    #[error("`{prefix}` is the start of {} keys", matches.len())]
    Ambiguous {
        /// The start of a key.
        prefix: String,
        /// The keys, sorted.
        matches: Vec<Key>,
    },

    /// Neither a cache folder nor a home folder is known.
    #[error("no folder for the cache: neither `CURATOR_CACHE_DIR` nor a home folder is set")]
    NoCacheDir,

    /// An environment variable has an invalid value.
    #[error("`{name}` is `{value}`, which is not {expected}")]
    Setting {
        /// The variable's name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },

    /// There is no interpreter at the given path.
    #[error("no Python interpreter at `{}`", path.display())]
    NoInterpreter {
        /// The given path, made absolute.
        path: PathBuf,
        /// The system's error, or why `PATH` has none of that name.
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

    /// The interpreter is too old.
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

    /// The folder of a new environment is not empty.
    #[error("`{}` exists and is not empty", dir.display())]
    Occupied {
        /// The folder.
        dir: PathBuf,
    },

    /// A path is not valid UTF-8, so it cannot be written into scripts or `pyvenv.cfg`.
    #[error("`{}` is not valid UTF-8", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },

    /// The caller gave up on an environment while it was being created.
    #[error("the environment was given up while it was being made")]
    GivenUp,

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
    /// Returns a system error with the action and the path that it needs to make sense.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if let Some(refused) = Untrusted::of(&source) {
            Self::Untrusted(refused.clone())
        } else if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
            Self::ReadOnly { action, path, source }
        } else {
            Self::Io { action, path, source }
        }
    }

    /// Returns whether the error means that this user may not write here, or that no user may now.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::ReadOnly { source, .. } => files::is_refusal(source),
            Self::Mounted { .. } => true,
            _ => false,
        }
    }

    /// Returns what a build closure failed with, where that is why and it is of this type; else gives
    /// the error back.
    ///
    /// ```
    /// # use venv_cache::testing::{Scratch, key};
    /// # use venv_cache::{Error, Site};
    /// # fn main() -> Result<(), Error> {
    /// # let scratch = Scratch::new();
    /// let build = |_: &Site<'_>| Err("no network".parse::<u16>().unwrap_err());
    /// let error = scratch.cache().get_or_build(&key(1), &Default::default(), build).unwrap_err();
    /// let own: std::num::ParseIntError = error.into_build_error()?;
    /// assert_eq!(own.to_string(), "invalid digit found in string");
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_build_error<E: error::Error + 'static>(self) -> Result<E> {
        match self {
            Self::Build { key, source } => {
                source.downcast().map(|own| *own).map_err(|source| Self::Build { key, source })
            }
            other => Err(other),
        }
    }

    /// Returns advice on what to do about the error, apart from its message.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            // The only program that is ever started is an interpreter.
            Self::Io { action: "start", .. } | Self::NoInterpreter { .. } => {
                Some("name a Python executable, or the folder of a virtualenv")
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, or prune the cache to a smaller budget")
                }
                io::ErrorKind::PermissionDenied => Some(
                    "the cache needs a folder of its own: set CURATOR_CACHE_DIR to one that you \
                     can write",
                ),
                _ => None,
            },
            Self::ReadOnly { .. } => Some(
                "environments that exist can be used, new ones cannot be built here: set \
                 CURATOR_CACHE_DIR to a folder that you can write",
            ),
            Self::LocksUnsupported { .. } => Some(
                "set CURATOR_CACHE_DIR to a folder on a local disk; some network file systems \
                 have no locks",
            ),
            Self::Timeout { .. } => Some(
                "another process builds this environment or is stuck, and the wait can be made longer",
            ),
            Self::Held { .. } => Some(
                "any user who can read the file can hold it: end that process, and take the right to \
                 read from users who are not to use the cache (`chmod o-r`)",
            ),
            Self::NeedMissing { .. } => {
                Some("hold the needed environment while you build what needs it")
            }
            Self::Vanished { .. } => {
                Some("remove environments with `remove` or `prune`, never by hand")
            }
            Self::InUse { .. } => {
                Some("something runs in it, and it can be removed once that ends")
            }
            Self::Left(_) => Some(
                "they are in the trash, which the user whom they belong to empties by any `curator env` \
                 command",
            ),
            Self::NotACache { .. } => Some(
                "set CURATOR_CACHE_DIR to a folder that is empty or does not exist yet; if this one \
                 is an old cache, remove it",
            ),
            Self::NotAFolder { .. } => Some(
                "remove it, which makes the cache use a folder of its own; to have a cache \
                 elsewhere, set CURATOR_CACHE_DIR, or make the whole cache a link",
            ),
            Self::Mounted { .. } => Some("unmount it (`umount`) and try again"),
            Self::Needed { .. } => Some("remove the environments that need it first"),
            Self::Untrusted(Untrusted::Owner { .. }) => Some(
                "set CURATOR_CACHE_DIR to a folder of your own; to share a cache, its owner gives its \
                 folder a group that you are in and mode 2770",
            ),
            Self::Untrusted(refused) => return refused.hint(),
            Self::Ambiguous { .. } => Some("give more of the key's digits"),
            Self::NoCacheDir => Some("set CURATOR_CACHE_DIR"),
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
                let other = "unset `VIRTUAL_ENV`, or name a base interpreter";
                return source.hint().or(Some(other.into()));
            }
            Self::InsideBase { .. } => {
                Some("keep the cache outside of the base: set `CURATOR_CACHE_DIR`")
            }
            Self::Occupied { .. } => Some("name a folder that does not exist yet"),
            Self::NotUtf8 { .. } => Some("use a folder whose name is valid UTF-8"),
            Self::LinkRefused { .. } => Some("use the `symlink` strategy, or `copy`"),
            Self::Unusable { why: Unusable::Moved { .. }, .. } => Some(
                "environments stay where they are built: build it here by its spec \
                 (`curator env show KEY` tells that), or remove the copy with `curator env remove KEY`",
            ),
            Self::Unusable { .. } => Some(
                "build it again by its spec (`curator env show KEY` tells that), or remove it with \
                 `curator env remove KEY`",
            ),
            Self::InvalidKey { .. } | Self::NoMatch { .. } => {
                Some("`curator env list` tells the keys that there are; the start of one will do")
            }
            Self::Build { .. } | Self::GivenUp | Self::Misbuilt { .. } | Self::Setting { .. } => {
                None
            }
        };
        hint.map(Cow::Borrowed)
    }

    /// Returns everything for a person: the message, those of all causes, and the hint.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}");
        let mut source = error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}\n  caused by: {cause}");
            source = cause.source();
        }
        match self.hint() {
            Some(hint) => format!("{text}\n\nhint: {hint}"),
            None => text,
        }
    }
}

/// Adds the action and the path to an I/O error.
pub(crate) trait IoResultExt<T> {
    /// Adds the action and the path.
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoResultExt<T> for Result<T, E> {
    fn context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::io(action, path.as_ref(), source.into()))
    }
}

const _: () = {
    const fn ok<T: Send + Sync + 'static>() {}
    ok::<Error>();
};
