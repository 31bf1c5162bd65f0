//! What is known of a stage's class, and what that depends on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::worker::wire::Loaded;

/// What is known of what a stage's class declares.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) found: Loaded,
    /// Why the class could not be constructed, where its text alone was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<Obstacle>,
    /// What the text declares in a way that it does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<String>,
    /// Where the answer is kept.
    #[serde(skip)]
    pub(crate) kept: PathBuf,
}

/// Why a class could not be constructed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Obstacle {
    /// Whether its file was imported, or its constructor called.
    pub(crate) phase: String,
    /// The module that is missing, if one is.
    pub(crate) missing: Option<String>,
    /// The error, in a line.
    pub(crate) text: String,
}

/// What answers depend on.
#[derive(Clone, Deserialize)]
pub(super) struct Sources {
    /// Files, with their digests.
    pub(super) digests: Vec<(PathBuf, String)>,
    /// Whether one of them looks at variables.
    pub(super) has_variables: bool,
}
