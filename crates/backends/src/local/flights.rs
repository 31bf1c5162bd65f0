//! What a worker has in its hands, and whether it may have more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arenas::Berth;
use super::parcel::Batch;

/// Batches that may be in a worker at once.
const MOST_BATCHES: usize = 32;
/// Bytes that may be in a worker at once, where more than two batches are.
pub(crate) const MOST_BYTES: usize = 1 << 16;
/// Bytes of its arenas that may be in use at once, likewise.
const MOST_SHARED: usize = 64 << 20;
/// The same for two batches: larger ones come one at a time, since the copy that waiting costs is
/// little beside the memory.
const MOST_SHARED_BY_TWO: usize = 256 << 20;
/// Work that is sent ahead at the most, by the time that batches have taken so far.
const AHEAD: Duration = Duration::from_millis(20);
/// A batch that the worker has.
pub(crate) struct Flight {
    pub(crate) sequence: u64,
    pub(crate) batch: Batch,
    pub(crate) berth: Option<Berth>,
    /// Its bytes that went over the socket.
    pub(crate) bytes: usize,
    /// The bytes of the arenas that it was given.
    pub(crate) shared: usize,
    /// How long it took to put its data there.
    pub(crate) placing: Duration,
}

pub(crate) struct State {
    /// What the worker has, in the order in which it got it.
    pub(crate) in_flight: VecDeque<Arc<Flight>>,
    pub(crate) bytes: usize,
    pub(crate) shared: usize,
    /// What the large outputs of a batch take up, by those that have come, recent ones counting
    /// more.
    pub(crate) outputs: usize,
    /// The mean duration of a batch so far, recent ones counting more.
    pub(crate) pace: Option<Duration>,
    /// When the first batch in flight can have been begun.
    pub(crate) front_since: Instant,
    pub(crate) told_to_end: Option<Instant>,
    pub(crate) has_answered: bool,
    pub(crate) is_spare: bool,
    pub(crate) is_over: bool,
}

impl State {
    /// A worker that has nothing yet.
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

    /// Whether the worker may have another batch.
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

    /// Room for the large outputs of a batch, with some to spare: what is not used costs nothing.
    pub(crate) fn expected_outputs(&self, input: usize) -> usize {
        let likely = self.outputs.max(input);
        likely + likely / 4
    }
}
