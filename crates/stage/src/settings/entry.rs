//! The written form of a stage: one table of a pipeline file, or its settings alone.

use std::time::Duration;

use envspec::RuntimeEnv;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::origins::Origins;
use crate::json;
use crate::task::seconds;
use crate::{Declared, Isolation, Preload, Resources, Settings, Workers};

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
    /// What becomes of what the class declares about itself, such as a class variable `runtime_env`:
    /// `use`, where this entry sets nothing else (the default), `ignore`, or `forbid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) declared: Option<Declared>,
    /// Its Python packages and variables, in the shape of Ray's `runtime_env`. By default, the
    /// pipeline's; an empty table is the base environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_env: Option<RuntimeEnv>,
    /// What one worker occupies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Resources"))]
    resources: Option<Resources>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    inputs: Option<Vec<String>>,
    /// Keys that the stage gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    outputs: Option<Vec<String>>,
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
    /// What is imported before workers are forked: modules, and then what the stage's file imports
    /// first (the default), or `false`, and none is forked.
    #[serde(skip_serializing_if = "Option::is_none")]
    preload: Option<Preload>,
    /// Options that only the Ray engines read.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::RayOptions"))]
    ray_stage_spec: Option<Map<String, Value>>,
    /// Options that only Xenna reads.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    #[cfg_attr(feature = "schema", schemars(with = "super::schema::XennaOptions"))]
    xenna_stage_spec: Option<Map<String, Value>>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Seconds(#[serde(with = "seconds")] Duration);

/// Options as they are written; an empty table is one, too.
fn object<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    json::object(from).map(Some)
}

impl Entry {
    /// Notes which settings it sets, be it to their defaults.
    pub(crate) fn note(&self, origins: &mut Origins) {
        let given = [
            ("name", self.name.is_some()),
            ("resources", self.resources.is_some()),
            ("inputs", self.inputs.is_some()),
            ("outputs", self.outputs.is_some()),
            ("ray_stage_spec", self.ray_stage_spec.is_some()),
            ("xenna_stage_spec", self.xenna_stage_spec.is_some()),
        ];
        for (setting, is_given) in given {
            origins.note(setting, is_given);
        }
    }

    /// Writes out what is set to its default.
    pub(crate) fn write_out(&mut self, origins: &Origins) {
        if origins.gives("resources") {
            self.resources.get_or_insert_default();
        }
        if origins.gives("inputs") {
            self.inputs.get_or_insert_default();
        }
        if origins.gives("outputs") {
            self.outputs.get_or_insert_default();
        }
        if origins.gives("ray_stage_spec") {
            self.ray_stage_spec.get_or_insert_default();
        }
        if origins.gives("xenna_stage_spec") {
            self.xenna_stage_spec.get_or_insert_default();
        }
    }

    /// The settings; `name` is what the stage is called unless it says so itself.
    pub(crate) fn into_settings(self, name: &str) -> Result<Settings, TwoWorkers> {
        let workers = match (self.num_workers, self.num_workers_per_node) {
            (None, None) => Workers::Auto,
            (Some(number), None) => Workers::Fixed(number),
            (None, Some(number)) => Workers::PerNode(number),
            (Some(_), Some(_)) => return Err(TwoWorkers),
        };
        let mut settings = Settings::new(self.name.as_deref().unwrap_or(name));
        settings.resources = self.resources.unwrap_or_default();
        settings.batch_size = self.batch_size;
        settings.workers = workers;
        settings.runtime_env = self.runtime_env;
        settings.inputs = self.inputs.unwrap_or_default();
        settings.outputs = self.outputs.unwrap_or_default();
        settings.ray_options = self.ray_stage_spec.unwrap_or_default();
        settings.xenna_options = self.xenna_stage_spec.unwrap_or_default();
        settings.task_timeout = self.task_timeout_seconds.map(|seconds| seconds.0);
        settings.isolation = self.isolation;
        settings.max_attempts = self.max_attempts;
        settings.recycle_after = self.recycle_after_tasks;
        settings.preload = self.preload;
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
        if entry.declared.is_some() {
            return Err(NotSettings::Code("declared"));
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
            preload,
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
            declared: None,
            runtime_env,
            resources: (resources != Resources::default()).then_some(resources),
            batch_size,
            num_workers,
            num_workers_per_node,
            inputs: (!inputs.is_empty()).then_some(inputs),
            outputs: (!outputs.is_empty()).then_some(outputs),
            task_timeout_seconds: task_timeout.map(Seconds),
            isolation,
            max_attempts,
            recycle_after_tasks: recycle_after,
            preload,
            ray_stage_spec: (!ray_options.is_empty()).then_some(ray_options),
            xenna_stage_spec: (!xenna_options.is_empty()).then_some(xenna_options),
        }
    }
}
