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
#[serde(deny_unknown_fields, default)]
pub(crate) struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) python: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null", deserialize_with = "json::value")]
    pub(crate) args: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_env: Option<RuntimeEnv>,
    #[serde(skip_serializing_if = "is_default")]
    resources: Resources,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_workers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_workers_per_node: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_timeout_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<Isolation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recycle_after_tasks: Option<u64>,
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "json::object")]
    ray_stage_spec: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "json::object")]
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
