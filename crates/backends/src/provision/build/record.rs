//! The record in an environment's manifest of how it was made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use envspec::Install;
use installer::{Outcome, Package};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use venv_cache::{Interpreter, Manifest};

use super::installed::{Distribution, Installed};
use super::sources;

/// The record of a build, which is the `details` of the environment's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BuildRecord {
    /// The spec in normal form, without credentials.
    pub(crate) spec: Value,
    /// The version of Python.
    #[serde(default)]
    pub(crate) python: String,
    /// The package manager, and its version.
    pub(crate) tool: String,
    pub(crate) tool_version: String,
    /// The installed packages.
    pub(crate) added: Vec<Added>,
    /// The packages that these replaced.
    #[serde(default)]
    pub(crate) replaced: Vec<Replaced>,
    /// The versions that a worker must see, by normal name.
    pub(crate) expected: BTreeMap<String, String>,
    /// The SHA-256 of bytecode that the packages brought, as the build left it, since Python
    /// compiles bytecode again that is older than its source. By path in the environment; earlier
    /// versions have none.
    #[serde(default)]
    pub(crate) bytecode: Option<BTreeMap<PathBuf, String>>,
    /// Packages of the base whose requirements are no longer met, in words.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// Why the strategy was chosen.
    #[serde(default)]
    pub(crate) strategy_reason: Option<String>,
    /// Duration of each step.
    pub(crate) seconds: BTreeMap<String, f64>,
}

/// A distribution that was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Added {
    /// Its normal name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its `RECORD`, which names its files and their digests. Scripts contain the path
    /// of their folder, so the digest differs between folders.
    #[serde(default)]
    pub record: Option<String>,
    /// Its source, if not an index: a URL or path without credentials (PEP 610).
    #[serde(default)]
    pub source: Option<String>,
    /// The commit, if it came from a repository.
    #[serde(default)]
    pub commit: Option<String>,
    /// The SHA-256 of its archive, or a digest of its folder. None for a package installed in
    /// place, whose folder itself counts.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether it is installed in place.
    #[serde(default)]
    pub editable: bool,
}

/// A distribution of the base that another version replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Replaced {
    /// Its normal name.
    pub name: String,
    /// The version that the base has.
    pub version: String,
}

impl BuildRecord {
    /// Returns the record in a manifest; none if another program wrote it.
    pub(crate) fn of(manifest: &Manifest) -> Option<Self> {
        serde_json::from_value(manifest.details.clone()).ok()
    }

    pub(crate) fn new(
        install: &Install,
        interpreter: &Interpreter,
        outcome: &Outcome,
        installed: &Installed,
    ) -> Self {
        let added = |package: &Package| {
            let distribution = installed.get(&package.name);
            let source = distribution.and_then(Distribution::source);
            let digest = source.as_ref().and_then(|source| {
                let from_folder = || sources::digest(source, install);
                source.hash.clone().or_else(from_folder)
            });
            Added {
                name: package.name.clone(),
                version: package.version.clone(),
                record: distribution.and_then(Distribution::record_digest),
                digest,
                editable: source.as_ref().is_some_and(|source| source.is_editable),
                commit: source.as_ref().and_then(|source| source.commit.clone()),
                source: source.map(|source| source.url),
            }
        };
        let replaced = |package: &Package| Replaced {
            name: package.name.clone(),
            version: package.version.clone(),
        };
        Self {
            spec: serde_json::to_value(install).unwrap_or_default(),
            python: interpreter.version().to_owned(),
            tool: outcome.tool.clone(),
            tool_version: outcome.tool_version.clone(),
            added: outcome.added.iter().map(added).collect(),
            replaced: outcome.removed.iter().map(replaced).collect(),
            expected: BTreeMap::new(),
            bytecode: None,
            warnings: Vec::new(),
            strategy_reason: None,
            seconds: BTreeMap::new(),
        }
    }
}
