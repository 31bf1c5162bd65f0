//! A stage's settings as plain data, and their check.

use std::fmt;
use std::time::Duration;

use envspec::RuntimeEnv;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entry::Entry;
use super::options::{RAY, XENNA};
use crate::code::is_dotted_name;
use crate::secret::Shown;
use crate::{Data, Error, Isolation, Preload, Resources, TaskId, Workers};

/// What a stage is besides its code.
///
/// Plain data that anybody may build or change; a value that makes no sense is refused when a
/// pipeline is built. As JSON it has the names of a pipeline file, and what is at its default is
/// left out. Debug output hides what looks secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
#[non_exhaustive]
pub struct Settings {
    /// The stage's name, unique in its pipeline.
    pub name: String,
    /// What one worker occupies. By default, one core.
    pub resources: Resources,
    /// At most how many tasks are handed over at once, at least 1. By default, `None`: the engine's
    /// choice (1 here and on Xenna, a whole block on Ray Data).
    pub batch_size: Option<usize>,
    /// How many workers. By default, the executor's choice.
    pub workers: Workers,
    /// The Python packages of the stage. By default, `None`: the pipeline's own. An empty one is
    /// the base environment, whatever the pipeline's is.
    pub runtime_env: Option<RuntimeEnv>,
    /// Keys that a task must have to enter. By default, none is asked for.
    pub inputs: Vec<String>,
    /// Keys that the stage gives. By default, none is promised.
    pub outputs: Vec<String>,
    /// `ray_stage_spec`: options that only the Ray engines read. Unknown ones are refused.
    pub ray_options: Map<String, Value>,
    /// `xenna_stage_spec`: options that only Xenna reads. Unknown ones are refused.
    pub xenna_options: Map<String, Value>,
    /// The longest that one task may take, above zero. By default, `None`: for ever.
    pub task_timeout: Option<Duration>,
    /// How far the environment is kept apart from its base. By default, `None`: as the environment
    /// cache is set.
    pub isolation: Option<Isolation>,
    /// How many times a task is tried in all, whatever went wrong, at least 1. By default, `None`:
    /// a task whose worker died is tried once more on a fresh one, a task that the stage's code
    /// failed on is not.
    pub max_attempts: Option<u32>,
    /// After how many tasks a worker is replaced by a fresh one, at least 1. By default, `None`:
    /// never.
    pub recycle_after: Option<u64>,
    /// What is imported before workers are forked. By default, `None`: what the stage's file
    /// imports before it does anything else.
    pub preload: Option<Preload>,
}

impl Settings {
    /// The settings of a stage of that name, everything else at its default.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            resources: Resources::default(),
            batch_size: None,
            workers: Workers::Auto,
            runtime_env: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            ray_options: Map::new(),
            xenna_options: Map::new(),
            task_timeout: None,
            isolation: None,
            max_attempts: None,
            recycle_after: None,
            preload: None,
        }
    }

    /// Refuses values that make no sense and options that no engine knows. A pipeline does it when
    /// it is built.
    ///
    /// What `nemo_curator` refuses is refused here: `gpus` with `gpu_memory_gb`, two ways to give
    /// the number of workers, unknown keys of `ray_stage_spec`, what `ray_remote_args` may not
    /// hold. What it lets pass is refused too: unknown keys of `xenna_stage_spec`, values of the
    /// wrong type, and a `runtime_env` within `ray_remote_args`.
    pub fn check(&self) -> Result<(), Error> {
        check_name("stage", &self.name)?;
        let wrong = |setting, problem: &str| {
            let (stage, problem) = (self.name.clone(), problem.to_owned());
            Err(Error::Setting { stage, setting, problem })
        };
        if let Some(problem) = self.resources.problem() {
            return wrong("resources", &problem);
        }
        if let Some(problem) = self.workers.problem() {
            return wrong(self.workers.setting(), problem);
        }
        if self.batch_size == Some(0) {
            return wrong("batch_size", "is 0, and a batch holds at least one task");
        }
        if self.task_timeout == Some(Duration::ZERO) {
            return wrong("task_timeout_seconds", "is 0, which no task can meet");
        }
        if self.max_attempts == Some(0) {
            return wrong("max_attempts", "is 0: the first try counts");
        }
        if self.recycle_after == Some(0) {
            return wrong("recycle_after_tasks", "is 0, and a worker does at least one task");
        }
        for module in self.preload.iter().flat_map(Preload::modules) {
            if !is_dotted_name(module) {
                let problem = format!("holds {module:?}, which is no name of a module");
                return wrong("preload", &problem);
            }
        }
        for (setting, keys) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if keys.iter().any(String::is_empty) {
                return wrong(setting, "holds an empty key");
            }
        }
        RAY.check(&self.name, &self.ray_options, self.workers)?;
        XENNA.check(&self.name, &self.xenna_options, self.workers)
    }

    /// Refuses a task that lacks a key which the stage declares as an input. Executors do it at the
    /// stage's door.
    ///
    /// Keys are those of a JSON object: other data has none.
    pub fn check_task(&self, task: &TaskId, data: &Data) -> Result<(), Error> {
        let missing: Vec<String> =
            self.inputs.iter().filter(|key| !data.has(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::MissingKeys { stage: self.name.clone(), task: task.clone(), missing })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
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
        } = self;
        f.debug_struct("Settings")
            .field("name", name)
            .field("resources", resources)
            .field("batch_size", batch_size)
            .field("workers", workers)
            .field("runtime_env", runtime_env)
            .field("inputs", inputs)
            .field("outputs", outputs)
            .field("ray_options", &Shown(ray_options))
            .field("xenna_options", &Shown(xenna_options))
            .field("task_timeout", task_timeout)
            .field("isolation", isolation)
            .field("max_attempts", max_attempts)
            .field("recycle_after", recycle_after)
            .field("preload", preload)
            .finish()
    }
}

/// Refuses a name that is empty or would break a line of a log.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(Error::Name { what, name: name.chars().take(64).collect() });
    }
    Ok(())
}
