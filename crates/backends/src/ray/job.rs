//! The messages about a run to the driver.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use stage::{Settings, Workers};

use super::engine::{RayEngine, RayEnv, Xenna};
use super::host::{Code, StageRequest};
use super::native;
use crate::run::{Error, FailurePolicy, Plan, PlannedStage};

/// A run, for the driver. It contains the credentials of the stages' specs.
#[derive(Serialize)]
pub(crate) struct Job<'a> {
    pub(crate) engine: &'a str,
    /// Unique among all runs of all programs.
    pub(crate) run: String,
    pub(crate) init: Value,
    pub(crate) options: &'a Map<String, Value>,
    pub(crate) policy: FailurePolicy,
    pub(crate) program: &'a Path,
    pub(crate) cache_dir: Option<&'a Path>,
    pub(crate) stages: Vec<JobStage<'a>>,
}

/// A stage, for the driver: the parts that it uses itself, and those that it passes on to the
/// nodes.
#[derive(Serialize)]
pub(crate) struct JobStage<'a> {
    name: &'a str,
    cpus: f64,
    gpus: f64,
    batch_size: Option<usize>,
    num_workers: Option<usize>,
    num_workers_per_node: Option<f64>,
    ray_stage_spec: &'a Map<String, Value>,
    xenna_stage_spec: &'a Map<String, Value>,
    /// The `runtime_env` of the stage's actors.
    runtime_env: Map<String, Value>,
    /// Whether Ray makes the environment.
    is_native: bool,
    request: StageRequest,
}

impl<'a> Job<'a> {
    /// Returns the stages of a plan, after checking that each can be sent.
    pub(crate) fn stages(
        engine: &str,
        plan: &'a Plan,
        ray_env: RayEnv,
    ) -> Result<Vec<JobStage<'a>>, Error> {
        plan.stages().iter().map(|planned| JobStage::new(engine, planned, ray_env)).collect()
    }
}

impl<'a> JobStage<'a> {
    fn new(engine: &str, planned: &'a PlannedStage, ray_env: RayEnv) -> Result<Self, Error> {
        let settings = &planned.settings;
        let (num_workers, num_workers_per_node) = match settings.workers {
            Workers::Auto => (None, None),
            Workers::Fixed(count) => (Some(count), None),
            Workers::PerNode(count) => (None, Some(count)),
        };
        let is_native = ray_env == RayEnv::Native
            && planned.env.as_ref().is_some_and(|env| env.install.is_some());
        let runtime_env = match &planned.env {
            Some(env) if is_native => native::runtime_env(&settings.name, env)?,
            Some(env) => env.engine_fields.clone().into_iter().collect(),
            None => Map::new(),
        };
        let mut request = StageRequest::new(planned)?;
        take_options(engine, &mut request.settings);
        Ok(Self {
            name: &settings.name,
            cpus: settings.resources.cpus,
            gpus: planned.gpus(),
            batch_size: settings.batch_size,
            num_workers,
            num_workers_per_node,
            ray_stage_spec: &settings.ray_options,
            xenna_stage_spec: &settings.xenna_options,
            runtime_env,
            is_native,
            request,
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// Returns the name under which a Rust stage is registered.
    pub(crate) fn registered_name(&self) -> Option<&str> {
        match &self.request.code {
            Code::Rust { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// Applies the engine's options for retries of tasks and the lifetime of workers if the stage's own
/// settings do not decide: both happen beside the engine's workers.
fn take_options(engine: &str, settings: &mut Settings) {
    let count = |options: &Map<String, Value>, name: &str| options.get(name)?.as_u64();
    if engine == Xenna::NAME {
        let attempts = count(&settings.xenna_options, "num_run_attempts_python");
        let attempts = attempts.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        settings.max_attempts = settings.max_attempts.or(attempts);
    } else {
        let calls = count(&settings.ray_options, "max_calls_per_worker");
        // A call is a batch.
        let size = settings.batch_size.map_or(1, |size| u64::try_from(size).unwrap_or(u64::MAX));
        let tasks = calls.map(|calls| calls.saturating_mul(size));
        settings.recycle_after = settings.recycle_after.or(tasks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_s_own_options_decide_where_the_settings_do_not() {
        let mut settings = Settings::new("s");
        settings.batch_size = Some(8);
        settings.ray_options.insert("max_calls_per_worker".to_owned(), 3.into());
        settings.xenna_options.insert("num_run_attempts_python".to_owned(), 5.into());
        let taken = |engine: &str, settings: &Settings| {
            let mut settings = settings.clone();
            take_options(engine, &mut settings);
            (settings.max_attempts, settings.recycle_after)
        };
        assert_eq!(taken("xenna", &settings), (Some(5), None));
        assert_eq!(taken("ray-data", &settings), (None, Some(24)));
        (settings.max_attempts, settings.recycle_after) = (Some(2), Some(7));
        assert_eq!(taken("xenna", &settings), (Some(2), Some(7)));
        assert_eq!(taken("ray-actor-pool", &settings), (Some(2), Some(7)));
    }
}
