//! Patience with locks that were just dropped.

use std::thread;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// How often a lock that is held is tried again, with pauses that double.
///
/// A dropped `flock` may still be held for an instant: a process that another thread starts has a
/// copy of every descriptor between its fork and its exec, and on a busy machine that takes
/// milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pauses: u32,
}

impl Patience {
    /// Two attempts, for a caller that goes on without the lock.
    pub const BRIEF: Self = Self { pauses: 1 };
    /// Eight attempts within 127 ms and more, for a caller whose work ends without the lock.
    pub const LONG: Self = Self { pauses: 7 };

    /// Attempts to take a lock, which is `None` while it is held.
    ///
    /// # Errors
    ///
    /// The first error of an attempt.
    pub fn attempt<T, E>(
        self,
        mut attempt: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        for number in 0..self.pauses {
            if let Some(taken) = attempt()? {
                return Ok(Some(taken));
            }
            thread::sleep(FIRST_PAUSE * (1 << number));
        }
        attempt()
    }
}
