//! The bounded queue in front of a stage, and the number of its unsettled batches.
//!
//! A stage is finished when its input has ended, the queue is empty, no batch waits for another
//! attempt, and every batch that was taken has been settled. Only then may the next stage's queue
//! close, because a batch may still come back from a worker that died.

use std::collections::VecDeque;
use std::time::Duration;

use super::parcel::{Batch, Parcel};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Poll interval of a waiting push for `is_urgent`.
const TICK: Duration = Duration::from_millis(50);

/// The run is over; the task is no longer wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cancelled;

/// The queue's answer to a worker.
#[derive(Debug)]
pub(crate) enum Taken {
    /// A batch, which must be settled or given back.
    Batch(Batch),
    /// Nothing yet.
    Nothing,
    /// Nothing now or ever: the stage is finished, or the run is cancelled.
    Finished,
}

/// The size limits of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Tasks; raised to twice the batch size if that is more.
    pub(crate) tasks: usize,
    /// Bytes of data. One task always fits, whatever its size.
    pub(crate) bytes: usize,
}

/// A bounded queue of tasks that gives out batches.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something to take, or the end.
    filled: Condvar,
    /// Room to push, or the end.
    drained: Condvar,
    /// The end. A separate condvar, so that `notify_one` never wakes a thread that waits only for
    /// the end.
    ended: Condvar,
    batch_size: usize,
    limits: Limits,
}

#[derive(Debug)]
struct State {
    tasks: VecDeque<Parcel>,
    bytes: usize,
    retries: VecDeque<Batch>,
    taken: usize,
    is_open: bool,
    /// Whether nothing more is given out; batches that were taken may still be settled.
    is_stopped: bool,
    is_cancelled: bool,
}

impl State {
    fn is_settled(&self) -> bool {
        self.tasks.is_empty() && self.retries.is_empty() && self.taken == 0
    }

    fn is_finished(&self) -> bool {
        self.is_cancelled || self.is_stopped || (!self.is_open && self.is_settled())
    }
}

impl Queue {
    pub(crate) fn new(batch_size: usize, limits: Limits) -> Self {
        let state = State {
            tasks: VecDeque::new(),
            bytes: 0,
            retries: VecDeque::new(),
            taken: 0,
            is_open: true,
            is_stopped: false,
            is_cancelled: false,
        };
        let limits = Limits { tasks: limits.tasks.max(2 * batch_size), ..limits };
        Self {
            state: Mutex::new(state),
            filled: Condvar::new(),
            drained: Condvar::new(),
            ended: Condvar::new(),
            batch_size,
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds tasks in order; waits for room before each. Returns those that come after a stop.
    pub(crate) fn push(
        &self,
        parcels: impl IntoIterator<Item = Parcel>,
    ) -> Result<Vec<Parcel>, Cancelled> {
        self.push_unless(parcels, || false)
    }

    /// Adds tasks like [`push`](Self::push), but does not wait for room while `is_urgent` returns
    /// true.
    pub(crate) fn push_unless(
        &self,
        parcels: impl IntoIterator<Item = Parcel>,
        is_urgent: impl Fn() -> bool,
    ) -> Result<Vec<Parcel>, Cancelled> {
        let mut state = self.lock();
        let (mut added, mut late) = (0, Vec::new());
        for parcel in parcels {
            while !state.is_cancelled
                && !state.is_stopped
                && self.is_full(&state, parcel.size())
                && !is_urgent()
            {
                if added > 0 {
                    self.filled.notify_all();
                    added = 0;
                }
                state = self.drained.wait_timeout(state, TICK).0;
            }
            if state.is_cancelled {
                return Err(Cancelled);
            }
            if state.is_stopped {
                late.push(parcel);
                continue;
            }
            state.bytes += parcel.size();
            state.tasks.push_back(parcel);
            added += 1;
        }
        if added > 0 && state.tasks.len() >= self.batch_size {
            if state.tasks.len() >= 2 * self.batch_size {
                self.filled.notify_all();
            } else {
                self.filled.notify_one();
            }
        }
        Ok(late)
    }

    /// Waits until a task may come that is small enough, so that a producer of large tasks does not
    /// hold one that has no room.
    pub(crate) fn wait_for_room(&self) -> Result<(), Cancelled> {
        let is_over = |state: &State| state.is_cancelled || state.is_stopped;
        let has_no_room = |state: &mut State| !is_over(state) && self.is_full(state, 1);
        let state = self.drained.wait_while(self.lock(), has_no_room);
        if is_over(&state) { Err(Cancelled) } else { Ok(()) }
    }

    fn is_full(&self, state: &State, size: usize) -> bool {
        let is_over = state.bytes + size > self.limits.bytes;
        state.tasks.len() >= self.limits.tasks
            // A whole batch must fit; otherwise it would never be complete.
            || (is_over && state.tasks.len() >= self.batch_size)
    }

    /// Adds a batch of any size.
    pub(crate) fn push_batch(&self, batch: Batch) {
        self.lock().retries.push_back(batch);
        self.filled.notify_one();
    }

    /// Waits until all tasks that were pushed are settled; returns false if the run is cancelled.
    pub(crate) fn wait_settled(&self) -> bool {
        let is_busy = |state: &mut State| !state.is_cancelled && !state.is_settled();
        let state = self.ended.wait_while(self.lock(), is_busy);
        !state.is_cancelled
    }

    /// Takes all queued tasks, without a need to settle them.
    pub(crate) fn take_all(&self) -> Vec<Parcel> {
        let mut state = self.lock();
        state.bytes = 0;
        state.tasks.drain(..).collect()
    }

    /// Marks the end of the input.
    pub(crate) fn close(&self) {
        self.lock().is_open = false;
        self.filled.notify_all();
        self.ended.notify_all();
    }

    /// Gives out nothing more, and returns the queued tasks. Batches that were taken may still be
    /// settled.
    pub(crate) fn stop(&self) -> Vec<Parcel> {
        let mut state = self.lock();
        state.is_stopped = true;
        state.bytes = 0;
        let mut left: Vec<Parcel> = state.tasks.drain(..).collect();
        left.extend(state.retries.drain(..).flat_map(|batch| batch.parcels));
        self.filled.notify_all();
        self.drained.notify_all();
        self.ended.notify_all();
        left
    }

    /// Ends all waiting; queued tasks are dropped.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        state.tasks.clear();
        state.retries.clear();
        self.filled.notify_all();
        self.drained.notify_all();
        self.ended.notify_all();
    }

    /// Takes a batch; waits for one for at most `patience`.
    pub(crate) fn take(&self, patience: Duration) -> Taken {
        let mut state = self.lock();
        loop {
            if state.is_finished() {
                return Taken::Finished;
            }
            if let Some(batch) = self.next_batch(&mut state) {
                state.taken += 1;
                return Taken::Batch(batch);
            }
            if patience.is_zero() {
                return Taken::Nothing;
            }
            let timeout;
            (state, timeout) = self.filled.wait_timeout(state, patience);
            if timeout.timed_out() {
                let batch = self.next_batch(&mut state);
                state.taken += usize::from(batch.is_some());
                return match batch {
                    Some(batch) => Taken::Batch(batch),
                    None if state.is_finished() => Taken::Finished,
                    None => Taken::Nothing,
                };
            }
        }
    }

    fn next_batch(&self, state: &mut State) -> Option<Batch> {
        if let Some(batch) = state.retries.pop_front() {
            return Some(batch);
        }
        let count = match state.tasks.len() {
            0 => return None,
            have if have >= self.batch_size => self.batch_size,
            _ if state.is_open => return None,
            have => have,
        };
        let parcels: Vec<Parcel> = state.tasks.drain(..count).collect();
        state.bytes -= parcels.iter().map(Parcel::size).sum::<usize>();
        self.drained.notify_all();
        Some(Batch::new(parcels))
    }

    /// Settles a batch that was taken.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        state.taken -= 1;
        if state.is_settled() {
            // Either the input has ended, or a thread waits for this.
            self.filled.notify_all();
            self.ended.notify_all();
        }
    }

    /// Returns a batch that was taken, possibly in parts, to the front of the queue. After a stop,
    /// the caller gets it back.
    pub(crate) fn give_back(&self, batches: impl IntoIterator<Item = Batch>) -> Vec<Parcel> {
        let mut state = self.lock();
        state.taken -= 1;
        let mut late = Vec::new();
        if state.is_stopped {
            late.extend(batches.into_iter().flat_map(|batch| batch.parcels));
        } else if !state.is_cancelled {
            state.retries.extend(batches);
        }
        self.filled.notify_all();
        late
    }

    /// Returns whether nothing more will come out.
    pub(crate) fn is_finished(&self) -> bool {
        self.lock().is_finished()
    }

    /// Waits for at most `patience`, and returns whether nothing more will come out.
    pub(crate) fn wait_finished(&self, patience: Duration) -> bool {
        let state = self.lock();
        let waited = self.ended.wait_timeout_while(state, patience, |state| !state.is_finished());
        waited.0.is_finished()
    }

    /// Waits for at most `patience` for a batch, and returns whether there is one.
    pub(crate) fn wait_for_batch(&self, patience: Duration) -> bool {
        let has_batch = |state: &State| {
            let least = if state.is_open { self.batch_size } else { 1 };
            !state.retries.is_empty() || state.tasks.len() >= least
        };
        let state = self.lock();
        let waited = self
            .filled
            .wait_timeout_while(state, patience, |state| !has_batch(state) && !state.is_finished());
        has_batch(&waited.0)
    }

    /// Returns the number of complete batches in the queue.
    pub(crate) fn backlog(&self) -> usize {
        let state = self.lock();
        state.retries.len() + state.tasks.len() / self.batch_size
    }

    /// Returns whether a push has to wait.
    pub(crate) fn is_at_limit(&self) -> bool {
        let state = self.lock();
        state.tasks.len() >= self.limits.tasks || state.bytes >= self.limits.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stage::{Task, TaskId};

    fn parcel(index: u64, size: usize) -> Parcel {
        let task = Task::new(vec![0; size]).with_id(TaskId::root().child(index));
        Parcel::pack(task).unwrap()
    }

    fn batch(taken: Taken) -> Batch {
        match taken {
            Taken::Batch(batch) => batch,
            other => panic!("expected a batch, not {other:?}"),
        }
    }

    #[test]
    fn a_batch_that_comes_back_keeps_the_stage_unfinished() {
        let queue = Queue::new(2, Limits { tasks: 8, bytes: 100 });
        queue.push([parcel(0, 1), parcel(1, 1), parcel(2, 1)]).unwrap();
        let first = batch(queue.take(Duration::ZERO));
        assert_eq!(first.parcels.len(), 2);
        assert!(matches!(queue.take(Duration::ZERO), Taken::Nothing), "a batch waits to be full");
        queue.close();
        assert_eq!(batch(queue.take(Duration::ZERO)).parcels.len(), 1);
        queue.settle();
        assert!(!queue.is_finished());
        queue.give_back([first]);
        assert_eq!(batch(queue.take(Duration::ZERO)).parcels.len(), 2);
        queue.settle();
        assert!(matches!(queue.take(Duration::ZERO), Taken::Finished));
    }

    #[test]
    fn a_push_waits_for_room_and_a_large_task_still_gets_in() {
        let queue = Queue::new(1, Limits { tasks: 4, bytes: 10 });
        queue.push([parcel(0, 1000)]).unwrap();
        assert!(queue.is_at_limit());
        std::thread::scope(|scope| {
            let pushed = scope.spawn(|| queue.push([parcel(1, 1)]));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!pushed.is_finished());
            batch(queue.take(Duration::ZERO));
            assert!(pushed.join().unwrap().is_ok_and(|late| late.is_empty()));
            let blocked = scope.spawn(|| queue.push((0..9).map(|index| parcel(index, 9))));
            std::thread::sleep(Duration::from_millis(20));
            queue.cancel();
            assert!(blocked.join().unwrap().is_err());
        });
        assert!(matches!(queue.take(Duration::MAX), Taken::Finished));
    }

    #[test]
    fn a_stop_gives_back_what_waits_and_settles_what_was_taken() {
        let queue = Queue::new(1, Limits { tasks: 2, bytes: 100 });
        queue.push([parcel(0, 1), parcel(1, 1)]).unwrap();
        let first = batch(queue.take(Duration::ZERO));
        queue.push([parcel(2, 1)]).unwrap();
        std::thread::scope(|scope| {
            // The push waits for room, and is released.
            let late = scope.spawn(|| queue.push([parcel(3, 1)]).unwrap().len());
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(queue.stop().len(), 2);
            assert_eq!(late.join().unwrap(), 1);
        });
        assert!(matches!(queue.take(Duration::MAX), Taken::Finished));
        assert_eq!(queue.give_back([first]).len(), 1, "it is not tried again");
    }
}
