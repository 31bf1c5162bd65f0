//! A mutex and a condition variable that outlive a panic.
//!
//! The standard library poisons a mutex when a thread panics while it holds it, and has the others
//! panic in turn, since what the mutex guards may be half changed. Here one panic ends the whole run
//! and is reported. The other threads take the lock to wind the run up: they end workers, settle
//! tasks and report the failure. A panic of theirs would leave workers behind and hide the first one.
//! So these types hand out the lock in any case. Everything else is as in [`std::sync`].

use std::sync::{self, PoisonError, TryLockError, WaitTimeoutResult};
use std::time::Duration;

pub use std::sync::MutexGuard;

/// A mutex without poison.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Creates an unlocked mutex.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Returns what it guards.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if no other thread has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A condition variable for a [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// Creates a condition variable that no thread waits for.
    #[must_use]
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Wakes one of the threads that wait.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits to be woken; may also wake by itself.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `is_waiting` returns true of the state.
    pub fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        is_waiting: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.0.wait_while(guard, is_waiting).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits to be woken, for at most `patience`; may also wake by itself.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        patience: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.0.wait_timeout(guard, patience).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `is_waiting` returns true of the state, for at most `patience`.
    pub fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        patience: Duration,
        is_waiting: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.0
            .wait_timeout_while(guard, patience, is_waiting)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_holder_that_panics_leaves_the_lock_to_the_others() {
        let mutex = Mutex::new(1);
        let changed = Condvar::new();
        let holder: Result<(), _> = catch_unwind(AssertUnwindSafe(|| {
            *mutex.lock() = 2;
            let _held = mutex.lock();
            panic!("with the lock held");
        }));
        assert!(holder.is_err());
        assert_eq!(mutex.try_lock().as_deref(), Some(&2));
        let moment = Duration::from_millis(1);
        assert_eq!(*changed.wait_timeout(mutex.lock(), moment).0, 2);
        assert_eq!(*changed.wait_timeout_while(mutex.lock(), moment, |it| *it == 2).0, 2);
        assert_eq!(*changed.wait_while(mutex.lock(), |it| *it == 1), 2);
        assert_eq!(mutex.into_inner(), 2);
    }
}
