//! Patience with locks that were just dropped.

use std::thread;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const PAUSES: u32 = 7;

/// Attempts to take a lock, eight times within 127 ms and more, with pauses that double.
///
/// A dropped `flock` may still be held for an instant: a process that another thread starts has a
/// copy of every descriptor between its fork and its exec, and on a busy machine that takes
/// milliseconds. A caller for which "it is in use" ends the work asks through this function.
///
/// # Errors
///
/// The first error of an attempt.
pub fn patiently<T, E>(mut attempt: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    for number in 0..PAUSES {
        if let Some(taken) = attempt()? {
            return Ok(Some(taken));
        }
        thread::sleep(FIRST_PAUSE * (1 << number));
    }
    attempt()
}
