//! Deadlines of operations, with all their attempts and waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Interval at which a pause checks whether to end early.
const LOOK: Duration = Duration::from_millis(50);

/// The moment by which an operation must be over, or no limit.
///
/// It is a total: finding the tool, waiting for a lock, all attempts and the pauses between them
/// share it.
///
/// ```
/// use std::time::Duration;
/// use installer::Deadline;
///
/// assert!(Deadline::after(Duration::ZERO).is_over());
/// assert!(!Deadline::NEVER.is_over());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline that never passes.
    pub const NEVER: Self = Self(None);

    /// Creates the deadline at this moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    /// Creates the deadline this long from now. A duration too large for the clock means no limit.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// Returns the moment; `None` if there is no limit.
    #[must_use]
    pub fn moment(self) -> Option<Instant> {
        self.0
    }

    /// Returns the remaining time: zero after the deadline, `None` if there is no limit.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(Instant::now()))
    }

    /// Returns whether the moment has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

/// A limit that ends an operation early: a deadline, and optional flags.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use installer::{Deadline, Limit};
///
/// let stop = Arc::new(AtomicBool::new(false));
/// let limit = Limit::from(Deadline::NEVER).with_stop(stop.clone());
/// assert!(!limit.is_over());
/// stop.store(true, Ordering::Relaxed);
/// assert!(limit.is_over());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Limit {
    deadline: Deadline,
    stops: Vec<Arc<AtomicBool>>,
}

impl From<Deadline> for Limit {
    fn from(deadline: Deadline) -> Self {
        Self { deadline, stops: Vec::new() }
    }
}

impl Limit {
    /// Adds a flag. As soon as one flag is true, nothing more begins, and running processes are
    /// ended with all their children, as at the deadline. Default: none.
    #[must_use]
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stops.push(stop);
        self
    }

    /// Returns the deadline.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns whether the deadline has passed, or a flag is true.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stops.iter().any(|stop| stop.load(Ordering::Relaxed)) || self.deadline.is_over()
    }

    /// Returns the earlier of the deadline and this long from now.
    pub(crate) fn within(&self, duration: Duration) -> Duration {
        self.deadline.remaining().map_or(duration, |remaining| remaining.min(duration))
    }

    /// Waits for this long. Returns false if the limit comes first, at once if the deadline is
    /// nearer.
    pub(crate) fn allows_pause(&self, duration: Duration) -> bool {
        if self.within(duration) < duration {
            return false;
        }
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.is_over() {
                return false;
            }
            std::thread::sleep(left.min(LOOK));
        }
        true
    }
}
