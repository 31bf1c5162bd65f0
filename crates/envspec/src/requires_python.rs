//! Which Pythons a file is for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::requirement::{Requirement, Target};

/// What a file of requirements says of the Pythons that it is for: `requires-python` of a script's block
/// (PEP 723) or of a lock file (PEP 751).
///
/// It decides nothing of what is installed, and is no part of a digest: an interpreter has it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequiresPython {
    /// The absolute path of the file.
    pub file: PathBuf,
    /// The specifiers, as written there.
    pub versions: String,
}

impl RequiresPython {
    /// None if the text is no list of specifiers.
    pub(crate) fn new(file: &Path, versions: &str) -> Option<Self> {
        let found = Self { file: file.to_owned(), versions: versions.to_owned() };
        found.requirement().map(|_| found)
    }

    /// Whether an interpreter of this version (`3.11.7`) is one of them.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.requirement().is_some_and(|requirement| requirement.accepts(version))
    }

    /// The specifiers behind a name, since that is where they are read.
    fn requirement(&self) -> Option<Requirement> {
        let requirement: Requirement = format!("python {}", self.versions).parse().ok()?;
        let is_plain = matches!(&requirement.target, Target::Index { name, .. } if name == "python")
            && requirement.extras.is_empty()
            && requirement.marker.is_none()
            && requirement.hashes.is_empty();
        is_plain.then_some(requirement)
    }
}
