//! What a run leaves behind.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stage::{DeclaredSetting, Task};

use super::environment::EnvironmentReport;
use super::event::{Event, Observer};
use super::failure::FailedTask;
use super::plan::Plan;

/// A run, as it ended.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The pipeline's name.
    pub pipeline: String,
    /// The executor's name.
    pub executor: String,
    /// What came out of the last stage, sorted by id; empty where a sink took it.
    pub outputs: Vec<Task>,
    /// Tasks that failed for good; only where the policy is to record them.
    pub failed: Vec<FailedTask>,
    /// The stages, in the order of the pipeline.
    pub stages: Vec<StageReport>,
    /// The environments, each once.
    pub environments: Vec<EnvironmentReport>,
    /// What the code of its stages was known to declare before it began, and what became of that.
    pub declared: Vec<DeclaredSetting>,
    /// Whether it was asked to [stop](crate::Stop) before its end: nothing became of what was waiting
    /// then.
    pub is_stopped: bool,
    /// From the call to the last output.
    #[serde(rename = "wall_seconds", with = "crate::run::seconds")]
    pub wall: Duration,
}

impl RunReport {
    /// Returns the report of a run in which nothing has happened yet, for an executor to fill in.
    #[must_use]
    pub fn new(plan: &Plan, executor: &str) -> Self {
        Self {
            pipeline: plan.name().to_owned(),
            executor: executor.to_owned(),
            outputs: Vec::new(),
            failed: Vec::new(),
            stages: Vec::new(),
            environments: Vec::new(),
            declared: plan.declared(),
            is_stopped: false,
            wall: Duration::ZERO,
        }
    }

    /// Adds an environment; one that is there already has more stages then.
    pub fn add_environment(&mut self, environment: EnvironmentReport) {
        let same = self
            .environments
            .iter_mut()
            .find(|it| it.key == environment.key && it.python == environment.python);
        match same {
            Some(same) => same.stages.extend(environment.stages),
            None => self.environments.push(environment),
        }
    }

    /// Tells of stages that dropped all that they got: a filter may, but it is also what a `process`
    /// without `return` does. For an executor, at the end of a run that came to its end.
    pub fn tell_dropped(&self, plan: &Plan, observer: &dyn Observer) {
        tell_dropped(plan, &self.stages, observer);
    }

    /// The environment that a stage ran in.
    #[must_use]
    pub fn environment_of(&self, stage: &str) -> Option<&EnvironmentReport> {
        self.environments.iter().find(|env| env.stages.iter().any(|name| name == stage))
    }
}

/// What a stage did in a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Tasks that went in and were done with, those that failed on the way included.
    pub tasks: u64,
    /// Tasks that came out.
    pub outputs: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Batches.
    pub batches: u64,
    /// Workers that were set up, replacements included.
    pub workers: u64,
    /// Workers that were forked from a template, which had imported their packages.
    #[serde(default)]
    pub forked: u64,
    /// Why others were not, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_forked: Option<String>,
    /// Time in the stage's own code, summed over its workers.
    #[serde(rename = "process_seconds", with = "crate::run::seconds")]
    pub process: Duration,
    /// Time for bringing tasks to its workers and back, as far as these had nothing else to do.
    #[serde(rename = "transfer_seconds", with = "crate::run::seconds")]
    pub transfer: Duration,
}

/// Tells of stages that dropped all that they got: a filter may, but it is also what a `process`
/// without `return` does. For an executor, at the end of a run that came to its end.
pub(crate) fn tell_dropped(plan: &Plan, stages: &[StageReport], observer: &dyn Observer) {
    for (planned, stage) in plan.stages().iter().zip(stages) {
        if !stage.dropped_all() {
            continue;
        }
        let (count, noun) = match stage.tasks - stage.failed {
            1 => ("the only".to_owned(), "task"),
            count => (format!("all {count}"), "tasks"),
        };
        let why = if planned.behaviour.as_python().is_some() {
            ": its code returned None or an empty list each time; a missing `return` gives None, too"
        } else {
            ""
        };
        let message = format!("it dropped {count} {noun} that it got{why}");
        observer.on_event(&Event::Warning { stage: Some(stage.name.clone()), message });
    }
}

/// Where the time of a batch went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// In the stage's own code.
    pub(crate) process: Duration,
    /// On the way to the worker and back.
    pub(crate) transfer: Duration,
}

impl StageReport {
    /// Returns the report of a stage that has done nothing yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tasks: 0,
            outputs: 0,
            failed: 0,
            batches: 0,
            workers: 0,
            forked: 0,
            not_forked: None,
            process: Duration::ZERO,
            transfer: Duration::ZERO,
        }
    }

    /// Adds what another process did of the same stage.
    pub fn add(&mut self, other: &Self) {
        // No `..`: a new field is summed here.
        let Self {
            name: _,
            tasks,
            outputs,
            failed,
            batches,
            workers,
            forked,
            not_forked,
            process,
            transfer,
        } = other;
        self.tasks += tasks;
        self.outputs += outputs;
        self.failed += failed;
        self.batches += batches;
        self.workers += workers;
        self.forked += forked;
        self.not_forked = self.not_forked.take().or_else(|| not_forked.clone());
        self.process += *process;
        self.transfer += *transfer;
    }

    /// Whether nothing came of any task that it did not fail on, and there were some.
    #[must_use]
    pub fn dropped_all(&self) -> bool {
        self.tasks > self.failed && self.outputs == 0
    }

    pub(crate) fn add_batch(&mut self, tasks: usize, outputs: usize, spent: Spent) {
        self.tasks += tasks as u64;
        self.outputs += outputs as u64;
        self.batches += 1;
        self.process += spent.process;
        self.transfer += spent.transfer;
    }
}
