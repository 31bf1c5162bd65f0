//! The data of the report, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::bins::rounded;
use super::page;
use super::state::State;
use super::tallies::{Lane, Life, Making, StageTally};
use super::waterfall;
use crate::run::{Cause, EnvReport, EnvState, Error, FailedTask, Secrets, StartStep};

/// The version of the format.
const FORMAT: u32 = 1;
/// Maximum bytes of one text; of a traceback, the end is shown, which is the most helpful part.
const LONGEST: usize = 12 * 1024;
/// Maximum bytes of all failed tasks together on the page.
const FAILED_BYTES: usize = 512 * 1024;
/// Maximum number of ids of one failure.
const IDS: usize = 20;
/// Maximum number of packages of one environment.
const PACKAGES: usize = 500;

/// The course of a run: stages, environments, workers and failed tasks over time.
///
/// It serializes as JSON, contains no outputs, and no known secret.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct RunProfile(Value);

impl RunProfile {
    /// Returns one HTML page that needs no other file, from the network or the disk.
    #[must_use]
    pub fn to_html(&self) -> String {
        page::html(&self.0)
    }
}

/// The end of a run.
pub(super) struct Ending<'a> {
    pub(super) pipeline: &'a str,
    pub(super) executor: &'a str,
    /// Time since 1970.
    pub(super) started: Duration,
    pub(super) seconds: f64,
    pub(super) error: Option<&'a Error>,
    pub(super) declared: &'a Value,
}

impl RunProfile {
    pub(super) fn new(ending: &Ending<'_>, state: &State, secrets: &Secrets) -> Self {
        let error = ending
            .error
            .map(|error| json!({ "message": last(&error.chain()), "hint": error.hint() }));
        let mut lanes: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
        for ((stage, worker), lane) in &state.lanes {
            lanes.entry(*stage).or_default().push(lane_value(*worker, lane, state));
        }
        let stages = state.stages.iter().zip(0..).map(|(stage, index)| {
            let environment =
                state.reports.iter().position(|it| it.stages.contains(&stage.report.name));
            let workers = lanes.remove(&index).unwrap_or_default();
            let mut value = stage_value(stage, ending.seconds, environment, &workers);
            value["waterfall"] = waterfall_of(state, stage, index).unwrap_or_default();
            value
        });
        let stages: Vec<Value> = stages.collect();
        let (failed, failed_shown) = failures(&state.failed);
        let warnings = state.warnings.iter().map(|(seconds, stage, message)| {
            json!({ "seconds": rounded(*seconds), "stage": stage, "message": last(message) })
        });
        let value = json!({
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "pipeline": ending.pipeline,
            "executor": ending.executor,
            "started": ending.started.as_secs(),
            "wall_seconds": rounded(ending.seconds),
            "error": error,
            "outputs_total": state.outputs,
            "bin_seconds": state.scale.width(),
            "stages": stages,
            "declared": ending.declared,
            "environments": state.reports.iter().map(environment_value).collect::<Vec<_>>(),
            "preparations": state.makings.iter().map(|it| making_value(it, ending.error)).collect::<Vec<_>>(),
            "workers_left_out": state.lanes_left_out,
            "failed": failed,
            "failed_shown": failed_shown,
            "failed_total": state.failed_total,
            "warnings": warnings.collect::<Vec<_>>(),
            "warnings_total": state.warnings_total,
        });
        Self(secrets.hidden(value))
    }
}

/// Returns where the time until a stage's first output went.
fn waterfall_of(state: &State, stage: &StageTally, index: usize) -> Option<Value> {
    let mut ready = state.makings.iter().filter(|making| making.end.is_some());
    let base = ready.clone().find(|making| making.stages.is_empty());
    let making = ready.find(|making| making.stages.contains(&stage.report.name));
    let first = stage.first?;
    let mut lives = state.lanes.get(&(index, first.worker)).into_iter().flat_map(|it| &it.lives);
    let life = lives.rfind(|life| life.ready <= first.end);
    waterfall::value(stage, base, making, life)
}

fn stage_value(
    stage: &StageTally,
    now: f64,
    environment: Option<usize>,
    workers: &[Value],
) -> Value {
    let StageTally { report, cost, active, .. } = stage;
    let active_seconds = active.map_or(0.0, |(first, last)| last - first);
    let up = stage.up_until(now);
    let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| rounded(part / whole));
    let mean = |sum: Duration| ratio_of(sum, cost.tasks);
    json!({
        "name": report.name,
        "tasks": report.tasks,
        "outputs": report.outputs,
        "failed": report.failed,
        "batches": report.batches,
        "retries": stage.retries,
        "workers": report.workers,
        "forked": report.forked,
        "warm": report.warm,
        "not_forked": report.not_forked,
        "most_workers": stage.most_workers,
        "process_seconds": rounded(report.process.as_secs_f64()),
        "transfer_seconds": rounded(report.transfer.as_secs_f64()),
        "up_seconds": rounded(up),
        "active": active.map(|(first, last)| [rounded(first), rounded(last)]),
        // Tasks in a second, from the begin of the first one to the end of the last one.
        "throughput": ratio(report.tasks as f64, active_seconds),
        // The share of its workers' time that was spent in the stage's own code.
        "utilisation": ratio(report.process.as_secs_f64(), up).map(|it| it.min(1.0)),
        "wait_seconds": { "mean": mean(cost.wait), "max": seconds(cost.longest_wait, cost.tasks) },
        "task_seconds": {
            "mean": mean(cost.process), "max": seconds(cost.longest_process, cost.tasks),
        },
        "environment": environment,
        "series": {
            "done": stage.done.rounded(), "busy": stage.busy.rounded(), "failed": stage.failed.rounded(),
        },
        "lanes": workers,
    })
}

/// Returns a mean in seconds, with microseconds; none for a count of zero.
fn ratio_of(sum: Duration, count: u64) -> Option<f64> {
    (count > 0).then(|| micros(sum.as_secs_f64() / count as f64))
}

fn seconds(longest: Duration, count: u64) -> Option<f64> {
    (count > 0).then(|| micros(longest.as_secs_f64()))
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

fn lane_value(worker: usize, lane: &Lane, state: &State) -> Value {
    let lives = lane.lives.iter().map(|life| {
        let Life { begin, ready, end, pid, trouble, steps } = life;
        let is_forked = steps.iter().any(|(_, step)| *step == StartStep::Forked);
        json!({
            "begin": rounded(*begin), "ready": rounded(*ready), "end": end.map(rounded),
            "pid": pid, "forked": is_forked, "trouble": trouble,
        })
    });
    json!({
        "worker": worker, "tasks": lane.tasks, "lives": lives.collect::<Vec<_>>(),
        "busy": lane.busy.shares(state.scale),
    })
}

fn making_value(making: &Making, error: Option<&Error>) -> Value {
    let Making { stages, key, begin, end, phases, is_built, is_base } = making;
    // Without stages, it is a base: the stages that wait for it fail then.
    let has_failed = end.is_none()
        && matches!(error, Some(Error::Environment { stages: of, .. })
            if of == stages || stages.is_empty());
    let phases = phases.iter().map(|(at, phase)| json!([rounded(*at), phase]));
    json!({
        "stages": stages, "key": key, "begin": rounded(*begin), "end": end.map(rounded),
        "built": is_built, "base": is_base, "failed": has_failed,
        "phases": phases.collect::<Vec<_>>(),
    })
}

fn environment_value(report: &EnvReport) -> Value {
    let was: BTreeMap<&str, &str> =
        report.replaced.iter().filter_map(|it| it.split_once("==")).collect();
    let packages = report.added.iter().take(PACKAGES).map(|package| {
        let (name, version) = package.split_once("==").unwrap_or((package, ""));
        json!({ "name": name, "version": version, "replaces": was.get(name) })
    });
    json!({
        "stages": report.stages, "key": report.key, "state": report.state,
        "seconds": rounded(report.duration.as_secs_f64()), "own_bytes": report.own_bytes,
        "strategy": report.strategy, "python": report.python,
        "packages": packages.collect::<Vec<_>>(), "packages_total": report.added.len(),
        "warnings": report.warnings.iter().map(|it| last(it)).collect::<Vec<_>>(),
        "is_base": report.state == EnvState::Base,
    })
}

/// Returns the failures that fit, and the number of tasks in them.
fn failures(failed: &[(f64, FailedTask)]) -> (Vec<Value>, usize) {
    let (mut values, mut bytes, mut tasks) = (Vec::new(), 0, 0);
    for (at, failed) in failed {
        let value = failure_value(*at, failed);
        bytes += page::as_script_data(&value).len();
        if bytes > FAILED_BYTES {
            break;
        }
        tasks += failed.tasks.len();
        values.push(value);
    }
    (values, tasks)
}

fn failure_value(at: f64, failed: &FailedTask) -> Value {
    let ids: Vec<String> = failed.tasks.iter().take(IDS).map(ToString::to_string).collect();
    let traceback = match &failed.cause {
        Cause::Raised(error) => Some(last(&error.traceback)),
        Cause::Died(_)
        | Cause::Deadline(_)
        | Cause::Failed(_)
        | Cause::Panicked(_)
        | Cause::Unreadable(_)
        | Cause::MissingInput(_)
        | Cause::Protocol(_) => None,
    };
    json!({
        "seconds": rounded(at), "tasks": ids, "tasks_total": failed.tasks.len(),
        "stage": failed.stage, "cause": last(&failed.cause.to_string()), "traceback": traceback,
        "environment": failed.environment, "tries": failed.tries,
        "log": last(&failed.log.join("\n")),
    })
}

/// Returns a text, or the end of a long one.
fn last(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let from = text.ceil_char_boundary(text.len() - LONGEST);
    format!("…{}", &text[from..])
}
