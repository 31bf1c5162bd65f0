//! What the workers of a stage are seen to be at, which decides about more of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

    /// The workers that are set up.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Those of them that have a batch at hand.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Those that wait for room in the next queue.
    pub(crate) fn waiting(&self) -> usize {
        self.passing_on.load(Ordering::Relaxed)
    }

    /// The time of a batch in the stage's own code; none before the first result.
    pub(crate) fn batch_time(&self) -> Option<Duration> {
        self.pace().batch
    }

    /// How long the last worker took to start.
    pub(crate) fn start(&self) -> Duration {
        self.pace().start
    }

    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
