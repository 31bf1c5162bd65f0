//! Environments in events and reports.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The origin of an environment.
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
pub struct EnvReport {
    /// The stages that ran in it.
    pub stages: Vec<String>,
    /// Its key; none for the base and for prebuilt environments.
    pub key: Option<String>,
    /// Its origin.
    pub state: EnvState,
    /// Time spent looking up, waiting for other builds, and building.
    #[serde(rename = "seconds", with = "super::seconds")]
    pub duration: Duration,
    /// Its own disk space, in bytes; 0 for the base and for prebuilt environments.
    pub own_bytes: u64,
    /// How it adds to the base.
    pub strategy: Option<String>,
    /// Its interpreter.
    pub python: PathBuf,
    /// The installed packages, as `name==version`.
    pub added: Vec<String>,
    /// The packages of the base that these replaced, as `name==version`.
    pub replaced: Vec<String>,
    /// What is not as asked for: requirements of the base's packages that are no longer met, extras that
    /// no package has, and what the package manager warned of.
    pub warnings: Vec<String>,
}
