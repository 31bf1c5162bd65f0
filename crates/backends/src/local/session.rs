//! The work of one worker process: one thread feeds it batches, another takes its results.
//!
//! Small batches are sent ahead, so that the worker never waits for the next one. How far ahead
//! depends on the duration of a batch, so that a slow worker does not hold batches that another one
//! could process. A suspected batch is sent alone.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::arenas::{Arenas, Berth};
use super::feed::{Offer, Sight, Step};
use super::flights::{Flight, MOST_BYTES, State};
use super::parcel::Batch;
use super::queue::Taken;
use super::results::{self, Answered, Room, Verdict};
use super::spare::{self, Spare};
use super::stage_run::{StageRun, Trouble};
use crate::run::{Error, Spent};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::worker::wire::{BatchTasks, Bye, Frame, Input, Kind, Outbox, Region};
use crate::worker::{Incoming, LogTail, Process};

/// Poll interval of a waiting thread.
const TICK: Duration = Duration::from_millis(100);
/// Time limit of a worker's teardown.
const TEARDOWN_LIMIT: Duration = Duration::from_secs(30);

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The worker was told to end, and has torn down.
    Stopped,
    /// The run is cancelled; the worker has been told so.
    Cancelled,
    /// The process ended by itself.
    Gone,
    /// A batch exceeded its time limit; this is the limit of one task.
    Deadline(Duration),
    /// The worker was told to end, and did not within the limit.
    Stuck,
    /// The worker's frames make no sense.
    Broken(String),
}

/// The work of one worker process.
pub(crate) struct Session<'a> {
    stage: &'a StageRun<'a>,
    index: usize,
    log: LogTail,
    /// How long the worker may be idle before it is told to end.
    idle_limit: Option<Duration>,
    state: Mutex<State>,
    changed: Condvar,
}

/// The state of sending to a worker.
struct Sending {
    arenas: Arenas,
    outbox: Outbox,
    /// The number of the last batch.
    sequence: u64,
    tasks: u64,
    most_tasks: u64,
}

/// The remains of a session.
pub(crate) struct Remains {
    /// The batches that the worker still had, in the order in which it got them.
    pub(crate) held: Vec<Batch>,
    /// Whether the worker was useful: it answered, or was told to end before it could.
    pub(crate) was_useful: bool,
    /// Whether it was told to end, for whatever reason.
    pub(crate) was_told_to_end: bool,
    /// Whether it was told to end because it was idle.
    pub(crate) is_spare: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        stage: &'a StageRun<'a>,
        index: usize,
        log: LogTail,
        idle_limit: Option<Duration>,
    ) -> Self {
        let state = State::new();
        Self { stage, index, log, idle_limit, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn into_remains(self) -> Remains {
        let state = self.state.into_inner();
        let was_told_to_end = state.told_to_end.is_some();
        let was_useful = state.has_answered || was_told_to_end;
        let is_spare = state.is_spare;
        // The threads that used one have released it.
        let held = state.in_flight.into_iter().filter_map(Arc::into_inner);
        let held = held.map(|flight| flight.batch).collect();
        Remains { held, was_useful, was_told_to_end, is_spare }
    }

    /// Feeds the worker until there is nothing left, or something ends it.
    pub(crate) fn run(&self, process: &mut Process) -> End {
        let writer = match process.writer() {
            Ok(writer) => writer,
            Err(error) => return End::Broken(format!("its socket: {error}")),
        };
        std::thread::scope(|scope| {
            let results =
                Builder::new().name("curator-results".to_owned()).spawn_scoped(scope, || {
                    let _guard = OverOnPanic(self, &writer);
                    let end = self.take_results(process);
                    // The feeding thread may be waiting for room in the socket of a worker that no
                    // longer reads. To the worker, a closed socket is the order to end.
                    let how = if matches!(end, End::Cancelled) {
                        Shutdown::Write
                    } else {
                        Shutdown::Both
                    };
                    process.shut_down(how);
                    let mut state = self.lock();
                    state.is_over = true;
                    if !state.in_flight.is_empty() {
                        self.stage.load.end_batch();
                    }
                    drop(state);
                    self.changed.notify_all();
                    end
                });
            let results = match results {
                Ok(results) => results,
                Err(source) => {
                    self.stage.run.fail(Error::no_thread(source));
                    return End::Cancelled;
                }
            };
            self.feed(&writer);
            // A panic here is the observer's, and must reach the caller.
            results.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sends batches as long as there are any; then tells the worker to end.
    fn feed(&self, writer: &UnixStream) {
        let mut sending = Sending {
            arenas: Arenas::new(self.stage.run.arenas_from),
            outbox: Outbox::default(),
            sequence: 0,
            tasks: 0,
            most_tasks: self.stage.planned.settings.recycle_after.unwrap_or(u64::MAX),
        };
        let mut idle_since = None;
        loop {
            let mut sight = self.look(&sending);
            let mut step = sight.step();
            let mut batch = None;
            if step == Step::Ask {
                let taken = self.stage.queue().take(TICK);
                idle_since = match taken {
                    Taken::Nothing if sight.is_idle => idle_since.or_else(|| Some(Instant::now())),
                    _ => None,
                };
                let is_past = |(since, limit): (Instant, _)| since.elapsed() >= limit;
                sight.is_past_idle = idle_since.zip(self.idle_limit).is_some_and(is_past);
                sight.is_device_wanted = self.stage.is_device_wanted();
                sight.offer = Some(match taken {
                    Taken::Batch(taken) => {
                        batch = Some(taken);
                        Offer::Batch
                    }
                    Taken::Nothing => Offer::Nothing,
                    Taken::Finished => Offer::Finished,
                });
                step = sight.step();
            }
            match step {
                Step::Leave => return,
                Step::Look | Step::Ask => {}
                Step::Wait => self.wait_for_change(),
                Step::Send => {
                    if !self.send(batch, &mut sending) {
                        return;
                    }
                    if sending.outbox.flush(writer).is_err() {
                        // The worker has ended or will be ended, and the thread that takes the
                        // results finds out how.
                        break;
                    }
                }
                Step::End => break,
                Step::Settle => {
                    self.wait_until_idle();
                    break;
                }
                Step::Spare => {
                    self.lock().is_spare = true;
                    break;
                }
            }
        }
        self.lock().told_to_end = Some(Instant::now());
        let _ = writer.shutdown(Shutdown::Write);
        self.wait_until_over();
    }

    /// Returns what there is to see, once the worker has room or is over, or after a short wait.
    fn look(&self, sending: &Sending) -> Sight {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, TICK, |state| !state.is_over && !state.has_room());
        let (is_over, has_room) = (state.is_over, state.has_room());
        let is_idle = state.in_flight.is_empty();
        drop(state);
        let is_device_wanted = !is_over && has_room && self.stage.is_device_wanted();
        Sight {
            is_over,
            has_room,
            is_idle,
            is_used_up: sending.tasks >= sending.most_tasks,
            is_device_wanted,
            is_next_full: is_device_wanted && self.stage.next_queue().is_at_limit(),
            is_past_idle: false,
            offer: None,
        }
    }

    /// Prepares a batch for the worker, with more for the same write; returns false if it is over.
    fn send(&self, mut next: Option<Batch>, sending: &mut Sending) -> bool {
        while let Some(mut batch) = next.take() {
            if batch.is_suspect && !self.wait_until_idle() {
                self.stage.give_back([batch]);
                return false;
            }
            sending.sequence += 1;
            sending.tasks += batch.parcels.len() as u64;
            let sequence = sending.sequence;
            let expected = |input| self.lock().expected_outputs(input);
            let begun = Instant::now();
            let berth = sending.arenas.berth(&mut batch, expected, &mut sending.outbox);
            let placing = begun.elapsed();
            let bytes = encode(&mut sending.outbox, sequence, &batch, berth.as_ref());
            let shared = berth.as_ref().map_or(0, Berth::size);
            let mut state = self.lock();
            if state.is_over {
                drop(state);
                self.stage.give_back([batch]);
                return false;
            }
            if state.in_flight.is_empty() {
                state.front_since = Instant::now();
                self.stage.load.begin_batch();
            }
            state.bytes += bytes;
            state.shared += shared;
            let flight = Flight { sequence, batch, berth, bytes, shared, placing };
            state.in_flight.push_back(Arc::new(flight));
            // More batches for the same write, if there are any at once.
            let has_room = state.has_room();
            drop(state);
            if has_room && sending.outbox.len() < MOST_BYTES && sending.tasks < sending.most_tasks {
                match self.stage.queue().take(Duration::ZERO) {
                    Taken::Batch(batch) if batch.is_suspect => self.stage.give_back([batch]),
                    Taken::Batch(batch) => next = Some(batch),
                    Taken::Nothing | Taken::Finished => {}
                }
            }
        }
        true
    }

    fn wait_for_change(&self) {
        let state = self.lock();
        drop(self.changed.wait_timeout(state, TICK));
    }

    fn wait_until_over(&self) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| !state.is_over));
    }

    /// Waits until the worker has no batch; returns false if it is over.
    fn wait_until_idle(&self) -> bool {
        let state = self.lock();
        let state =
            self.changed.wait_while(state, |state| !state.is_over && !state.in_flight.is_empty());
        !state.is_over
    }

    /// Takes results until the worker's end.
    fn take_results(&self, process: &mut Process) -> End {
        let mut spare = Spare::default();
        // Parts of the input arena in which the worker still has tables, by their batches.
        let mut kept = Vec::new();
        loop {
            match process.receive(Some(self.next_look()), Some(&self.stage.run.cancel)) {
                Incoming::Frame(frame) if frame.kind == Kind::Result => {
                    if let Err(end) = self.take_result(frame, &mut spare, &mut kept) {
                        return end;
                    }
                }
                Incoming::Frame(frame) if frame.kind == Kind::Bye => {
                    if self.lock().told_to_end.is_none() {
                        return End::Broken("it left without being told to".to_owned());
                    }
                    if let Ok(Bye { error: Some(error) }) = serde_json::from_slice(&frame.meta) {
                        self.stage.warn(format!("`teardown` raised {error}"));
                    }
                    return End::Stopped;
                }
                Incoming::Frame(frame) => {
                    return End::Broken(format!(
                        "a {:?} frame in the middle of its work",
                        frame.kind
                    ));
                }
                Incoming::Gone => return End::Gone,
                Incoming::Broken(error) => return End::Broken(error.to_string()),
                Incoming::Cancelled => return End::Cancelled,
                Incoming::Deadline => {
                    if let Some(end) = self.overdue() {
                        return end;
                    }
                }
            }
        }
    }

    /// Returns the next time to check the clock.
    fn next_look(&self) -> Instant {
        let tick = Instant::now() + TICK;
        self.task_deadline(&self.lock()).map_or(tick, |deadline| deadline.min(tick))
    }

    /// Returns the deadline of the first batch in flight. The limit is that of one task, so a batch
    /// has that time for each of its tasks.
    fn task_deadline(&self, state: &State) -> Option<Instant> {
        let limit = self.stage.planned.settings.task_timeout?;
        let batch = &state.in_flight.front()?.batch;
        let count = u32::try_from(batch.parcels.len()).unwrap_or(u32::MAX);
        state.front_since.checked_add(limit.checked_mul(count)?)
    }

    fn overdue(&self) -> Option<End> {
        let state = self.lock();
        let now = Instant::now();
        if state.told_to_end.is_some_and(|since| now >= since + TEARDOWN_LIMIT) {
            return Some(End::Stuck);
        }
        if self.task_deadline(&state).is_some_and(|deadline| now >= deadline) {
            return self.stage.planned.settings.task_timeout.map(End::Deadline);
        }
        None
    }

    /// Returns where the large outputs of a batch are, and which of them stay there.
    fn room_of<'f>(&self, flight: &'f Flight) -> Room<'f> {
        let region = flight.berth.as_ref().and_then(|berth| berth.output.as_ref());
        // Half of the arena is for the next batches.
        let is_roomy = |region: &Arc<Region>| region.arena().in_use() <= region.arena().size() / 2;
        let stay_from = match region {
            Some(region) if is_roomy(region) && self.stage.feeds_python => 0,
            // Memory of this size is always fresh, so it is allocated only when it is needed.
            Some(region) if is_roomy(region) => spare::MOST,
            _ => usize::MAX,
        };
        let from = self.stage.run.arenas_from.unwrap_or(usize::MAX);
        Room { region, stay_from, from }
    }

    /// Takes the first batch out of flight, and learns from it. Returns the time of its transfer
    /// with it.
    fn land(&self, duration: Duration, large: usize) -> Option<(Flight, Duration)> {
        let mut state = self.lock();
        let flight = state.in_flight.pop_front().and_then(Arc::into_inner)?;
        state.has_answered = true;
        state.bytes -= flight.bytes;
        state.shared -= flight.shared;
        state.outputs = large.max(state.outputs - state.outputs / 8);
        let transfer = state.front_since.elapsed().saturating_sub(duration) + flight.placing;
        state.front_since = Instant::now();
        let pace = state.pace.unwrap_or(duration);
        state.pace = Some((3 * pace + duration) / 4);
        if state.in_flight.is_empty() {
            self.stage.load.end_batch();
        }
        Some((flight, transfer))
    }

    /// Settles the first batch in flight with its result.
    fn take_result(
        &self,
        frame: Frame,
        spare: &mut Spare,
        kept: &mut Vec<(u64, Arc<Region>)>,
    ) -> Result<(), End> {
        let unasked = || End::Broken("a result that no batch waits for".to_owned());
        let flight = self.lock().in_flight.front().map(Arc::clone).ok_or_else(unasked)?;
        if flight.sequence != frame.sequence {
            return Err(End::Broken(format!(
                "the result of batch {} instead of {}",
                frame.sequence, flight.sequence
            )));
        }
        let room = self.room_of(&flight);
        let answered = results::read(self.stage.name(), &flight.batch, frame, &room, spare);
        let Answered { duration, verdict, kept: still, lacking, declared, large } =
            answered.map_err(End::Broken)?;
        self.stage.tell_lacking(&lacking);
        if let Some(Err(error)) = declared.map(|declared| self.stage.heed(&declared)) {
            self.stage.run.fail(error);
            return Err(End::Cancelled);
        }
        drop(flight);
        let (flight, transfer) = self.land(duration, large).ok_or_else(unasked)?;
        let Flight { sequence, batch, berth, .. } = flight;
        let input = berth.and_then(Berth::into_input).filter(|_| still.contains(&sequence));
        kept.extend(input.map(|region| (sequence, region)));
        kept.retain(|(sequence, _)| still.contains(sequence));
        self.changed.notify_all();
        let log = || self.log.lines();
        match verdict {
            Verdict::Done { outputs, failed } => {
                let again = failed
                    .into_iter()
                    .filter_map(|(at, cause)| {
                        self.stage.task_trouble(batch.single(at), Trouble { cause, log: log() })
                    })
                    .collect();
                let spent = Spent { process: duration, transfer };
                // Before the outputs are passed on, so that data which is the same in both is
                // theirs alone.
                let tasks = batch.parcels.len();
                batch.parcels.into_iter().for_each(|parcel| spare.keep(parcel.payload));
                // A cancelled run wants no more outputs; the next wait notices it.
                let _ = self.stage.done(self.index, tasks, outputs, spent, again);
            }
            Verdict::Failed(cause) => {
                self.stage.batch_trouble(batch, Trouble { cause, log: log() });
            }
        }
        // Time spent waiting for room downstream does not count as the worker's.
        self.lock().front_since = Instant::now();
        Ok(())
    }
}

/// Stops the feeding thread if the thread that takes the results panics.
struct OverOnPanic<'a>(&'a Session<'a>, &'a UnixStream);

impl Drop for OverOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stage.run.stop();
            // It may be waiting for room in the socket.
            let _ = self.1.shutdown(Shutdown::Both);
            self.0.lock().is_over = true;
            self.0.changed.notify_all();
        }
    }
}

/// Adds the frame of a batch; returns the number of its data bytes.
fn encode(outbox: &mut Outbox, sequence: u64, batch: &Batch, berth: Option<&Berth>) -> usize {
    let ids: Vec<String> =
        batch.parcels.iter().map(|parcel| parcel.head.id().to_string()).collect();
    let is_shared = |at: usize| berth.is_some_and(|berth| berth.is_shared[at]);
    let inputs = batch.parcels.iter().zip(&ids).enumerate().map(|(at, (parcel, id))| {
        let (head, payload, size) = (&parcel.head, &parcel.payload, parcel.size());
        let tag = if is_shared(at) { payload.format.shared_tag() } else { payload.format.tag() };
        if head.metadata.is_empty() && head.dataset_name.is_empty() {
            Input::Short(id, tag, size)
        } else {
            Input::Full(id, tag, size, &head.metadata, &head.dataset_name)
        }
    });
    let tasks = BatchTasks(berth.map(Berth::shares), inputs.collect());
    // Text and JSON values always become JSON.
    let meta = serde_json::to_vec(&tasks).unwrap_or_default();
    let body = batch.parcels.iter().enumerate().filter(|(at, _)| !is_shared(*at));
    let body: Vec<_> = body.map(|(_, parcel)| parcel.payload.bytes()).collect();
    let length = body.iter().map(|part| part.len()).sum();
    outbox.frame(Kind::Batch, sequence, &meta, body);
    length
}
