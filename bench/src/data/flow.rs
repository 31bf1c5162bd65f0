//! A run in this process, and the times of its events.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use curator::backends::sync::Mutex;
use curator::backends::{Event, Plan, RunReport};
use curator::stage::BoxError as StageError;
use curator::venv_cache::BoxError;
use curator::{Executor, LocalExecutor, Pipeline, Task};

/// Time limit for the first task.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A run, and the times of its events, in seconds from its call.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) report: RunReport,
    pub(super) events: Vec<(f64, Event)>,
    /// Each batch's stage, the seconds in its code, and the seconds of the way there and back.
    pub(super) batches: Vec<(String, f64, f64)>,
    /// When the last task came out; in a warm run, counted from the first task.
    pub(super) last: f64,
    pub(super) tasks: usize,
}

impl Flow {
    /// Runs the tasks. Each must come out once and pass the check.
    pub(super) fn run(
        executor: &LocalExecutor,
        pipeline: &Pipeline,
        mut tasks: impl ExactSizeIterator<Item = Task> + Send,
        check: impl FnMut(Task) -> bool,
    ) -> Result<Self, BoxError> {
        let count = tasks.len();
        Self::run_all(executor, pipeline, &mut tasks, count, check, |_| {})
    }

    /// Runs the tasks, and counts the seconds from the end of the first task, which itself does not
    /// count. All set-up is done by then.
    pub(super) fn run_warm(
        executor: &LocalExecutor,
        pipeline: &Pipeline,
        mut tasks: impl ExactSizeIterator<Item = Task> + Send,
        check: impl FnMut(Task) -> bool,
    ) -> Result<Self, BoxError> {
        let count = tasks.len();
        let first = tasks.next();
        let (send, receive) = mpsc::channel();
        let mut begin = 0.0;
        // The other tasks wait until the first is out. If the run fails earlier, the wait has a
        // time limit.
        let wait = std::iter::once_with(move || receive.recv_timeout(PATIENCE));
        let wait = wait.filter_map(|_| None);
        let mut tasks = first.into_iter().chain(wait).chain(tasks);
        let mut send = Some(send);
        let mut flow = Self::run_all(executor, pipeline, &mut tasks, count, check, |seconds| {
            if let Some(send) = send.take() {
                begin = seconds;
                // The receiver is gone if this comes too late.
                let _ = send.send(());
            }
        })?;
        flow.tasks -= 1;
        flow.last -= begin;
        Ok(flow)
    }

    /// Runs one task at a time. Each waits until the previous one has come out, so that no stage
    /// waits for a core that another stage uses.
    pub(super) fn run_single(
        executor: &LocalExecutor,
        pipeline: &Pipeline,
        tasks: impl ExactSizeIterator<Item = Task> + Send,
        check: impl FnMut(Task) -> bool,
    ) -> Result<Self, BoxError> {
        let count = tasks.len();
        let (send, receive) = mpsc::channel();
        let mut tasks = tasks.enumerate().map(move |(number, task)| {
            if number > 0 {
                // If the run fails earlier, the wait has a time limit.
                let _ = receive.recv_timeout(PATIENCE);
            }
            task
        });
        let out = |_| {
            let _ = send.send(());
        };
        Self::run_all(executor, pipeline, &mut tasks, count, check, out)
    }

    /// Runs the tasks, and sends a message to `out` as each task comes out.
    fn run_all(
        executor: &LocalExecutor,
        pipeline: &Pipeline,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        count: usize,
        mut check: impl FnMut(Task) -> bool,
        mut out: impl FnMut(f64),
    ) -> Result<Self, BoxError> {
        let plan = Plan::new(pipeline)?;
        let events = Arc::new(Mutex::new((Vec::new(), Vec::new())));
        let begun = Instant::now();
        let observer = {
            let events = Arc::clone(&events);
            move |event: &Event| {
                let now = begun.elapsed().as_secs_f64();
                let mut lists = events.lock();
                let (events, batches) = &mut *lists;
                // Events of batches are too many to keep, except the first of each worker.
                let is_kept = !matches!(event, Event::BatchDone { .. })
                    || !matches!(events.last(), Some((_, Event::BatchDone { .. })));
                if is_kept {
                    events.push((now, event.clone()));
                }
                if let Event::BatchDone { stage, duration, transfer, .. } = event {
                    let [code, way] = [duration, transfer].map(Duration::as_secs_f64);
                    batches.push((stage.clone(), code, way));
                }
            }
        };
        let (mut found, mut last) = (0, 0.0);
        let mut sink = |task: Task| -> Result<(), StageError> {
            last = begun.elapsed().as_secs_f64();
            found += 1;
            if !check(task) {
                return Err(format!("what came out as number {found} is wrong").into());
            }
            out(last);
            Ok(())
        };
        let report = executor.execute(&plan, tasks, Arc::new(observer), &mut sink)?;
        if found != count {
            return Err(format!("{found} of {count} tasks came out").into());
        }
        let mut lists = events.lock();
        let (events, batches) = std::mem::take(&mut *lists);
        Ok(Self { report, events, batches, last, tasks: count })
    }

    /// Returns the seconds for each task.
    pub(super) fn seconds_a_task(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no run here has that many tasks")]
        let tasks = self.tasks as f64;
        self.last / tasks
    }

    /// Returns when the first event of a kind came.
    pub(super) fn first(&self, is_it: impl Fn(&Event) -> bool) -> Option<f64> {
        self.events.iter().find(|(_, event)| is_it(event)).map(|(at, _)| *at)
    }
}
