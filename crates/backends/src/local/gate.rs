//! A value that is set once, for threads that wait for it.

use crate::sync::{Condvar, Mutex};

/// Closed until a thread opens it with a value, or shuts it for good.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Closed,
    Open(T),
    Shut,
}

impl<T: Clone> Gate<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Closed), changed: Condvar::new() }
    }

    pub(crate) fn open(&self, value: T) {
        self.change(State::Open(value));
    }

    /// Shuts it without a value, since the run is over. An existing value stays.
    pub(crate) fn shut(&self) {
        self.change(State::Shut);
    }

    fn change(&self, new: State<T>) {
        let mut state = self.state.lock();
        if matches!(*state, State::Closed) {
            *state = new;
        }
        self.changed.notify_all();
    }

    /// Returns the value, if it is open.
    pub(crate) fn peek(&self) -> Option<T> {
        match &*self.state.lock() {
            State::Open(value) => Some(value.clone()),
            State::Closed | State::Shut => None,
        }
    }

    /// Waits for the value; returns `None` once it is shut.
    pub(crate) fn wait(&self) -> Option<T> {
        let state = self.state.lock();
        let state = self.changed.wait_while(state, |state| matches!(state, State::Closed));
        match &*state {
            State::Open(value) => Some(value.clone()),
            State::Closed | State::Shut => None,
        }
    }
}
