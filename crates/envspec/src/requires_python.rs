//! The Pythons and platforms that a file is for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::requirement::{Requirement, Target};

/// The Python versions that a file of requirements is for: `requires-python` of a script's block
/// (PEP 723), of a lock file (PEP 751), or of a package in one.
///
/// It does not affect the installed packages and is not in a digest: an interpreter fits it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequiresPython {
    /// The absolute path of the file.
    pub file: PathBuf,
    /// The specifiers, as written there.
    pub versions: String,
    /// The package that it belongs to, with the package's marker, if any; `None` if it belongs to
    /// the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Requirement>,
}

/// The environments that a lock file is for (PEP 751): one of the markers holds there.
///
/// Like [`RequiresPython`], it is no part of a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MadeFor {
    /// The absolute path of the file.
    pub file: PathBuf,
    /// The markers.
    pub markers: Vec<String>,
}

impl MadeFor {
    /// Returns `None` if one of the texts is no marker.
    pub(crate) fn new(file: &Path, markers: Vec<String>) -> Option<Self> {
        let is_marker = |text: &String| behind_a_name(text).is_some();
        let are_all = markers.iter().all(is_marker);
        are_all.then(|| Self { file: file.to_owned(), markers })
    }

    /// Returns one requirement for each marker, which applies where the marker holds.
    #[must_use]
    pub fn requirements(&self) -> Vec<Requirement> {
        self.markers.iter().filter_map(|text| behind_a_name(text)).collect()
    }
}

/// Returns a requirement with this marker, since only requirements parse markers.
fn behind_a_name(marker: &str) -> Option<Requirement> {
    let requirement: Requirement = format!("python ; {marker}").parse().ok()?;
    requirement.marker.is_some().then_some(requirement)
}

impl RequiresPython {
    /// Returns `None` if the text is no list of specifiers.
    pub(crate) fn new(file: &Path, versions: &str) -> Option<Self> {
        let found = Self { file: file.to_owned(), versions: versions.to_owned(), package: None };
        found.requirement().map(|_| found)
    }

    /// Sets the package of the file that it belongs to.
    pub(crate) fn of_package(self, package: Requirement) -> Self {
        Self { package: Some(package), ..self }
    }

    /// Returns whether the specifiers accept an interpreter of this version (`3.11.7`).
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.requirement().is_some_and(|requirement| requirement.accepts(version))
    }

    /// Returns the specifiers after a name, since a requirement parses them.
    fn requirement(&self) -> Option<Requirement> {
        let requirement: Requirement = format!("python {}", self.versions).parse().ok()?;
        let is_plain = matches!(&requirement.target, Target::Index { name, .. } if name == "python")
            && requirement.extras.is_empty()
            && requirement.marker.is_none()
            && requirement.hashes.is_empty();
        is_plain.then_some(requirement)
    }
}
