//! The written form of a stage: one table of a pipeline file, or its settings alone.

use std::time::Duration;

use envspec::RuntimeEnv;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::json;
use crate::task::seconds;
use crate::{Isolation, Resources, Settings, Workers};

/// A stage as it is written. One struct for both uses, since `flatten` and strict fields exclude
/// each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Entry {
    /// The stage's name, unique in its pipeline. By default, the last part of what `python` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Its code: `file.py:Name` or `package.module:Name`; with `source`, the name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) python: Option<String>,
    /// The text of the module that holds the code, in place of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Arguments for the class: a table of keyword arguments, or a list of positional ones.
    #[serde(skip_serializing_if = "Value::is_null", deserialize_with = "json::value")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Args>"))]
    pub(crate) args: Value,
    /// Its Python packages and variables, in the shape of Ray's `runtime_env`. By default, the
    /// pipeline's; an empty table is the base environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_env: Option<RuntimeEnv>,
    /// What one worker occupies.
    #[serde(skip_serializing_if = "is_default")]
    resources: Resources,
    /// At most how many tasks are handed over at once. By default, the engine's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    batch_size: Option<usize>,
    /// How many workers. By default, the engine's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    num_workers: Option<usize>,
    /// How many workers on each node, in place of `num_workers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    num_workers_per_node: Option<f64>,
    /// Keys that a task must have to enter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    /// Keys that the stage gives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<String>,
    /// The longest that one task may take. By default, for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>", extend("exclusiveMinimum" = 0)))]
    task_timeout_seconds: Option<Seconds>,
    /// How far the environment is kept apart from its base: `shared` (links), or `full` (copies).
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<Isolation>,
    /// How many times a task is tried in all. By default, a task whose worker died is tried
    /// once more, and one that the code failed on is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    max_attempts: Option<u32>,
    /// After how many tasks a worker is replaced by a fresh one. By default, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    recycle_after_tasks: Option<u64>,
    /// Options that only the Ray engines read.
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "json::object")]
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::RayOptions"))]
    ray_stage_spec: Map<String, Value>,
    /// Options that only Xenna reads.
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "json::object")]
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::XennaOptions"))]
    xenna_stage_spec: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Seconds(#[serde(with = "seconds")] Duration);

fn is_default(resources: &Resources) -> bool {
    *resources == Resources::default()
}

impl Entry {
    /// The settings; `name` is what the stage is called unless it says so itself.
    pub(crate) fn into_settings(self, name: &str) -> Result<Settings, TwoWorkers> {
        let workers = match (self.num_workers, self.num_workers_per_node) {
            (None, None) => Workers::Auto,
            (Some(number), None) => Workers::Fixed(number),
            (None, Some(number)) => Workers::PerNode(number),
            (Some(_), Some(_)) => return Err(TwoWorkers),
        };
        let mut settings = Settings::new(self.name.as_deref().unwrap_or(name));
        settings.resources = self.resources;
        settings.batch_size = self.batch_size;
        settings.workers = workers;
        settings.runtime_env = self.runtime_env;
        settings.inputs = self.inputs;
        settings.outputs = self.outputs;
        settings.ray_options = self.ray_stage_spec;
        settings.xenna_options = self.xenna_stage_spec;
        settings.task_timeout = self.task_timeout_seconds.map(|seconds| seconds.0);
        settings.isolation = self.isolation;
        settings.max_attempts = self.max_attempts;
        settings.recycle_after = self.recycle_after_tasks;
        Ok(settings)
    }
}

/// Both `num_workers` and `num_workers_per_node` are given.
#[derive(Debug, thiserror::Error)]
#[error("`num_workers` and `num_workers_per_node` exclude each other")]
pub(crate) struct TwoWorkers;

/// A stage's settings alone are not what was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSettings {
    #[error("missing field `name`")]
    NoName,
    #[error("settings hold no code: `{0}`")]
    Code(&'static str),
    #[error(transparent)]
    TwoWorkers(#[from] TwoWorkers),
}

impl TryFrom<Entry> for Settings {
    type Error = NotSettings;

    fn try_from(entry: Entry) -> Result<Self, NotSettings> {
        if entry.python.is_some() {
            return Err(NotSettings::Code("python"));
        }
        if entry.source.is_some() {
            return Err(NotSettings::Code("source"));
        }
        if !entry.args.is_null() {
            return Err(NotSettings::Code("args"));
        }
        if entry.name.is_none() {
            return Err(NotSettings::NoName);
        }
        Ok(entry.into_settings("")?)
    }
}

impl From<Settings> for Entry {
    fn from(settings: Settings) -> Self {
        let Settings {
            name,
            resources,
            batch_size,
            workers,
            runtime_env,
            inputs,
            outputs,
            ray_options,
            xenna_options,
            task_timeout,
            isolation,
            max_attempts,
            recycle_after,
        } = settings;
        let (num_workers, num_workers_per_node) = match workers {
            Workers::Auto => (None, None),
            Workers::Fixed(number) => (Some(number), None),
            Workers::PerNode(number) => (None, Some(number)),
        };
        Self {
            name: Some(name),
            python: None,
            source: None,
            args: Value::Null,
            runtime_env,
            resources,
            batch_size,
            num_workers,
            num_workers_per_node,
            inputs,
            outputs,
            task_timeout_seconds: task_timeout.map(Seconds),
            isolation,
            max_attempts,
            recycle_after_tasks: recycle_after,
            ray_stage_spec: ray_options,
            xenna_stage_spec: xenna_options,
        }
    }
}
