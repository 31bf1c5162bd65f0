//! The batches of a worker, and whether it may have more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arenas::Berth;
use super::parcel::Batch;

/// Maximum number of batches in a worker.
const MOST_BATCHES: usize = 32;
/// Maximum bytes in a worker with more than two batches.
pub(crate) const MOST_BYTES: usize = 1 << 16;
/// Maximum bytes in use of the arenas of such a worker.
const MOST_SHARED: usize = 64 << 20;
/// Maximum bytes in use of the arenas of a worker with two batches. Larger batches come one at a
/// time, since the wait for a copy is cheap compared with the memory.
const MOST_SHARED_BY_TWO: usize = 256 << 20;
/// Maximum work that is sent ahead, by the durations of earlier batches.
const AHEAD: Duration = Duration::from_millis(20);

/// A batch that the worker has.
pub(crate) struct Flight {
    pub(crate) sequence: u64,
    pub(crate) batch: Batch,
    pub(crate) berth: Option<Berth>,
    /// Its bytes that went over the socket.
    pub(crate) bytes: usize,
    /// The bytes of its part of the arenas.
    pub(crate) shared: usize,
    /// The time to write its data there.
    pub(crate) placing: Duration,
}

pub(crate) struct State {
    /// The worker's batches, in the order in which it got them.
    pub(crate) in_flight: VecDeque<Arc<Flight>>,
    pub(crate) bytes: usize,
    pub(crate) shared: usize,
    /// Average size of a batch's large outputs; recent ones count more.
    pub(crate) outputs: usize,
    /// Average duration of a batch; recent ones count more.
    pub(crate) pace: Option<Duration>,
    /// Earliest possible start of the first batch in flight.
    pub(crate) front_since: Instant,
    pub(crate) told_to_end: Option<Instant>,
    pub(crate) has_answered: bool,
    pub(crate) is_spare: bool,
    pub(crate) is_over: bool,
}

impl State {
    /// Creates the state of a worker without batches.
    pub(crate) fn new() -> Self {
        Self {
            in_flight: VecDeque::new(),
            bytes: 0,
            shared: 0,
            outputs: 0,
            pace: None,
            front_since: Instant::now(),
            told_to_end: None,
            has_answered: false,
            is_spare: false,
            is_over: false,
        }
    }

    /// Returns whether the worker may have another batch.
    pub(crate) fn has_room(&self) -> bool {
        let count = self.in_flight.len();
        if count == 0 {
            return true;
        }
        if self.in_flight.front().is_some_and(|flight| flight.batch.is_suspect) {
            return false;
        }
        let Some(pace) = self.pace else { return false };
        let ahead = AHEAD.as_nanos().checked_div(pace.as_nanos());
        let most = ahead.map_or(MOST_BATCHES, |most| most.min(MOST_BATCHES as u128) as usize);
        count < most
            && match count {
                1 => 2 * self.shared < MOST_SHARED_BY_TWO,
                _ => self.bytes < MOST_BYTES && self.shared < MOST_SHARED,
            }
    }

    /// Returns room for the large outputs of a batch, with a margin: unused room costs nothing.
    pub(crate) fn expected_outputs(&self, input: usize) -> usize {
        let likely = self.outputs.max(input);
        likely + likely / 4
    }
}
