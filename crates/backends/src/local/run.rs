//! The shared state of a run's stages: the order to stop, the policy, and the observer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stage::{SourceTask, TaskId};

use super::arenas::ARENAS_FROM;
use super::devices::Devices;
use super::gate::Gate;
use super::node::Node;
use super::parcel::Parcel;
use super::queue::Queue;
use super::templates::Templates;
use super::turns::Turns;
use crate::provision::Environment;
use crate::run::{
    Cause, Error, Event, FailedTask, FailurePolicy, Observer, PlannedStage, Secrets, numbers,
};
use crate::sync::Mutex;
use crate::worker::Cancel;
use crate::worker::warm::KeepWarm;

/// How long a worker beside others of its stage may have nothing to do, by default.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The caller's observer, and its panic, if it had one on a thread that must go on.
pub(crate) struct Watch {
    observer: Arc<dyn Observer>,
    secrets: Secrets,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Watch {
    /// Reports a worker's line. Its reading thread must continue, or the worker would block on its
    /// own output; so a panic here is kept for the next thread that reports another event.
    pub(crate) fn on_line(&self, event: &Event) {
        let told = catch_unwind(AssertUnwindSafe(|| self.observer.on_event(event)));
        if let Err(panic) = told {
            *self.panic.lock() = Some(panic);
        }
    }
}

impl Observer for Watch {
    fn on_event(&self, event: &Event) {
        let panic = self.panic.lock().take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        self.observer.on_event(&self.secrets.event(event));
    }
}

/// A run of a pipeline.
pub(crate) struct Run {
    pub(crate) cancel: Cancel,
    pub(crate) policy: FailurePolicy,
    pub(crate) observer: Arc<Watch>,
    /// The secrets that are removed from the stages' text.
    pub(crate) secrets: Secrets,
    /// The queue in front of each stage, and behind the last one.
    pub(crate) queues: Vec<Queue>,
    /// The environment of each stage, once it is ready.
    pub(crate) environments: Vec<Gate<Environment>>,
    pub(crate) devices: Devices,
    /// Which stage starts and imports first.
    pub(crate) turns: Arc<Turns>,
    /// The node that this runs on.
    pub(crate) node: Node,
    /// From how many bytes on a payload goes to a worker through shared memory, if any does.
    pub(crate) arenas_from: Option<usize>,
    /// How long a worker beside others of its stage may have nothing to do.
    pub(crate) idle_limit: Duration,
    /// What workers are forked from.
    pub(crate) templates: Templates,
    /// What ends builds: set once environments are not wanted any more.
    pub(crate) builds_over: Arc<AtomicBool>,
    /// Whether the run was asked to end before its end.
    is_stopped: AtomicBool,
    /// Whether workers are ended without a word.
    is_hurried: AtomicBool,
    error: Mutex<Option<Error>>,
    failed: Mutex<Vec<FailedTask>>,
}

impl Run {
    pub(crate) fn new(
        cancel: Cancel,
        policy: FailurePolicy,
        observer: Arc<dyn Observer>,
        secrets: Secrets,
        queues: Vec<Queue>,
        devices: Devices,
        node: Node,
    ) -> Self {
        // One queue more than stages: the last one is the way out.
        let environments = queues.iter().skip(1).map(|_| Gate::new()).collect();
        let (error, failed) = (Mutex::new(None), Mutex::new(Vec::new()));
        let watched = secrets.clone();
        let observer = Arc::new(Watch { observer, secrets: watched, panic: Mutex::new(None) });
        Self {
            cancel,
            policy,
            observer,
            secrets,
            queues,
            environments,
            devices,
            turns: Turns::new(1),
            node,
            arenas_from: Some(ARENAS_FROM),
            idle_limit: IDLE_LIMIT,
            templates: Templates::new(true, None),
            builds_over: Arc::default(),
            is_stopped: AtomicBool::new(false),
            is_hurried: AtomicBool::new(false),
            error,
            failed,
        }
    }

    /// Sets how many stages start and import at once.
    pub(crate) fn with_turns(self, most: usize) -> Self {
        Self { turns: Turns::new(most), ..self }
    }

    /// Sets the limit for idle workers.
    pub(crate) fn with_idle_limit(self, idle_limit: Duration) -> Self {
        Self { idle_limit, ..self }
    }

    /// Sets whether workers are forked from templates, and how long these stay after the run.
    pub(crate) fn with_templates(self, is_on: bool, keep: Option<KeepWarm>) -> Self {
        Self { templates: Templates::new(is_on, keep), ..self }
    }

    /// Sets from how many bytes on data crosses in shared memory.
    pub(crate) fn with_arenas_from(self, arenas_from: Option<usize>) -> Self {
        Self { arenas_from, ..self }
    }

    pub(crate) fn emit(&self, event: &Event) {
        self.observer.on_event(event);
    }

    /// Ends the run; the first error is the one that is reported.
    pub(crate) fn fail(&self, error: Error) {
        self.keep_first(self.secrets.error(error));
        self.stop();
    }

    /// Keeps an error if there is none yet; returns whether it is the first.
    fn keep_first(&self, error: Error) -> bool {
        let mut kept = self.error.lock();
        let is_first = kept.is_none();
        kept.get_or_insert(error);
        is_first
    }

    /// Ends the run without an error of its own.
    pub(crate) fn stop(&self) {
        // Before anything is dropped. It may be a panic that stops the run, and it may be the
        // observer's.
        let _ =
            catch_unwind(AssertUnwindSafe(|| self.observer.observer.on_event(&Event::Stopping)));
        self.builds_over.store(true, Ordering::Relaxed);
        self.cancel.cancel();
        self.queues.iter().for_each(Queue::cancel);
        self.environments.iter().for_each(Gate::shut);
    }

    /// Ends the run in order: what workers have in their hands is finished, and what waits is dropped.
    pub(crate) fn wind_down(&self, stages: &[PlannedStage]) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.builds_over.store(true, Ordering::Relaxed);
        // The last queue is the way out.
        for (queue, stage) in self.queues.iter().zip(stages) {
            self.tell_of_late(Some(stage), &queue.stop());
        }
        self.environments.iter().for_each(Gate::shut);
    }

    /// Ends the run at once.
    pub(crate) fn kill(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.is_hurried.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Returns whether it was asked to end before its end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Returns whether workers are killed instead of ending in order.
    pub(crate) fn is_hurried(&self) -> bool {
        self.is_hurried.load(Ordering::Relaxed)
    }

    /// Tells of what nothing will become of, since the run was asked to end, before it is dropped.
    pub(crate) fn tell_of_late(&self, stage: Option<&PlannedStage>, parcels: &[Parcel]) {
        if !parcels.is_empty() {
            let sources = numbers(parcels.iter().flat_map(|parcel| parcel.head.sources()));
            let stage = stage.map(|stage| stage.settings.name.clone()).unwrap_or_default();
            self.emit(&Event::Dropped { stage, tasks: parcels.len(), sources });
        }
    }

    /// Reports a stage's output that Rust cannot read, such as a number out of range: between
    /// Python stages, it is not read. Without a stage, it is the caller's task.
    pub(crate) fn unreadable(
        &self,
        producer: Option<&PlannedStage>,
        task: &TaskId,
        sources: &[Arc<SourceTask>],
        source: serde_json::Error,
    ) {
        let Some(producer) = producer else {
            return self.fail(Error::Data { task: task.to_string(), source });
        };
        self.task_failed(FailedTask {
            tasks: vec![task.clone()],
            sources: numbers(sources.iter()),
            stage: producer.settings.name.clone(),
            cause: Cause::Protocol(format!("data that cannot be read: {source}")),
            environment: None,
            tries: 1,
            log: Vec::new(),
        });
    }

    /// Records that a task failed for good. In a run that stops at the first failure, that one alone
    /// is told, as its result: of others at the same time, nothing is known to be finished.
    pub(crate) fn task_failed(&self, failed: FailedTask) {
        let failed = self.secrets.failed(failed);
        if self.policy == FailurePolicy::Record {
            self.emit(&Event::TaskFailed(failed.clone()));
            self.failed.lock().push(failed);
            return;
        }
        if self.keep_first(Error::Task(Box::new(failed.clone()))) {
            self.emit(&Event::TaskFailed(failed));
            self.stop();
        } else {
            let FailedTask { stage, tasks, sources, .. } = failed;
            self.emit(&Event::Dropped { stage, tasks: tasks.len(), sources });
        }
    }

    pub(crate) fn take_error(&self) -> Option<Error> {
        self.error.lock().take()
    }

    pub(crate) fn take_failed(&self) -> Vec<FailedTask> {
        std::mem::take(&mut self.failed.lock())
    }
}
