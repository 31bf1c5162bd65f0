//! Follows tasks from their hand-in until nothing made from them is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use stage::{SourceTask, Task};

use super::event::{Event, Observer};
use super::failure::FailedTask;
use crate::sync::{Mutex, MutexGuard};

/// Follows tasks from their hand-in until nothing made from them is left.
///
/// Each task passes through [`hand_in`](Self::hand_in) on its way to an executor, which has the
/// intake among its observers. A copy of every task is kept until it has ended.
///
/// ```
/// use std::sync::{Arc, mpsc};
///
/// use backends::run::Intake;
/// use backends::{Event, ExecutorExt, LocalExecutor};
/// use serde_json::json;
/// use stage::{Context, Pipeline, RustStage, Task};
///
/// # fn main() -> Result<(), backends::Error> {
/// let (sender, ended) = mpsc::channel();
/// let intake = Arc::new(Intake::new(move |ended| _ = sender.send(ended)));
/// let pass = RustStage::from_fn("pass", |task: Task, _: &mut Context| Ok::<_, stage::Error>(task));
/// let pipeline = Pipeline::new("demo").with_stage(pass);
/// let tasks = (0..3).map(|index| intake.hand_in(index, Task::new(json!({ "n": index }))));
/// let report = LocalExecutor::default().run_observed(&pipeline, tasks, intake.clone())?;
/// assert_eq!(ended.try_iter().count(), 0, "the outputs are in the report");
/// drop(report);
/// assert!(ended.try_iter().all(|ended| ended.is_complete && ended.failures.is_empty()));
/// # Ok(())
/// # }
/// ```
pub struct Intake {
    shared: Arc<Shared>,
}

/// A task that was handed in, and of which nothing is left.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// Its number.
    pub index: u64,
    /// The task, as it was handed in.
    pub task: Task,
    /// The final failures of its parts.
    pub failures: Vec<FailedTask>,
    /// Whether all of it was processed; if not, the run had failed earlier, or was asked to stop.
    pub is_complete: bool,
}

struct Shared {
    state: Mutex<State>,
    on_end: Box<dyn Fn(Ended) + Send + Sync>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<u64, (Task, Vec<FailedTask>)>,
    /// The tasks with a dropped part.
    dropped: BTreeSet<u64>,
    is_stopping: bool,
}

impl Intake {
    /// Creates an intake that calls `on_end` for each task that has ended, from several threads,
    /// also for tasks that a failing run drops.
    pub fn new(on_end: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), on_end: Box::new(on_end) }) }
    }

    /// Follows the task under this number from now on, and returns it. A number must not be given
    /// twice.
    ///
    /// An intake that already follows the task continues, under this number.
    pub fn hand_in(&self, index: u64, task: Task) -> Task {
        let (shared, others) = (self.shared.clone(), task.sources().to_vec());
        let task = task.without_source();
        self.shared.lock().open.insert(index, (task.clone(), Vec::new()));
        task.with_source(SourceTask::new(index, move |index| {
            shared.end(index);
            // The other followers end with this one.
            let _ = &others;
        }))
    }

    /// Returns the number of tasks that have been handed in and have not ended.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.shared.lock().open.len()
    }
}

impl Observer for Intake {
    fn on_event(&self, event: &Event) {
        match event {
            Event::TaskFailed(failed) => {
                let mut state = self.shared.lock();
                for index in &failed.sources {
                    if let Some((_, failures)) = state.open.get_mut(index) {
                        failures.push(failed.clone());
                    }
                }
            }
            Event::Dropped { sources, .. } => {
                let mut state = self.shared.lock();
                state.dropped.extend(sources);
            }
            Event::Stopping => self.shared.lock().is_stopping = true,
            _ => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn end(&self, index: u64) {
        let ended = {
            let mut state = self.lock();
            let Some((task, failures)) = state.open.remove(&index) else { return };
            let is_complete = !state.dropped.remove(&index) && !state.is_stopping;
            Ended { index, task, failures, is_complete }
        };
        (self.on_end)(ended);
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("under_way", &self.under_way()).finish_non_exhaustive()
    }
}
