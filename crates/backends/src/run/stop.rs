//! Ending a run before its end because its caller wants that.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long workers may take to finish what they have in their hands, by default.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(20);
/// How often somebody looks whether the run is to stop.
const TICK: Duration = Duration::from_millis(25);

/// Ends runs before their end, from whatever thread.
///
/// An executor is given a copy, by its `with_stop`. A run that is asked to stop takes no more tasks;
/// what its workers have in their hands is finished, and what waits is dropped
/// ([`Event::Dropped`](crate::Event::Dropped)). It is no failure: the report tells what was done, and
/// that it was [stopped](crate::RunReport::is_stopped). Under a [`Checkpoint`](crate::Checkpoint)
/// what was dropped is done by the next run.
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
    /// Of no run yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has runs end once their workers have finished what they have in their hands, or once the grace
    /// period of their executor is over.
    pub fn in_order(&self) {
        self.0.fetch_max(IN_ORDER, Ordering::SeqCst);
    }

    /// Has runs end at once: workers are killed.
    pub fn at_once(&self) {
        self.0.fetch_max(AT_ONCE, Ordering::SeqCst);
    }

    /// Whether runs are to end, in whichever way.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= IN_ORDER
    }

    /// Whether they are to end at once.
    #[must_use]
    pub fn is_wanted_at_once(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= AT_ONCE
    }
}

/// Whether a run is over, for those who look after it.
#[derive(Default)]
pub(crate) struct Over {
    is_over: Mutex<bool>,
    changed: Condvar,
}

/// Says that the run is over, when it is dropped.
pub(crate) struct EndsRun<'a>(&'a Over);

impl Drop for EndsRun<'_> {
    fn drop(&mut self) {
        *self.0.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}

impl Over {
    pub(crate) fn on_drop(&self) -> EndsRun<'_> {
        EndsRun(self)
    }

    /// Has the run wound down once that is wanted, and killed when the grace period is over, or at
    /// once if that is wanted. Returns when the run is over, or has been killed.
    pub(crate) fn watch(
        &self,
        stop: &Stop,
        grace: Duration,
        wind_down: impl FnOnce(),
        kill: impl FnOnce(),
    ) {
        let mut wind_down = Some(wind_down);
        let mut since = None;
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
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
            let waited = self.changed.wait_timeout(is_over, TICK);
            is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
