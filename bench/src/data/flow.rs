//! A run in this process, and when what happened in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use curator::backends::{Event, Plan, RunReport};
use curator::stage::BoxError as StageError;
use curator::venv_cache::BoxError;
use curator::{Executor, LocalExecutor, Pipeline, Task};

/// A run, and when what happened in it, in seconds from its call.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) report: RunReport,
    pub(super) events: Vec<(f64, Event)>,
    /// When the last task came out.
    pub(super) last: f64,
    pub(super) tasks: usize,
}

impl Flow {
    /// Runs the tasks, each of which must come out once and pass the check.
    pub(super) fn run(
        executor: &LocalExecutor,
        pipeline: &Pipeline,
        tasks: Vec<Task>,
        check: impl Fn(&Task) -> bool,
    ) -> Result<Self, BoxError> {
        let plan = Plan::new(pipeline)?;
        let count = tasks.len();
        let events = Arc::new(Mutex::new(Vec::new()));
        let begun = Instant::now();
        let observer = {
            let events = Arc::clone(&events);
            move |event: &Event| {
                let now = begun.elapsed().as_secs_f64();
                // One for each batch is too many to keep, but for the first of each worker.
                let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
                let is_kept = !matches!(event, Event::BatchDone { .. })
                    || !matches!(events.last(), Some((_, Event::BatchDone { .. })));
                if is_kept {
                    events.push((now, event.clone()));
                }
            }
        };
        let (mut found, mut last) = (0, 0.0);
        let mut sink = |task: Task| -> Result<(), StageError> {
            if !check(&task) {
                return Err(format!("task {} came out wrong", task.id()).into());
            }
            found += 1;
            last = begun.elapsed().as_secs_f64();
            Ok(())
        };
        let report =
            executor.execute(&plan, &mut tasks.into_iter(), Arc::new(observer), &mut sink)?;
        if found != count {
            return Err(format!("{found} of {count} tasks came out").into());
        }
        let events = std::mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Self { report, events, last, tasks: count })
    }

    /// The seconds a task from when all workers are ready; what a pool's start is does not count
    /// with the peers either.
    pub(super) fn seconds_a_task(&self) -> f64 {
        let ready = self.events.iter().rev();
        let ready = ready.clone().find(|(_, event)| matches!(event, Event::WorkerReady { .. }));
        let begin = ready.map_or(0.0, |(at, _)| *at);
        #[expect(clippy::cast_precision_loss, reason = "no run here has that many tasks")]
        let tasks = self.tasks as f64;
        (self.last - begin) / tasks
    }

    /// When the first event of a kind came.
    pub(super) fn first(&self, is_it: impl Fn(&Event) -> bool) -> Option<f64> {
        self.events.iter().find(|(_, event)| is_it(event)).map(|(at, _)| *at)
    }
}
