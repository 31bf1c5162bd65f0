//! What the manifest of an environment keeps about how it was made.

use std::collections::BTreeMap;

use envspec::Install;
use installer::{Outcome, Package};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use venv_cache::{Interpreter, Manifest};

use super::details;
use super::installed::{Distribution, Installed};

/// The details in an environment's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The spec in normal form, without credentials.
    pub(crate) spec: Value,
    /// The version of Python.
    #[serde(default)]
    pub(crate) python: String,
    /// The package manager, and its version.
    pub(crate) tool: String,
    pub(crate) tool_version: String,
    /// What was installed.
    pub(crate) added: Vec<Added>,
    /// What it replaced.
    #[serde(default)]
    pub(crate) replaced: Vec<Replaced>,
    /// The versions that a worker must see, by normal name.
    pub(crate) expected: BTreeMap<String, String>,
    /// Packages of the base that do not get what they ask for any more, in words.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// Why the strategy was chosen.
    #[serde(default)]
    pub(crate) strategy_reason: Option<String>,
    /// How long each step took.
    pub(crate) seconds: BTreeMap<String, f64>,
}

/// A distribution that was installed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Added {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SHA-256 of its `RECORD`.
    #[serde(default)]
    pub(crate) record: Option<String>,
    /// Where it came from, if not from an index, and its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
}

impl From<Added> for details::Added {
    fn from(added: Added) -> Self {
        let Added { name, version, record, source, commit } = added;
        Self { name, version, record, source, commit }
    }
}

/// A distribution that was there and is not any more, or in another version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replaced {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Record {
    /// What the manifest of an environment says; nothing if somebody else wrote it.
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
            let (source, commit) = distribution.map(Distribution::origin).unwrap_or_default();
            Added {
                name: package.name.clone(),
                version: package.version.clone(),
                record: distribution.and_then(Distribution::record_digest),
                source,
                commit,
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
            warnings: Vec::new(),
            strategy_reason: None,
            seconds: BTreeMap::new(),
        }
    }
}
