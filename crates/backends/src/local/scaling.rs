//! Decides which stage gets another worker, by the observed load.
//!
//! A stage is a candidate while batches wait for it, its workers are all at work, and the next
//! stage has room. The candidate whose batches would wait longest gets a worker, if that is longer
//! than a worker takes to start, and if there are unused cores. A worker that waits for room in the
//! next queue uses no core.

#![expect(clippy::cast_precision_loss, reason = "no machine has that many cores or workers")]

use std::time::Duration;

use stage::Workers;

use super::stage_run::StageRun;
use crate::run::PlannedStage;

/// Returns the initial number of a stage's workers, and the maximum on this many cores.
pub(crate) fn worker_counts(planned: &PlannedStage, cpus: usize) -> (usize, usize) {
    match planned.settings.workers {
        Workers::Fixed(count) => (count, count),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Workers::PerNode(count) => (count.ceil() as usize, count.ceil() as usize),
        Workers::Auto => (1, cpus),
    }
}

/// Returns whether this stage is the next to get one more worker.
pub(crate) fn wants_worker(stage: &StageRun, stages: &[StageRun], cpus: usize) -> bool {
    let Some(wait) = waiting_time(stage, cpus) else { return false };
    let in_use: f64 = stages.iter().map(|it| cores(it, working(it))).sum();
    let is_worth_it = stage.queue().is_at_limit() || wait > stage.load.start();
    is_worth_it
        && in_use + cores(stage, 1) <= cpus as f64
        && stages.iter().filter_map(|other| waiting_time(other, cpus)).all(|other| other <= wait)
}

/// Returns how long the waiting batches of a candidate would keep its workers busy; none for other
/// stages.
fn waiting_time(stage: &StageRun, cpus: usize) -> Option<Duration> {
    let (load, slots, backlog) = (&stage.load, stage.slot_count(), stage.queue().backlog());
    let ready = load.ready();
    let has_room = slots < worker_counts(stage.planned, cpus).1;
    let is_behind =
        ready > 0 && load.busy() >= ready && backlog > slots && !stage.next_queue().is_at_limit();
    // Before its first result, a stage's speed is unknown.
    let pace = load.batch_time().filter(|_| has_room && is_behind)?;
    Some(pace.mul_f64(backlog as f64 / slots.max(1) as f64))
}

/// Returns the number of a stage's workers that use a core: those that start, and those at work.
fn working(stage: &StageRun) -> usize {
    let load = &stage.load;
    let starting = stage.slot_count().saturating_sub(load.ready());
    let held_up = if stage.next_queue().is_at_limit() { load.waiting() } else { 0 };
    starting + load.busy().saturating_sub(held_up)
}

fn cores(stage: &StageRun, workers: usize) -> f64 {
    workers as f64 * stage.planned.settings.resources.cpus
}
