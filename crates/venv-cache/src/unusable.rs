//! Why what lies under a key is no environment to use.

use std::path::PathBuf;

use crate::Key;

/// Why a cache does not give out what lies under a key. The next build under the key replaces it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// There is no environment: nothing lies there, or what a build left that did not end.
    #[error("there is no such environment")]
    Absent,
    /// Its record is damaged, or of a newer version.
    #[error("its record cannot be read")]
    Record,
    /// It was moved or copied with its cache: its scripts start the interpreter of the other place.
    #[error("it was built in `{}`, and moved or copied from there", place.display())]
    Moved {
        /// The folder that it was built in.
        place: PathBuf,
    },
    /// Its interpreter cannot be started.
    #[error("its interpreter `{}` is gone", python.display())]
    Interpreter {
        /// The interpreter.
        python: PathBuf,
    },
    /// A file has changed since the machine was last started.
    #[error("`{}` is damaged since the last start of the machine", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// An environment that it needs is not there, or is another one now.
    #[error("environment {key}, which it needs, is gone")]
    Lacks {
        /// The key of that environment.
        key: Key,
    },
}
