//! The known declarations of a stage's class, and their sources.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::worker::wire::Loaded;

/// The known declarations of a stage's class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClassAnswer {
    pub(crate) found: Loaded,
    /// Why the class could not be constructed, if only its text was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<Obstacle>,
    /// The declarations whose values the text does not show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<String>,
    /// The file that keeps the answer.
    #[serde(skip)]
    pub(crate) kept: PathBuf,
}

/// Why a class could not be constructed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Obstacle {
    /// The failed step: the import of its file, or the call of its constructor.
    pub(crate) phase: String,
    /// The module that is missing, if one is.
    pub(crate) missing: Option<String>,
    /// The error, in one line.
    pub(crate) text: String,
}

/// The files and variables that answers depend on.
#[derive(Clone, Deserialize)]
pub(super) struct Sources {
    /// Files, with their digests; without one where there was none.
    pub(super) digests: Vec<(PathBuf, String)>,
    /// Folders, with the names that were in them; none where there was no folder.
    pub(super) listings: Vec<(PathBuf, Option<Vec<String>>)>,
    /// Whether one of them reads variables.
    pub(super) has_variables: bool,
}
