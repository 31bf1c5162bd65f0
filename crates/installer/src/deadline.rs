//! The moment by which an operation, with all its attempts and waits, must be over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a pause looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// The moment by which an operation must be over, or none.
///
/// It is a total: looking for the tool, waiting for a lock, every attempt and every pause between
/// attempts share it.
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
    /// No limit.
    pub const NEVER: Self = Self(None);

    /// This moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    /// So long from now. A duration that no clock can hold is no limit.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// The moment, unless there is no limit.
    #[must_use]
    pub fn moment(self) -> Option<Instant> {
        self.0
    }

    /// What is left, zero when it has passed, `None` when there is no limit.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(Instant::now()))
    }

    /// Whether the moment has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

/// What ends an operation early: a deadline, and perhaps flags.
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
    /// The same with another flag. As soon as one is true nothing more begins, and whatever runs is
    /// ended with all that it started, as it would be at the deadline. By default, there is none.
    #[must_use]
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stops.push(stop);
        self
    }

    /// The deadline.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Whether the deadline has passed, or a flag is true.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stops.iter().any(|stop| stop.load(Ordering::Relaxed)) || self.deadline.is_over()
    }

    /// So long from now, or the deadline, where that is nearer.
    pub(crate) fn within(&self, duration: Duration) -> Duration {
        self.deadline.remaining().map_or(duration, |remaining| remaining.min(duration))
    }

    /// Waits for so long. False if the limit comes first; it is not waited for where the deadline is
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
