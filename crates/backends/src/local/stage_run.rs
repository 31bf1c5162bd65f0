//! One stage during a run: its batches, its node hook, and its tally.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use super::load::{Counted, Load};
use super::node::NodeSetup;
use super::parcel::{Batch, Parcel};
use super::queue::{Cancelled, Queue};
use super::run::Run;
use super::turns::Turn;
use crate::run::{
    Cause, Error, Event, FailedTask, FailurePolicy, PlannedStage, Spent, StageReport, StartStep,
};
use crate::sync::{Mutex, MutexGuard};
use crate::worker::Exit;
use crate::worker::wire::Loaded;

/// One stage during a run.
pub(crate) struct StageRun<'a> {
    pub(crate) run: &'a Run,
    pub(crate) planned: &'a PlannedStage,
    /// The stage that its tasks come from; none for the first one.
    pub(crate) producer: Option<&'a PlannedStage>,
    /// The stage that its tasks go to; none for the last one.
    pub(crate) consumer: Option<&'a PlannedStage>,
    /// Whether its tasks go to workers again, which need not be trusted with sound data.
    pub(crate) feeds_python: bool,
    pub(crate) index: usize,
    pub(crate) node_setup: NodeSetup,
    slots: Mutex<Slots>,
    /// Its turn to start and to import, which ends once one of its workers has.
    turn: Mutex<Option<Turn>>,
    pub(crate) load: Load,
    /// The package that its code imports first, once it has been looked for.
    pub(crate) beginning: OnceLock<Option<String>>,
    tally: Mutex<StageReport>,
    /// The declarations of its code that have been told: the method that made them, if it was
    /// late, and their names.
    heeded: Mutex<BTreeSet<(Option<String>, Vec<String>)>>,
    /// Whether it has been told that an output lacks what the stage promises.
    is_lacking_told: AtomicBool,
    /// Whether its code has said something else of itself than when the run was planned.
    pub(super) is_outdated: AtomicBool,
}

/// The slots of a stage.
#[derive(Debug, Default)]
struct Slots {
    /// Those that have not ended.
    open: BTreeSet<usize>,
    /// Whether others may be opened.
    is_held: bool,
}

impl Slots {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && !self.is_held
    }
}

/// The right to open slots of a stage.
pub(crate) struct Hold<'a, 'b>(&'a StageRun<'b>);

impl Drop for Hold<'_, '_> {
    fn drop(&mut self) {
        let mut slots = self.0.slots();
        slots.is_held = false;
        let is_last = slots.is_empty();
        drop(slots);
        self.0.end_if(is_last);
    }
}

/// What happened to a worker's batch besides what came out of it.
pub(crate) struct Trouble {
    pub(crate) cause: Cause,
    pub(crate) log: Vec<String>,
}

impl<'a> StageRun<'a> {
    pub(crate) fn new(run: &'a Run, stages: &'a [PlannedStage], index: usize) -> Self {
        Self {
            run,
            planned: &stages[index],
            producer: index.checked_sub(1).map(|before| &stages[before]),
            consumer: stages.get(index + 1),
            feeds_python: stages
                .get(index + 1)
                .is_some_and(|next| next.behaviour.as_python().is_some()),
            index,
            node_setup: run.node.setup_of(&stages[index].settings.name),
            slots: Mutex::default(),
            turn: Mutex::default(),
            load: Load::default(),
            beginning: OnceLock::new(),
            tally: Mutex::new(StageReport::new(&stages[index].settings.name)),
            heeded: Mutex::default(),
            is_lacking_told: AtomicBool::new(false),
            is_outdated: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.planned.settings.name
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.run.queues[self.index]
    }

    pub(crate) fn next_queue(&self) -> &Queue {
        &self.run.queues[self.index + 1]
    }

    /// Returns whether another stage waits for a device, and this one's workers hold some.
    pub(crate) fn is_device_wanted(&self) -> bool {
        self.planned.gpus() > 0.0
            && self.planned.behaviour.as_python().is_some()
            && self.run.devices.is_wanted_beside(self.index)
    }

    /// Passes on the outputs of a batch of `tasks` tasks and settles it. `again` are those of its
    /// tasks that are to be tried once more.
    pub(crate) fn done(
        &self,
        worker: usize,
        tasks: usize,
        outputs: Vec<Parcel>,
        spent: Spent,
        again: Vec<Batch>,
    ) -> Result<(), Cancelled> {
        let count = outputs.len();
        {
            let mut tally = self.tally.lock();
            // Those that come again are counted then.
            let come_again: usize = again.iter().map(|batch| batch.parcels.len()).sum();
            tally.add_batch(tasks - come_again, count, spent);
        }
        self.run.emit(&Event::BatchDone {
            stage: self.name().to_owned(),
            worker,
            tasks,
            outputs: count,
            duration: spent.process,
            transfer: spent.transfer,
        });
        self.load.batch_done(spent.process);
        let _passing_on = self.load.passing_on();
        // The thread that makes room may wait for the device that this worker holds until it has
        // passed on its outputs.
        let late = self.next_queue().push_unless(outputs, || self.is_device_wanted())?;
        self.run.tell_of_late(self.consumer, &late);
        if again.is_empty() {
            self.queue().settle();
        } else {
            self.put_back(again);
        }
        Ok(())
    }

    /// Decides what becomes of one task of a batch that its code failed on: the task again, or
    /// nothing once it has failed for good.
    pub(crate) fn task_trouble(&self, mut batch: Batch, trouble: Trouble) -> Option<Batch> {
        batch.failures += 1;
        if batch.failures < self.max_attempts(&trouble.cause) {
            self.emit_retry(&batch, &trouble.cause);
            return Some(batch);
        }
        self.failed_for_good(&batch, trouble);
        None
    }

    /// Handles a batch that failed as a whole. It is tried again as often as the stage allows; then
    /// it is split, to find the task that is at fault; and a single task that still fails has
    /// failed for good.
    pub(crate) fn batch_trouble(&self, mut batch: Batch, trouble: Trouble) {
        batch.failures += 1;
        batch.is_suspect = true;
        // An exception stops a run that stops at the first failure: whose task it was, the
        // traceback tells. A death tells nothing.
        let is_settled =
            matches!(trouble.cause, Cause::Raised(_) | Cause::Failed(_) | Cause::Unreadable(_))
                && self.run.policy == FailurePolicy::FailFast;
        if batch.failures < self.max_attempts(&trouble.cause) {
            self.emit_retry(&batch, &trouble.cause);
            self.put_back([batch]);
        } else if batch.parcels.len() > 1 && !is_settled {
            self.emit_retry(&batch, &trouble.cause);
            self.put_back(batch.split());
        } else {
            self.tally.lock().tasks += batch.parcels.len() as u64;
            self.failed_for_good(&batch, trouble);
            self.queue().settle();
        }
    }

    /// Batches that a worker held but had not begun when it ended go back unblamed, but each alone.
    pub(crate) fn give_back(&self, batches: impl IntoIterator<Item = Batch>) {
        for mut batch in batches {
            batch.is_suspect = true;
            self.put_back([batch]);
        }
    }

    /// Queues batches to be done once more.
    fn put_back(&self, batches: impl IntoIterator<Item = Batch>) {
        self.run.tell_of_late(Some(self.planned), &self.queue().give_back(batches));
    }

    fn max_attempts(&self, cause: &Cause) -> u32 {
        self.planned.settings.max_attempts.unwrap_or(match cause {
            Cause::Died(_) | Cause::Protocol(_) => 2,
            _ => 1,
        })
    }

    fn emit_retry(&self, batch: &Batch, cause: &Cause) {
        self.run.emit(&Event::Retried {
            stage: self.name().to_owned(),
            tasks: batch.parcels.len(),
            reason: cause.to_string(),
        });
    }

    fn failed_for_good(&self, batch: &Batch, trouble: Trouble) {
        {
            let mut tally = self.tally.lock();
            tally.failed += batch.parcels.len() as u64;
        }
        self.run.task_failed(FailedTask {
            tasks: batch.ids(),
            sources: batch.sources(),
            stage: self.name().to_owned(),
            cause: trouble.cause,
            environment: self.environment_key(),
            tries: batch.failures,
            log: trouble.log,
        });
    }

    pub(crate) fn environment_key(&self) -> Option<String> {
        self.planned.env.as_ref()?;
        self.run.environments[self.index].wait().and_then(|environment| environment.key_text())
    }

    /// Returns whether any worker has been set up.
    pub(crate) fn has_workers(&self) -> bool {
        self.tally.lock().workers > 0
    }

    /// Records that a worker is set up. It counts as one of the stage's until the returned value is
    /// dropped. For a part of its time it may have waited for devices.
    pub(crate) fn worker_ready(
        &self,
        worker: usize,
        pid: Option<i32>,
        duration: Duration,
        waited: Duration,
    ) -> Counted<'_> {
        self.tally.lock().workers += 1;
        let counted = self.load.worker_ready(duration.saturating_sub(waited));
        let stage = self.name().to_owned();
        self.run.emit(&Event::WorkerReady { stage, worker, pid, duration });
        counted
    }

    /// Records that a worker of it has been forked from a template, perhaps one that stayed after
    /// another run.
    pub(crate) fn forked(&self, is_warm: bool) {
        let mut tally = self.tally.lock();
        tally.forked += 1;
        tally.warm += u64::from(is_warm);
    }

    /// Records that a worker of it is started, and why it is not forked.
    pub(crate) fn not_forked(&self, why: &str) {
        let mut tally = self.tally.lock();
        tally.not_forked.get_or_insert_with(|| {
            tracing::debug!(stage = self.name(), why, "a worker is started, and not forked");
            why.to_owned()
        });
    }

    /// Records how far a worker that starts has come.
    pub(crate) fn worker_starting(&self, worker: usize, step: StartStep) {
        let stage = self.name().to_owned();
        self.run.emit(&Event::WorkerStarting { stage, worker, step });
    }

    pub(crate) fn worker_ended(&self, worker: usize, exit: Option<Exit>, in_order: bool) {
        let stage = self.name().to_owned();
        self.run.emit(&Event::WorkerEnded { stage, worker, exit, in_order });
    }

    pub(crate) fn warn(&self, message: String) {
        self.run.emit(&Event::Warning { stage: Some(self.name().to_owned()), message });
    }

    /// Tells, once, that an output lacks keys which the stage declares among its outputs.
    pub(crate) fn tell_lacking(&self, keys: &[impl AsRef<str>]) {
        if keys.is_empty() || self.is_lacking_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let keys: Vec<_> = keys.iter().map(|key| format!("`{}`", key.as_ref())).collect();
        let keys = keys.join(", ");
        self.warn(format!("it gave a task without {keys}, which it declares among its outputs"));
    }

    /// Holds what its code declares about itself against the plan; each of its workers says the
    /// same, and it is told once. What a hook or a task declares comes too late for the plan. Returns
    /// the settings that hold in place of the code's.
    pub(crate) fn heed(&self, declared: &Loaded) -> Result<Map<String, Value>, Error> {
        let Some(wanted) = &self.planned.wanted else { return Ok(Map::new()) };
        let checked = wanted.check(&self.planned.settings, declared)?;
        if checked.is_outdated {
            self.planned.forget();
            self.is_outdated.store(true, Ordering::Relaxed);
        }
        // Not by the messages: code may declare another value for every task.
        let names = declared.settings.keys().chain(declared.near.iter().map(|(name, _)| name));
        let names = (declared.when.clone(), names.cloned().collect());
        if self.heeded.lock().insert(names) {
            for message in checked.warnings {
                self.warn(message);
            }
        }
        Ok(checked.overrides)
    }

    /// Waits until it is the stage's turn to start and to import; returns false if nothing is left for
    /// it to do.
    pub(crate) fn wait_for_turn(&self) -> bool {
        let is_over = || self.run.cancel.is_cancelled() || self.queue().is_finished();
        let turn = self.run.turns.wait(self.index, is_over);
        let is_there = turn.is_some();
        *self.turn.lock() = turn;
        is_there
    }

    /// Lets others have the stage's turn, if it has not ended yet.
    pub(crate) fn end_turn(&self) {
        self.turn.lock().take();
    }

    /// Opens a slot for workers, with the lowest number that none has.
    pub(crate) fn open_slot(&self) -> usize {
        let mut slots = self.slots();
        // Among one number more than there are slots, one is free.
        let count = slots.open.len();
        let index = (0..count).find(|index| !slots.open.contains(index)).unwrap_or(count);
        slots.open.insert(index);
        index
    }

    /// Returns how many slots are open.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots().open.len()
    }

    /// Records that a slot has ended.
    pub(crate) fn close_slot(&self, index: usize) {
        let mut slots = self.slots();
        slots.open.remove(&index);
        let is_last = slots.is_empty();
        drop(slots);
        self.end_if(is_last);
    }

    /// Keeps the stage from ending until this is dropped, whether it has slots or not.
    pub(crate) fn hold(&self) -> Hold<'_, 'a> {
        self.slots().is_held = true;
        Hold(self)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock()
    }

    /// Closes the next stage's queue if the last slot or task has left and nothing is queued.
    fn end_if(&self, is_last: bool) {
        if is_last && self.queue().is_finished() {
            self.next_queue().close();
            if !self.run.cancel.is_cancelled() && !self.run.is_stopped() {
                self.run.emit(&Event::StageFinished { stage: self.name().to_owned() });
            }
        }
    }

    /// Returns what it has done so far.
    pub(crate) fn report(&self) -> StageReport {
        self.tally.lock().clone()
    }

    pub(crate) fn into_report(self) -> StageReport {
        self.tally.into_inner()
    }
}
