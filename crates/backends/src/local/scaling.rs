//! Which stage gets another worker, by what stages are seen to need.
//!
//! A stage is a candidate while batches wait for it, its workers are all at work, and the next stage
//! takes what comes. Of the candidates the one gets a worker whose batches would wait longest, if
//! that is longer than a worker takes to start, and if there are cores that nobody uses. A worker
//! that waits for room in the next queue uses none.

#![expect(clippy::cast_precision_loss, reason = "nobody has that many cores or workers")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stage::Workers;

use super::stage_run::StageRun;
use crate::run::PlannedStage;

/// What the workers of a stage are at, and how quick they are.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Workers that are set up.
    ready: AtomicUsize,
    /// Those of them that have a batch at hand.
    busy: AtomicUsize,
    /// Those that pass outputs on.
    passing_on: AtomicUsize,
    pace: Mutex<Pace>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// The time of a batch in the stage's own code, recent ones counting more.
    batch: Option<Duration>,
    /// The start of the last worker.
    start: Duration,
}

/// One more in a count, until it is dropped.
#[must_use]
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    /// A worker is set up, until what this gives is dropped.
    pub(crate) fn worker_ready(&self, start: Duration) -> Counted<'_> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).start = start;
        Counted::new(&self.ready)
    }

    pub(crate) fn begin_batch(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end_batch(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// A worker waits for room in the next queue, until what this gives is dropped.
    pub(crate) fn passing_on(&self) -> Counted<'_> {
        Counted::new(&self.passing_on)
    }

    pub(crate) fn batch_done(&self, process: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pace.batch.unwrap_or(process);
        pace.batch = Some((7 * before + process) / 8);
    }

    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many workers a stage starts with, and may come to have on so many cores.
pub(crate) fn worker_counts(planned: &PlannedStage, cpus: usize) -> (usize, usize) {
    match planned.settings.workers {
        Workers::Fixed(count) => (count, count),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Workers::PerNode(count) => (count.ceil() as usize, count.ceil() as usize),
        Workers::Auto => (1, cpus),
    }
}

/// Whether it is this stage's turn to get one more worker.
pub(crate) fn wants_worker(stage: &StageRun, stages: &[StageRun], cpus: usize) -> bool {
    let Some(wait) = waiting_time(stage, cpus) else { return false };
    let in_use: f64 = stages.iter().map(|it| cores(it, working(it))).sum();
    let is_worth_it = stage.queue().is_at_limit() || wait > stage.load.pace().start;
    is_worth_it
        && in_use + cores(stage, 1) <= cpus as f64
        && stages.iter().filter_map(|other| waiting_time(other, cpus)).all(|other| other <= wait)
}

/// How long what waits for a candidate would keep its workers busy; none if it is no candidate.
fn waiting_time(stage: &StageRun, cpus: usize) -> Option<Duration> {
    let (load, slots, backlog) = (&stage.load, stage.slot_count(), stage.queue().backlog());
    let ready = load.ready.load(Ordering::Relaxed);
    let has_room = slots < worker_counts(stage.planned, cpus).1;
    let is_behind = ready > 0
        && load.busy.load(Ordering::Relaxed) >= ready
        && backlog > slots
        && !stage.next_queue().is_at_limit();
    // Before its first result nobody knows how quick it is.
    let pace = load.pace().batch.filter(|_| has_room && is_behind)?;
    Some(pace.mul_f64(backlog as f64 / slots.max(1) as f64))
}

/// The workers of a stage that use a core: those that start, and those at work.
fn working(stage: &StageRun) -> usize {
    let load = &stage.load;
    let starting = stage.slot_count().saturating_sub(load.ready.load(Ordering::Relaxed));
    let held_up =
        if stage.next_queue().is_at_limit() { load.passing_on.load(Ordering::Relaxed) } else { 0 };
    starting + load.busy.load(Ordering::Relaxed).saturating_sub(held_up)
}

fn cores(stage: &StageRun, workers: usize) -> f64 {
    workers as f64 * stage.planned.settings.resources.cpus
}
