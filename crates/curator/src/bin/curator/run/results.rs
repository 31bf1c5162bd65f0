//! Where results go: lines, or a file of Arrow tables.

use std::io;
use std::path::Path;

use curator::Task;

#[cfg(feature = "arrow")]
use super::arrow::{self, TableFile};
use super::lines::Lines;
use crate::failure::Failure;

/// Results on their way out.
#[derive(Debug)]
pub(crate) enum Results {
    Lines {
        lines: Lines,
        /// Whether each is written as a whole task.
        is_whole: bool,
    },
    #[cfg(feature = "arrow")]
    Tables(TableFile),
}

impl Results {
    /// Returns the output that an argument names; without one, and for `-`, to the standard output.
    pub(crate) fn to(argument: Option<&Path>, is_whole: bool) -> Result<Self, Failure> {
        #[cfg(feature = "arrow")]
        if let Some(path) = argument.filter(|path| arrow::is_arrow(path)) {
            if is_whole {
                let problem =
                    "`--whole-tasks` is for JSON lines: tables have no place for the rest";
                return Err(Failure::usage(problem));
            }
            return Ok(Self::Tables(TableFile::new(path.to_owned())));
        }
        #[cfg(not(feature = "arrow"))]
        if let Some(path) = argument {
            super::input::refuse_arrow(path)?;
        }
        Ok(Self::Lines { lines: Lines::to(argument), is_whole })
    }

    /// Returns the file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Lines { lines, .. } => lines.file(),
            #[cfg(feature = "arrow")]
            Self::Tables(tables) => Some(&tables.path),
        }
    }

    /// Returns whether they are read as they come, on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Lines { lines, .. } => lines.is_terminal(),
            #[cfg(feature = "arrow")]
            Self::Tables(_) => false,
        }
    }

    /// Adds one, whole or not at all.
    pub(crate) fn add(&mut self, task: &Task) -> io::Result<()> {
        match self {
            Self::Lines { lines, is_whole: true } => lines.add(&serde_json::to_string(task)?),
            Self::Lines { lines, is_whole: false } => lines.add(&task.to_json_line()),
            #[cfg(feature = "arrow")]
            Self::Tables(tables) => tables.add(task),
        }
    }

    /// Writes what still waits, after a run that failed.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Lines { lines, .. } => lines.flush(),
            #[cfg(feature = "arrow")]
            Self::Tables(tables) => tables.flush(),
        }
    }

    /// Writes what still waits, and makes the file if there was nothing to write.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Lines { lines, .. } => lines.finish(),
            #[cfg(feature = "arrow")]
            Self::Tables(tables) => tables.finish(),
        }
    }

    /// Returns the failure if they cannot be written.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Self::Lines { lines, .. } => lines.failure(error),
            #[cfg(feature = "arrow")]
            Self::Tables(tables) => tables.failure(error),
        }
    }
}
