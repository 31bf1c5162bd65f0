//! The data of each stage, worker and environment during a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bins::{Scale, Series};
use crate::run::{BuildPhase, Spent, StageReport, StartStep};

/// One stage.
#[derive(Debug)]
pub(super) struct StageTally {
    pub(super) report: StageReport,
    /// Completed tasks, over time.
    pub(super) done: Series,
    /// Time in the stage's own code, over time, summed over its workers.
    pub(super) busy: Series,
    /// Tasks that failed, over time.
    pub(super) failed: Series,
    /// Batches that were tried again.
    pub(super) retries: u64,
    /// The begin of its first batch and the end of its last one.
    pub(super) active: Option<(f64, f64)>,
    /// The first batch of which something came.
    pub(super) first: Option<First>,
    /// How far workers that start have come, by number.
    pub(super) starting: BTreeMap<usize, Vec<(f64, StartStep)>>,
    /// What it cost the tasks that came out of the run.
    pub(super) cost: Cost,
    /// The running workers by number, with their start times.
    pub(super) up: BTreeMap<usize, f64>,
    /// The total time of workers that have ended.
    pub(super) up_seconds: f64,
    /// Maximum number of workers at once.
    pub(super) most_workers: usize,
}

/// The first batch of a stage of which something came.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    pub(super) worker: usize,
    pub(super) begin: f64,
    pub(super) end: f64,
}

/// What a stage cost the tasks that came out of the run: sums and maxima.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) tasks: u64,
    pub(super) wait: Duration,
    pub(super) longest_wait: Duration,
    pub(super) process: Duration,
    pub(super) longest_process: Duration,
}

impl StageTally {
    pub(super) fn new(name: &str) -> Self {
        Self {
            report: StageReport::new(name),
            done: Series::default(),
            busy: Series::default(),
            failed: Series::default(),
            retries: 0,
            active: None,
            first: None,
            starting: BTreeMap::new(),
            cost: Cost::default(),
            up: BTreeMap::new(),
            up_seconds: 0.0,
            most_workers: 0,
        }
    }

    pub(super) fn fold(&mut self, folds: usize) {
        for series in [&mut self.done, &mut self.busy, &mut self.failed] {
            series.fold(folds);
        }
    }

    pub(super) fn batch(
        &mut self,
        scale: Scale,
        now: f64,
        worker: usize,
        batch: (usize, usize, Spent),
    ) {
        let (tasks, outputs, spent) = batch;
        let begin = (now - spent.process.as_secs_f64()).max(0.0);
        self.report.add_batch(tasks, outputs, spent);
        if self.first.is_none() && outputs > 0 {
            self.first = Some(First { worker, begin, end: now });
        }
        self.done.add(scale, now, tasks as f64);
        self.busy.add_span(scale, begin, now);
        let first = self.active.map_or(begin, |(first, _)| first.min(begin));
        self.active = Some((first, now));
    }

    pub(super) fn worker_ready(&mut self, worker: usize, now: f64) {
        self.report.workers += 1;
        self.up.insert(worker, now);
        self.most_workers = self.most_workers.max(self.up.len());
    }

    pub(super) fn worker_ended(&mut self, worker: usize, now: f64) {
        if let Some(since) = self.up.remove(&worker) {
            self.up_seconds += now - since;
        }
    }

    /// Returns the total time of workers until now.
    pub(super) fn up_until(&self, now: f64) -> f64 {
        self.up_seconds + self.up.values().map(|since| (now - since).max(0.0)).sum::<f64>()
    }
}

/// One slot for workers of a stage: its workers, one after another.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) lives: Vec<Life>,
    pub(super) busy: Series,
    pub(super) tasks: u64,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Life {
    /// Start of its process.
    pub(super) begin: f64,
    pub(super) ready: f64,
    /// When it had come how far, in between.
    pub(super) steps: Vec<(f64, StartStep)>,
    pub(super) end: Option<f64>,
    pub(super) pid: Option<i32>,
    /// How it ended, if not in order.
    pub(super) trouble: Option<String>,
}

/// One environment, or managed base, that was requested.
#[derive(Debug, Default)]
pub(super) struct Making {
    pub(super) stages: Vec<String>,
    pub(super) key: Option<String>,
    pub(super) begin: f64,
    /// When it was ready; none if it never was.
    pub(super) end: Option<f64>,
    /// The phases of its build, with their start times.
    pub(super) phases: Vec<(f64, BuildPhase)>,
    pub(super) is_built: bool,
    /// Whether it is known to be the base.
    pub(super) is_base: bool,
}
