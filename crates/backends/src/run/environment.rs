//! An environment, as a run tells of it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How an environment was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvState {
    /// The base environment itself: there was nothing to do.
    Base,
    /// An interpreter that the spec names: nothing was built.
    Prebuilt,
    /// It was in the cache.
    Hit,
    /// It was built.
    Built,
}

/// An environment, as a report shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnvironmentReport {
    /// The stages that ran in it.
    pub stages: Vec<String>,
    /// Its key; none for the base and for prebuilt environments.
    pub key: Option<String>,
    /// How it was come by.
    pub state: EnvState,
    /// What the lookup, the wait for others and the build took.
    #[serde(rename = "seconds", with = "crate::run::seconds")]
    pub duration: Duration,
    /// The disk that is its own, in bytes; 0 for the base and for prebuilt environments.
    pub own_bytes: u64,
    /// How it adds to the base.
    pub strategy: Option<String>,
    /// Its interpreter.
    pub python: PathBuf,
    /// What was installed into it, as `name==version`.
    pub added: Vec<String>,
    /// What that replaced of the base, as `name==version`.
    pub replaced: Vec<String>,
    /// Packages of the base that do not get what they ask for any more.
    pub warnings: Vec<String>,
}
