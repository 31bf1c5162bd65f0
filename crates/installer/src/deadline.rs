//! The moment by which an operation, with all its attempts and waits, must be over.

use std::time::{Duration, Instant};

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

    /// The nearer of this deadline and so long from now, as the end of one pause.
    pub(crate) fn pause(self, duration: Duration) -> Duration {
        self.remaining().map_or(duration, |remaining| remaining.min(duration))
    }
}
