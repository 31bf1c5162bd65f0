//! The report of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stage::{DeclaredSetting, Task};

use super::environment::EnvReport;
use super::event::{Event, Observer};
use super::failure::FailedTask;
use super::plan::Plan;

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The pipeline's name.
    pub pipeline: String,
    /// The executor's name.
    pub executor: String,
    /// The outputs of the last stage, sorted by id; empty if a sink took them.
    pub outputs: Vec<Task>,
    /// Tasks that failed for good; only with the policy to record them.
    pub failed: Vec<FailedTask>,
    /// The stages, in the order of the pipeline.
    pub stages: Vec<StageReport>,
    /// The environments, each once.
    pub environments: Vec<EnvReport>,
    /// The declarations of its stages' code that were known before it began, and their effect.
    pub declared: Vec<DeclaredSetting>,
    /// Whether it was asked to [stop](crate::Stop) before its end: waiting tasks were dropped then.
    pub is_stopped: bool,
    /// Time from the call to the last output.
    #[serde(rename = "wall_seconds", with = "super::seconds")]
    pub wall: Duration,
}

impl RunReport {
    /// Returns an empty report, for an executor to fill in.
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

    /// Adds an environment. A known one gets the additional stages.
    pub fn add_environment(&mut self, environment: EnvReport) {
        let same = self
            .environments
            .iter_mut()
            .find(|it| it.key == environment.key && it.python == environment.python);
        match same {
            Some(same) => same.stages.extend(environment.stages),
            None => self.environments.push(environment),
        }
    }

    /// Warns of stages that dropped all their tasks: a filter may, but a `process` without `return`
    /// does so, too. An executor calls this at the end of a complete run.
    pub fn tell_dropped(&self, plan: &Plan, observer: &dyn Observer) {
        tell_dropped(plan, &self.stages, observer);
    }

    /// Returns the environment that a stage ran in.
    #[must_use]
    pub fn environment_of(&self, stage: &str) -> Option<&EnvReport> {
        self.environments.iter().find(|env| env.stages.iter().any(|name| name == stage))
    }
}

/// The work of a stage in a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Tasks that went in and were completed, including those that failed on the way.
    pub tasks: u64,
    /// Tasks that came out.
    pub outputs: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Batches.
    pub batches: u64,
    /// Workers that were set up, including replacements.
    pub workers: u64,
    /// Workers that were forked from a template, which had imported their packages.
    #[serde(default)]
    pub forked: u64,
    /// Those of them whose template had stayed after another run.
    #[serde(default)]
    pub warm: u64,
    /// Why others were not, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_forked: Option<String>,
    /// Time in the stage's own code, summed over its workers.
    #[serde(rename = "process_seconds", with = "super::seconds")]
    pub process: Duration,
    /// Time to bring tasks to its workers and back, as far as these were idle meanwhile.
    #[serde(rename = "transfer_seconds", with = "super::seconds")]
    pub transfer: Duration,
}

/// Warns of stages that dropped all their tasks: a filter may, but a `process` without `return`
/// does so, too. Called at the end of a complete run.
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

/// How the time of a batch was spent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// In the stage's own code.
    pub(crate) process: Duration,
    /// On the way to the worker and back.
    pub(crate) transfer: Duration,
}

impl StageReport {
    /// Returns the empty report of a stage.
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
            warm: 0,
            not_forked: None,
            process: Duration::ZERO,
            transfer: Duration::ZERO,
        }
    }

    /// Adds the work of another process on the same stage.
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
            warm,
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
        self.warm += warm;
        self.not_forked = self.not_forked.take().or_else(|| not_forked.clone());
        self.process += *process;
        self.transfer += *transfer;
    }

    /// Returns whether it had tasks, and none of those that did not fail had an output.
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
