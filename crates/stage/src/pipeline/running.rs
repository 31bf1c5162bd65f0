//! Settings for a run, in a pipeline file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The policy for a task that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// Stop at the first task that fails for good; the run's result is that failure.
    #[default]
    FailFast,
    /// Record it and continue; the report lists it.
    Record,
}

/// The engine that runs a pipeline, and its options. Options of other engines have no effect, so
/// that the command line can choose another engine.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Engine {
    /// The engine's name. By default, `local`.
    pub backend: Backend,
    /// For `local`, the number of cores that the stages share. By default, those of the machine.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some_cores")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub cpus: Option<usize>,
    /// For `local`, the devices that the stages share, by the names that `CUDA_VISIBLE_DEVICES`
    /// takes. By default, those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<String>>,
    /// For `local`, whether workers are forked from processes that have imported their packages. By
    /// default, they are where a stage can have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<bool>,
    /// For `local`, how long the stages' imports stay after the run, for the next run of the same stages:
    /// `30s`, `10m`, `2h`. By default, they end with the run.
    #[serde(skip_serializing_if = "Option::is_none", with = "super::amounts::optional")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<String>", regex(pattern = r"^ *[0-9]+ *[smhdw] *$"))
    )]
    pub keep_warm: Option<Duration>,
    /// For those on Ray, the cluster to use: `host:port`, or `auto` for the one of this machine. By
    /// default, a private Ray that ends with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// For those on Ray, the cores of a private Ray. By default, those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub num_cpus: Option<f64>,
    /// For those on Ray, the GPUs of a private Ray. By default, those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub num_gpus: Option<f64>,
    /// For those on Ray, other arguments of `ray.init`.
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "envspec::json::object")]
    pub init: Map<String, Value>,
    /// For those on Ray, the maker of the stages' environments. By default, `cached`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ray_env: Option<RayEnvironments>,
    /// Options of the engine itself: for `xenna` those of its `PipelineConfig`, for `ray-actor-pool`
    /// `resource_wait_timeout_s`, `reserved_cpus` and `reserved_gpus`.
    #[serde(skip_serializing_if = "Map::is_empty", deserialize_with = "envspec::json::object")]
    pub options: Map<String, Value>,
}

/// Reads a number of cores that something can run on.
fn some_cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let cores = Option::deserialize(deserializer)?;
    if cores == Some(0) {
        let wanted = "a whole number from 1 on";
        return Err(D::Error::invalid_value(Unexpected::Unsigned(0), &wanted));
    }
    Ok(cores)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            backend,
            cpus,
            devices,
            templates,
            keep_warm,
            address,
            num_cpus,
            num_gpus,
            init,
            ray_env,
            options,
        } = self;
        // Arguments may be secret: `_redis_password`.
        let init: Vec<_> = init.keys().collect();
        f.debug_struct("Engine")
            .field("backend", backend)
            .field("cpus", cpus)
            .field("devices", devices)
            .field("templates", templates)
            .field("keep_warm", keep_warm)
            .field("address", address)
            .field("num_cpus", num_cpus)
            .field("num_gpus", num_gpus)
            .field("init", &init)
            .field("ray_env", ray_env)
            .field("options", options)
            .finish()
    }
}

/// The maker of the stages' environments on a Ray cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RayEnvironments {
    /// The cache on each node, where they outlive the run.
    Cached,
    /// Ray itself, once for each session and node.
    Native,
}

/// The engine that runs the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// This machine: processes and threads of the program itself.
    #[default]
    Local,
    /// Ray Data: streaming, each stage a `map_batches`.
    RayData,
    /// A pool of Ray actors for each stage, one stage after another.
    RayActorPool,
    /// Xenna: streaming, with workers that are added where the pipeline is slow.
    Xenna,
}

impl Backend {
    /// All backends.
    pub const ALL: [Self; 4] = [Self::Local, Self::RayData, Self::RayActorPool, Self::Xenna];

    /// Returns its name in a pipeline file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::RayData => "ray-data",
            Self::RayActorPool => "ray-actor-pool",
            Self::Xenna => "xenna",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not the name of a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such backend; there are {}", names())]
pub struct UnknownBackend;

fn names() -> String {
    let names: Vec<String> = Backend::ALL.iter().map(|it| format!("`{it}`")).collect();
    names.join(", ")
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        Self::ALL.into_iter().find(|it| it.as_str() == text).ok_or(UnknownBackend)
    }
}
