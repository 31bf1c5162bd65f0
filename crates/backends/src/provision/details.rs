//! What is known of an environment of the cache: what was asked for, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use envspec::Install;
use serde::Serialize;
use serde_json::Value;
use venv_cache::{BaseRecord, CachedEnv, Key, Listed, Manifest};

use super::installed::Installed;
use super::record::Record;

/// How an environment was made, and which packages a process in it sees.
///
/// It holds no credentials: none is recorded.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Details {
    /// Its key.
    pub key: Key,
    /// Its folder.
    pub dir: PathBuf,
    /// Its interpreter, absolute.
    pub python: PathBuf,
    /// When it was complete, in seconds since 1970.
    pub created: u64,
    /// The spec in normal form, as an [`Install`] serializes.
    pub spec: Value,
    /// The package manager that built it: `pip` or `uv`.
    pub tool: String,
    /// The version of that.
    pub tool_version: String,
    /// What was installed, by name.
    pub added: Vec<Added>,
    /// What that replaced of the base, by name.
    pub replaced: Vec<Replaced>,
    /// The versions that a worker must see of what was asked for, by normal name.
    pub expected: BTreeMap<String, String>,
    /// Packages of the base that do not get what they ask for any more, in words.
    pub warnings: Vec<String>,
    /// How it adds to its base: `hardlink`, `symlink`, `copy`, or `bare` for a managed base.
    pub strategy: String,
    /// Why by that, in words that follow "because".
    pub strategy_reason: Option<String>,
    /// How long each phase of the build took, in seconds.
    pub seconds: BTreeMap<String, f64>,
    /// Its base; none for a managed base.
    pub base: Option<BaseRecord>,
    /// The disk that is its own, in bytes.
    pub own_bytes: u64,
    /// The length of all its files in bytes, those included that it shares with its base.
    pub bytes: u64,
    /// The distributions that a process in it sees, with their versions, by normal name: those of
    /// the base and those that were added, as they lie on the disk at this moment.
    pub packages: BTreeMap<String, String>,
}

/// A distribution that was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// Its normal name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its `RECORD`, which names its files and their digests.
    pub record: Option<String>,
    /// Where it came from, if not from an index: a URL or path without credentials (PEP 610).
    pub source: Option<String>,
    /// The commit, where it came from a repository.
    pub commit: Option<String>,
}

/// A distribution of the base that another version took the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Replaced {
    /// Its normal name.
    pub name: String,
    /// The version that the base has.
    pub version: String,
}

/// Why a package is in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Why {
    /// Its normal name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Whether it was installed for this environment or is the base's.
    pub origin: Origin,
    /// The base's version that it took the place of.
    pub replaced: Option<String>,
    /// The requirements of the spec that ask for it.
    pub requested_by: Vec<String>,
    /// The packages of the environment that ask for it, with what they ask for; those whose
    /// requirement holds here.
    pub required_by: Vec<Dependent>,
    /// The shortest way to it from a requirement of the spec: the requirement, then package by
    /// package. Empty if nothing that the spec asks for leads to it.
    pub path: Vec<String>,
}

/// Where a package of an environment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// It was installed for this environment.
    Added,
    /// The base has it.
    Base,
}

/// A package that asks for another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Dependent {
    /// It, as `name==version`.
    pub package: String,
    /// What it asks for.
    pub requires: String,
}

/// How two environments differ; `left` and `right` in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diff {
    /// Packages that only one of them has, or each in another version, by name.
    pub packages: Vec<Change>,
    /// Requirements, constraints (`-c …`), overrides (`--override …`) that only the left one asks
    /// for.
    pub only_left: Vec<String>,
    /// Those that only the right one asks for.
    pub only_right: Vec<String>,
    /// What else of how they were made differs: the field, and the two values in words.
    pub settings: Vec<Change>,
}

/// Something that is different in two environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The package or setting.
    pub name: String,
    /// Its version or value in the left one, if it has it.
    pub left: Option<String>,
    /// Its version or value in the right one, if it has it.
    pub right: Option<String>,
}

impl Details {
    /// What is known of an environment that is held.
    ///
    /// Nothing if it was not made by a [`Provisioner`](crate::Provisioner).
    #[must_use]
    pub fn of(env: &CachedEnv) -> Option<Self> {
        Self::read(env.dir(), env.manifest())
    }

    /// What is known of an environment as [`Cache::list`](venv_cache::Cache::list) gives it.
    ///
    /// Nothing if it was not made by a [`Provisioner`](crate::Provisioner).
    #[must_use]
    pub fn of_listed(listed: &Listed) -> Option<Self> {
        Self::read(&listed.dir, &listed.manifest)
    }

    fn read(dir: &Path, manifest: &Manifest) -> Option<Self> {
        let record = Record::of(manifest)?;
        let installed = Installed::of_environment(dir);
        let packages = installed.iter();
        let packages =
            packages.map(|(name, found)| (name.to_owned(), found.version.clone())).collect();
        Some(Self {
            key: manifest.key,
            dir: dir.to_owned(),
            python: dir.join(&manifest.python),
            created: manifest.created,
            spec: record.spec,
            tool: record.tool,
            tool_version: record.tool_version,
            added: record.added.into_iter().map(Into::into).collect(),
            replaced: record
                .replaced
                .into_iter()
                .map(|it| Replaced { name: it.name, version: it.version })
                .collect(),
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

    /// The spec: what the package manager was asked to do, as far as it is recorded (credentials
    /// are not). Nothing if a later version wrote it.
    #[must_use]
    pub fn install(&self) -> Option<Install> {
        serde_json::from_value(self.spec.clone()).ok()
    }

    /// Why a package is in the environment: asked for by a requirement, brought by another package,
    /// or the base's. Nothing if it is not in it.
    ///
    /// Reads the metadata of the packages on disk.
    #[must_use]
    pub fn why(&self, package: &str) -> Option<Why> {
        super::why::why(self, package)
    }

    /// How this environment, the left one, differs from another.
    #[must_use]
    pub fn diff(&self, right: &Self) -> Diff {
        let names: BTreeSet<&String> = self.packages.keys().chain(right.packages.keys()).collect();
        let change = |name: &str, left: Option<&String>, right: Option<&String>| {
            (left != right).then(|| Change {
                name: name.to_owned(),
                left: left.cloned(),
                right: right.cloned(),
            })
        };
        let packages = names
            .into_iter()
            .filter_map(|name| change(name, self.packages.get(name), right.packages.get(name)));
        let (ours, theirs) = (self.asked(), right.asked());
        let (ours_set, theirs_set) = (self.settings(), right.settings());
        let fields: BTreeSet<&String> = ours_set.keys().chain(theirs_set.keys()).collect();
        let settings = fields
            .into_iter()
            .filter_map(|field| change(field, ours_set.get(field), theirs_set.get(field)));
        Diff {
            packages: packages.collect(),
            only_left: ours.difference(&theirs).cloned().collect(),
            only_right: theirs.difference(&ours).cloned().collect(),
            settings: settings.collect(),
        }
    }

    /// What the spec asks for, as lines.
    fn asked(&self) -> BTreeSet<String> {
        let list = |field: &str, option: &'static str| {
            let items = self.spec.get(field).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(move |line| format!("{option}{line}"))
        };
        list("requirements", "")
            .chain(list("constraints", "-c "))
            .chain(list("overrides", "--override "))
            .chain(list("keep", "--keep "))
            .collect()
    }

    /// Everything else that tells one environment from another, in words.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::from([
            ("strategy".to_owned(), self.strategy.clone()),
            ("tool".to_owned(), format!("{} {}", self.tool, self.tool_version)),
        ]);
        if let Some(base) = &self.base {
            settings.insert("base".to_owned(), base.python.clone());
            settings.insert("base fingerprint".to_owned(), base.fingerprint.clone());
        }
        for field in ["tool_version", "index", "tool_options", "check", "build_env", "contents"] {
            if let Some(value) = self.spec.get(field).filter(|value| !is_empty(value)) {
                let name = if field == "tool_version" { "wanted tool version" } else { field };
                settings.insert(name.to_owned(), value.to_string());
            }
        }
        settings
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Number(_) | Value::String(_) => false,
    }
}
