//! The details of an environment in the cache: its spec, and its contents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use envspec::Install;
use serde::Serialize;
use serde_json::Value;
use venv_cache::{BaseRecord, CachedEnv, Key, Listed, Manifest};

use crate::provision::build::{Added, BuildRecord, Installed, Replaced};

/// How an environment was made, and the packages that a process in it sees.
///
/// It contains no credentials: none is recorded.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EnvDetails {
    /// Its key.
    pub key: Key,
    /// Its folder.
    pub dir: PathBuf,
    /// Its interpreter, absolute.
    pub python: PathBuf,
    /// The version of Python, such as `3.11.7`.
    pub python_version: String,
    /// Completion time, in seconds since 1970.
    pub created: u64,
    /// The spec in normal form, as an [`Install`] serializes.
    pub spec: Value,
    /// The package manager that built it: `pip` or `uv`.
    pub tool: String,
    /// The version of the package manager.
    pub tool_version: String,
    /// The installed packages, by name.
    pub added: Vec<Added>,
    /// The packages of the base that these replaced, by name.
    pub replaced: Vec<Replaced>,
    /// The versions of the requested packages that a worker must see, by normal name.
    pub expected: BTreeMap<String, String>,
    /// What is not as asked for, in words: requirements of the base's packages that are no longer met,
    /// extras that no package has.
    pub warnings: Vec<String>,
    /// How it adds to its base: `hardlink`, `symlink`, `copy`, or `bare` for a managed base.
    pub strategy: String,
    /// The reason for the strategy, in words that follow "because".
    pub strategy_reason: Option<String>,
    /// Duration of each phase of the build, in seconds.
    pub seconds: BTreeMap<String, f64>,
    /// Its base; none for a managed base.
    pub base: Option<BaseRecord>,
    /// Its own disk space, in bytes.
    pub own_bytes: u64,
    /// The length of all its files in bytes, including those that it shares with its base.
    pub bytes: u64,
    /// The distributions that a process in it sees, with their versions, by normal name: those of
    /// the base and the added ones, as they are on the disk now.
    pub packages: BTreeMap<String, String>,
}

impl EnvDetails {
    /// Returns the details of an environment that is held.
    ///
    /// Returns none if it was not made by a [`Provisioner`](crate::Provisioner).
    #[must_use]
    pub fn of(env: &CachedEnv) -> Option<Self> {
        Self::read(env.dir(), env.manifest())
    }

    /// Returns the details of an environment from [`Cache::list`](venv_cache::Cache::list).
    ///
    /// Returns none if it was not made by a [`Provisioner`](crate::Provisioner).
    #[must_use]
    pub fn of_listed(listed: &Listed) -> Option<Self> {
        Self::read(&listed.dir, &listed.manifest)
    }

    fn read(dir: &Path, manifest: &Manifest) -> Option<Self> {
        let record = BuildRecord::of(manifest)?;
        let installed = Installed::of_environment(dir);
        let packages = installed.iter();
        let packages =
            packages.map(|(name, found)| (name.to_owned(), found.version.clone())).collect();
        Some(Self {
            key: manifest.key,
            dir: dir.to_owned(),
            python: dir.join(&manifest.python),
            python_version: record.python,
            created: manifest.created,
            spec: record.spec,
            tool: record.tool,
            tool_version: record.tool_version,
            added: record.added,
            replaced: record.replaced,
            expected: record.expected,
            warnings: record.warnings,
            strategy: manifest.strategy.clone(),
            strategy_reason: record.strategy_reason,
            seconds: record.seconds,
            base: manifest.base.clone(),
            own_bytes: manifest.own_bytes,
            bytes: manifest.bytes,
            packages,
        })
    }

    /// Returns the spec: the request to the package manager, as far as it is recorded (credentials
    /// are not). Returns none if a later version wrote it.
    #[must_use]
    pub fn install(&self) -> Option<Install> {
        serde_json::from_value(self.spec.clone()).ok()
    }
}
