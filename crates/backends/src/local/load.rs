//! The observed load of a stage's workers, which decides whether the stage gets more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::sync::Mutex;

/// The work of a stage's workers, and their speed.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Workers that are set up.
    ready: AtomicUsize,
    /// Ready workers with a batch.
    busy: AtomicUsize,
    /// Those that pass outputs on.
    passing_on: AtomicUsize,
    pace: Mutex<Pace>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Average time of a batch in the stage's own code; recent ones count more.
    batch: Option<Duration>,
    /// Start-up time of the last worker.
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
    /// Counts a worker as ready, until the result is dropped.
    pub(crate) fn worker_ready(&self, start: Duration) -> Counted<'_> {
        self.pace.lock().start = start;
        Counted::new(&self.ready)
    }

    pub(crate) fn begin_batch(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end_batch(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a worker as waiting for room in the next queue, until the result is dropped.
    pub(crate) fn passing_on(&self) -> Counted<'_> {
        Counted::new(&self.passing_on)
    }

    pub(crate) fn batch_done(&self, process: Duration) {
        let mut pace = self.pace.lock();
        let before = pace.batch.unwrap_or(process);
        pace.batch = Some((7 * before + process) / 8);
    }

    /// Returns the number of ready workers.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Returns the number of ready workers with a batch.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Returns the number of workers that wait for room in the next queue.
    pub(crate) fn waiting(&self) -> usize {
        self.passing_on.load(Ordering::Relaxed)
    }

    /// Returns the time of a batch in the stage's own code; none before the first result.
    pub(crate) fn batch_time(&self) -> Option<Duration> {
        self.pace().batch
    }

    /// Returns the start-up time of the last worker.
    pub(crate) fn start(&self) -> Duration {
        self.pace().start
    }

    fn pace(&self) -> Pace {
        *self.pace.lock()
    }
}
