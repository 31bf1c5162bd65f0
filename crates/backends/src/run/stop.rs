//! Ending a run early on the caller's request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// Default time for workers to finish their current tasks.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(20);
/// Poll interval for the request to stop.
const TICK: Duration = Duration::from_millis(25);

/// Ends runs early, from any thread.
///
/// An executor takes a copy by its `with_stop`. After the request, a run takes no more tasks; its
/// workers finish their current tasks, and waiting tasks are dropped
/// ([`Event::Dropped`](crate::Event::Dropped)). This is no failure: the report has the results so
/// far, and says that the run was [stopped](crate::RunReport::is_stopped). With a
/// [`Checkpoint`](crate::Checkpoint), the next run takes the dropped tasks.
///
/// ```
/// use backends::{ExecutorExt, LocalExecutor, Stop};
/// use serde_json::json;
/// use stage::{Context, Pipeline, RustStage, Task};
///
/// # fn main() -> Result<(), backends::Error> {
/// let stop = Stop::new();
/// let enough = stop.clone();
/// let look = RustStage::from_fn("look", move |task: Task, _: &mut Context| {
///     if task.data == json!({ "n": 3 }).into() {
///         enough.in_order();
///     }
///     Ok::<_, stage::Error>(task)
/// });
/// let tasks = (0..).map(|n| Task::new(json!({ "n": n })));
/// let pipeline = Pipeline::new("demo").with_stage(look);
/// let report = LocalExecutor::default().with_stop(stop).run(&pipeline, tasks)?;
/// assert!(report.is_stopped && report.outputs.len() >= 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

const IN_ORDER: u8 = 1;
const AT_ONCE: u8 = 2;

impl Stop {
    /// Creates a request that belongs to no run yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends runs once their workers have finished their current tasks, or once the executor's grace
    /// period is over.
    pub fn in_order(&self) {
        self.0.fetch_max(IN_ORDER, Ordering::SeqCst);
    }

    /// Ends runs at once: workers are killed.
    pub fn at_once(&self) {
        self.0.fetch_max(AT_ONCE, Ordering::SeqCst);
    }

    /// Returns whether runs are to end, in either way.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= IN_ORDER
    }

    /// Returns whether runs are to end at once.
    #[must_use]
    pub fn is_wanted_at_once(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= AT_ONCE
    }
}

/// Whether a run is over, for the threads that watch it.
#[derive(Default)]
pub(crate) struct Over {
    is_over: Mutex<bool>,
    changed: Condvar,
}

/// Marks the run as over when it is dropped.
pub(crate) struct EndsRun<'a>(&'a Over);

impl Drop for EndsRun<'_> {
    fn drop(&mut self) {
        *self.0.is_over.lock() = true;
        self.0.changed.notify_all();
    }
}

impl Over {
    pub(crate) fn on_drop(&self) -> EndsRun<'_> {
        EndsRun(self)
    }

    /// Winds the run down on the first request, and kills it after the grace period, or at once if
    /// requested. Returns when the run is over or has been killed.
    pub(crate) fn watch(
        &self,
        stop: &Stop,
        grace: Duration,
        wind_down: impl FnOnce(),
        kill: impl FnOnce(),
    ) {
        let mut wind_down = Some(wind_down);
        let mut since = None;
        let mut is_over = self.is_over.lock();
        while !*is_over {
            if stop.is_wanted()
                && let Some(wind_down) = wind_down.take()
            {
                since = Some(Instant::now());
                wind_down();
            }
            let is_past = |since: Instant| since.elapsed() >= grace;
            if stop.is_wanted_at_once() || since.is_some_and(is_past) {
                return kill();
            }
            is_over = self.changed.wait_timeout(is_over, TICK).0;
        }
    }
}
