//! Where each setting of a stage comes from: from what its code declares, or from its entry.

use std::collections::{BTreeMap, BTreeSet};

use envspec::RuntimeEnv;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::entry::Entry;
use super::plain::check_name;
use crate::{AnyStage, Error, Settings, Workers, redacted};

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// Nothing sets it: it is the pipeline's default, else the engine's.
    Default,
    /// The stage's code declares it.
    Code,
    /// The stage's entry in the pipeline sets it: a field of the file, a `with_…`, or `--set`.
    Entry,
}

/// What is known of where the settings of a stage come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origins {
    /// Those that the entry sets.
    given: BTreeSet<&'static str>,
    /// Those that are as the code declares them.
    taken: BTreeSet<&'static str>,
    /// What the code declares where the entry sets something else.
    overridden: BTreeMap<&'static str, Value>,
}

/// A setting that the code of a stage declares, and what became of that.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeclaredSetting {
    /// The stage.
    pub stage: String,
    /// The setting, by its name in a pipeline file.
    pub setting: &'static str,
    /// What the code declares, without what looks secret.
    pub declared: Value,
    /// Whether the stage's entry in the pipeline overrides it.
    pub is_overridden: bool,
}

/// The settings that code may declare, by their names in a pipeline file; `name` is the first.
pub const DECLARABLE: [&str; 12] = [
    "name",
    "runtime_env",
    "batch_size",
    "resources",
    "num_workers",
    "num_workers_per_node",
    "inputs",
    "outputs",
    "task_timeout_seconds",
    "recycle_after_tasks",
    "ray_stage_spec",
    "xenna_stage_spec",
];

/// A number of workers in either form takes the place of the other.
fn slot(setting: &str) -> &str {
    if setting == "num_workers_per_node" { "num_workers" } else { setting }
}

impl Origins {
    /// What an entry without origins plainly sets: what is not at its default.
    pub(crate) fn of_settings(settings: &Settings) -> Self {
        let default = Settings::new(&settings.name);
        let set = [
            ("name", true),
            ("runtime_env", settings.runtime_env.is_some()),
            ("batch_size", settings.batch_size.is_some()),
            ("resources", settings.resources != default.resources),
            ("num_workers", settings.workers != default.workers),
            ("inputs", !settings.inputs.is_empty()),
            ("outputs", !settings.outputs.is_empty()),
            ("task_timeout_seconds", settings.task_timeout.is_some()),
            ("recycle_after_tasks", settings.recycle_after.is_some()),
            ("ray_stage_spec", !settings.ray_options.is_empty()),
            ("xenna_stage_spec", !settings.xenna_options.is_empty()),
        ];
        let given = set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
        Self { given, ..Self::default() }
    }

    pub(crate) fn gives(&self, setting: &str) -> bool {
        self.given.contains(slot(setting))
    }

    /// Notes that the entry sets a setting, or no longer does.
    pub(crate) fn note(&mut self, setting: &'static str, is_given: bool) {
        if is_given {
            self.given.insert(setting);
        } else {
            self.given.remove(setting);
        }
        self.taken.remove(setting);
    }

    /// The same but for the name, which a file that is written always sets.
    pub(crate) fn without_name(&self) -> Self {
        let mut copy = self.clone();
        copy.note("name", false);
        copy
    }

    fn source(&self, setting: &str) -> Source {
        let setting = slot(setting);
        match (self.taken.contains(setting), self.given.contains(setting)) {
            (true, _) => Source::Code,
            (_, true) => Source::Entry,
            _ => Source::Default,
        }
    }
}

impl AnyStage {
    /// Where one of its settings comes from, by its name in a pipeline file.
    #[must_use]
    pub fn source(&self, setting: &str) -> Source {
        self.origins.source(setting)
    }

    /// What its code declares for a setting where its entry sets something else.
    #[must_use]
    pub fn overridden(&self, setting: &str) -> Option<&Value> {
        self.origins.overridden.get(setting)
    }

    /// All that its code is known to declare, and what became of that.
    #[must_use]
    pub fn declared_settings(&self) -> Vec<DeclaredSetting> {
        let settings = serde_json::to_value(&self.settings).unwrap_or_default();
        let one = |setting: &'static str| {
            let overridden = self.overridden(setting);
            let value = match (overridden, self.origins.taken.contains(setting)) {
                (Some(value), _) => value,
                (None, true) => &settings[setting],
                (None, false) => return None,
            };
            let (stage, declared) = (self.settings.name.clone(), redacted(value));
            Some(DeclaredSetting { stage, setting, declared, is_overridden: overridden.is_some() })
        };
        DECLARABLE.into_iter().filter_map(one).collect()
    }

    /// A copy with the settings that its code declares, by their names in a pipeline file. What its
    /// entry sets stays as it is, and so does what is no value for its setting.
    ///
    /// Fails with [`Error::Setting`] where a `runtime_env` that would hold makes no sense: no other
    /// environment could stand in for it.
    pub fn with_declared_settings(&self, declared: &Map<String, Value>) -> Result<Self, Error> {
        let mut copy = self.clone();
        for setting in DECLARABLE {
            let Some(value) = declared.get(setting).filter(|value| !value.is_null()) else {
                continue;
            };
            if self.origins.gives(setting) {
                copy.origins.overridden.insert(setting, value.clone());
            } else if copy.settings.take(setting, value)? {
                copy.origins.taken.insert(slot(setting));
            }
        }
        Ok(copy)
    }
}

impl Settings {
    /// Takes a declared value; false where it is none for that setting.
    fn take(&mut self, setting: &'static str, value: &Value) -> Result<bool, Error> {
        if setting == "name" {
            let name = value.as_str().filter(|name| check_name("stage", name).is_ok());
            if let Some(name) = name {
                name.clone_into(&mut self.name);
            }
            return Ok(name.is_some());
        }
        if setting == "runtime_env" {
            let env = RuntimeEnv::from_value(value.clone()).map_err(|error| Error::Setting {
                stage: self.name.clone(),
                setting,
                problem: format!("as its code declares it, makes no sense: {error}"),
            })?;
            self.runtime_env = Some(env);
            return Ok(true);
        }
        let value = if setting == "resources" { known_amounts(value) } else { value.clone() };
        let Ok(entry) = serde_json::from_value::<Entry>(json!({ setting: value })) else {
            return Ok(false);
        };
        let Ok(read) = entry.into_settings(&self.name) else { return Ok(false) };
        match setting {
            "batch_size" => self.batch_size = read.batch_size,
            "resources" => self.resources = read.resources,
            "num_workers" | "num_workers_per_node" if self.workers == Workers::Auto => {
                self.workers = read.workers;
            }
            "inputs" => self.inputs = read.inputs,
            "outputs" => self.outputs = read.outputs,
            "task_timeout_seconds" => self.task_timeout = read.task_timeout,
            "recycle_after_tasks" => self.recycle_after = read.recycle_after,
            "ray_stage_spec" => self.ray_options = read.ray_options,
            "xenna_stage_spec" => self.xenna_options = read.xenna_options,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The amounts that there are here. Other engines' classes have more: of those that are something the
/// worker tells.
fn known_amounts(value: &Value) -> Value {
    let Value::Object(amounts) = value else { return value.clone() };
    let known = ["cpus", "gpus", "gpu_memory_gb"];
    let kept =
        amounts.iter().filter(|(name, amount)| known.contains(&name.as_str()) && !amount.is_null());
    kept.map(|(name, amount)| (name.clone(), amount.clone())).collect()
}
