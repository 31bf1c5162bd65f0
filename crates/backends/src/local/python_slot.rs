//! One slot of a Python stage: a warm worker process, replaced when it dies.

use std::cell::Cell;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use stage::Workers;

use super::birth::{Birth, Unborn};
use super::devices::Allotment;
use super::parcel::Batch;
use super::session::{End, Remains, Session};
use super::stage_run::{StageRun, Trouble};
use super::templates::PROOF_LIMIT;
use crate::provision::Environment;
use crate::run::{Cause, Error, StartStep};
use crate::worker::wire::{Devices, Failed, Kind, Proof, Setup};
use crate::worker::{Exit, Incoming, Process};

/// How long a thread waits before it looks around.
const TICK: Duration = Duration::from_millis(100);
/// How long a worker at work may take to finish when the run is cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// How long a worker that has torn down may take to leave: it may have handlers of its own to run.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);
/// Between SIGTERM and SIGKILL, and for a process that is about to end.
const GRACE: Duration = Duration::from_millis(500);
/// Workers of a slot that may be killed while they start, one after the other.
const MAX_START_DEATHS: u32 = 3;
/// Workers of a slot that may be killed after that and before their first task, likewise.
const MAX_IDLE_DEATHS: u32 = 10;

/// Runs the slot until the stage is finished or the run is cancelled.
pub(crate) fn run(birth: Birth<'_>) {
    let Birth { stage, index, environment, .. } = birth;
    let slot = PythonSlot { stage, index, environment, birth, is_setting_up: Cell::new(false) };
    let mut deaths = 0;
    while !stage.queue().is_finished() {
        match slot.life() {
            Ok(()) => deaths = 0,
            Err(Fate::Cancelled | Fate::Spare) => return,
            Err(Fate::Failed(error)) => return stage.run.fail(*error),
            Err(Fate::Died { exit, log, is_set_up }) => {
                let most = if is_set_up { MAX_IDLE_DEATHS } else { MAX_START_DEATHS };
                deaths += 1;
                // A signal may have been an accident; an exit will be the same the next time.
                if deaths >= most || matches!(exit, Exit::Code(_)) {
                    return stage.run.fail(Error::WorkerDied {
                        stage: stage.name().to_owned(),
                        environment: environment.key_text(),
                        exit,
                        log,
                    });
                }
            }
        }
    }
}

struct PythonSlot<'a> {
    stage: &'a StageRun<'a>,
    index: usize,
    environment: &'a Environment,
    birth: Birth<'a>,
    /// Whether its worker has been told to run `setup`.
    is_setting_up: Cell<bool>,
}

/// The devices of a worker, and how long it waited for them.
#[derive(Default)]
struct Grant<'a> {
    allotment: Option<Allotment<'a>>,
    waited: Duration,
}

/// Why a worker's life ended other than with its work.
enum Fate {
    Cancelled,
    /// There was nothing to do for it, and others of its stage are there.
    Spare,
    /// By itself, before its first task.
    Died {
        exit: Exit,
        log: Vec<String>,
        is_set_up: bool,
    },
    Failed(Box<Error>),
}

impl From<Error> for Fate {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<Unborn> for Fate {
    fn from(unborn: Unborn) -> Self {
        match unborn {
            Unborn::Cancelled => Self::Cancelled,
            Unborn::Failed(error) => error.into(),
        }
    }
}

impl PythonSlot<'_> {
    /// Runs one process from its start to its end. Returns `Ok` if another one may follow.
    fn life(&self) -> Result<(), Fate> {
        let begun = Instant::now();
        self.is_setting_up.set(false);
        // It is given back once the process has ended.
        let mut grant = Grant::default();
        if self.stage.planned.gpus() > 0.0 && !self.birth.awaits_devices() {
            grant = self.wait_for_devices(None)?;
        }
        let visible = grant.allotment.as_ref().map(Allotment::visible);
        let mut process = self.birth.worker(visible, || self.is_late())?;
        if let Err(fate) = self.get_ready(&mut process, &mut grant) {
            // What has begun to set up gets the time to tear down.
            let is_polite = matches!(fate, Fate::Cancelled)
                && self.is_setting_up.get()
                && !self.stage.run.is_hurried();
            if is_polite {
                process.shut_down(Shutdown::Write);
            }
            let is_in_order = is_polite && say_goodbye(&mut process);
            let exit = if is_in_order { process.finish(GRACE) } else { process.reap() };
            self.stage.worker_ended(self.index, Some(exit), is_in_order);
            return Err(fate);
        }
        let (start, waited) = (begun.elapsed(), grant.waited);
        let _counted = self.stage.worker_ready(self.index, Some(process.pid()), start, waited);
        let start = start.saturating_sub(waited);
        // What took long to set up is not given up lightly. The first worker stays.
        let is_extra = self.index > 0 && self.stage.planned.settings.workers == Workers::Auto;
        let idle_limit = is_extra.then(|| self.stage.run.idle_limit.max(3 * start));
        let session = Session::new(self.stage, self.index, process.tail(), idle_limit);
        let end = session.run(&mut process);
        self.conclude(process, session.into_remains(), end)
    }

    /// Has the worker prove its environment, get its devices, and set up.
    fn get_ready<'a>(&'a self, process: &mut Process, grant: &mut Grant<'a>) -> Result<(), Fate> {
        let deadline = Some(Instant::now() + PROOF_LIMIT);
        let proof: Proof = self.expect(process, Kind::Proof, deadline)?;
        self.environment.verify(&proof).map_err(|mismatch| Error::WrongEnvironment {
            stage: self.stage.name().to_owned(),
            mismatch,
        })?;
        self.stage.worker_starting(self.index, StartStep::Proven);
        if self.birth.awaits_devices() {
            *grant = self.wait_for_devices(Some(process))?;
            self.stage.worker_starting(self.index, StartStep::Devices);
            let visible = grant.allotment.as_ref().map(Allotment::visible);
            let visible = visible.filter(|_| self.environment.has_devices_of_run());
            // If it is gone, the wait for its code finds out.
            let meta = serde_json::to_vec(&Devices { visible }).unwrap_or_default();
            let _ = process.send(Kind::Devices, &meta);
        }
        // Its code is loaded meanwhile, which may take long.
        let incoming = self.receive_while_needed(process)?;
        let overrides = self.stage.heed(&self.read(process, incoming, Kind::Loaded)?)?;
        self.stage.end_turn();
        self.stage.worker_starting(self.index, StartStep::Loaded);
        let noted = |source| Error::io("note on the node", "`setup_on_node`", source);
        let begun = self.stage.node_setup.begin(|| self.stage.run.cancel.is_cancelled());
        match begun.map_err(noted)? {
            None => return Err(Fate::Cancelled),
            Some(false) => {}
            Some(true) => {
                let result = self.set_up(process, true, &overrides);
                let ended = self.stage.node_setup.end(result.is_ok());
                result?;
                ended.map_err(noted)?;
            }
        }
        self.set_up(process, false, &overrides)
    }

    /// Waits until the stage has something to do and devices are free, and takes them. A worker that
    /// waits for them has started, and holds none.
    fn wait_for_devices(&self, mut process: Option<&mut Process>) -> Result<Grant<'_>, Fate> {
        let (stage, begun) = (self.stage, Instant::now());
        // The devices may be free only once another stage has had its turn.
        stage.end_turn();
        while !stage.queue().is_finished() {
            if let Some(process) = process.as_deref_mut() {
                match process.receive(Some(Instant::now()), Some(&stage.run.cancel)) {
                    Incoming::Deadline => {}
                    // It has nothing to say now: this is an end.
                    incoming => self.read(process, incoming, Kind::Devices)?,
                }
            }
            // A device that others hold is asked for only when there is something to do with it.
            let is_held_up = || stage.next_queue().is_at_limit();
            let is_needed = stage.queue().wait_for_batch(Duration::ZERO);
            let patience = if is_needed && !is_held_up() { TICK } else { Duration::ZERO };
            let taken = stage.run.devices.take(stage.index, stage.planned.gpus(), patience);
            if taken.is_some() {
                return Ok(Grant { allotment: taken, waited: begun.elapsed() });
            }
            if is_held_up() {
                std::thread::sleep(TICK);
            } else if !is_needed {
                stage.queue().wait_for_batch(TICK);
            }
        }
        Err(Fate::Cancelled)
    }

    fn set_up(
        &self,
        process: &mut Process,
        on_node: bool,
        overrides: &Map<String, Value>,
    ) -> Result<(), Fate> {
        let meta = serde_json::to_vec(&Setup { on_node, overrides }).unwrap_or_default();
        // If it cannot be sent the worker is gone, and the wait tells how.
        let _ = process.send(Kind::Setup, &meta);
        let incoming = if on_node {
            process.receive(None, Some(&self.stage.run.cancel))
        } else {
            self.is_setting_up.set(true);
            self.receive_while_needed(process)?
        };
        // What a hook declares comes too late for the plan.
        self.stage.heed(&self.read(process, incoming, Kind::Ready)?)?;
        Ok(())
    }

    /// Returns what a worker says while it loads its code or sets up; gives it up if the stage's
    /// others have done everything meanwhile, since a late helper must neither hold the run up nor
    /// fail it.
    fn receive_while_needed(&self, process: &mut Process) -> Result<Incoming, Fate> {
        loop {
            let deadline = Some(Instant::now() + TICK);
            match process.receive(deadline, Some(&self.stage.run.cancel)) {
                Incoming::Deadline => {}
                incoming => return Ok(incoming),
            }
            if self.is_late() {
                return Err(Fate::Cancelled);
            }
        }
    }

    /// Returns whether nothing is left for a worker that is not ready yet.
    fn is_late(&self) -> bool {
        let is_late = self.stage.has_workers() || self.stage.run.is_stopped();
        is_late && self.stage.queue().is_finished()
    }

    /// Waits for a frame of one kind while the worker gets ready.
    fn expect<T: DeserializeOwned>(
        &self,
        process: &mut Process,
        kind: Kind,
        deadline: Option<Instant>,
    ) -> Result<T, Fate> {
        let incoming = process.receive(deadline, Some(&self.stage.run.cancel));
        self.read(process, incoming, kind)
    }

    /// Returns what came, if it is a frame of this kind.
    fn read<T: DeserializeOwned>(
        &self,
        process: &mut Process,
        incoming: Incoming,
        kind: Kind,
    ) -> Result<T, Fate> {
        let stage = || self.stage.name().to_owned();
        let nonsense = |problem| Fate::from(Error::Protocol { stage: stage(), problem });
        match incoming {
            Incoming::Frame(frame) if frame.kind == kind => serde_json::from_slice(&frame.meta)
                .map_err(|error| nonsense(format!("its {kind:?} frame: {error}"))),
            Incoming::Frame(frame) if frame.kind == Kind::Failed => {
                let failed: Failed = serde_json::from_slice(&frame.meta)
                    .map_err(|error| nonsense(format!("its {:?} frame: {error}", frame.kind)))?;
                process.finish(GRACE);
                Err(Fate::from(Error::WorkerSetup {
                    stage: stage(),
                    phase: failed.phase,
                    environment: self.environment.key_text(),
                    error: Box::new(failed.error),
                    log: process.tail().lines(),
                }))
            }
            Incoming::Frame(frame) => {
                Err(nonsense(format!("a {:?} frame instead of {kind:?}", frame.kind)))
            }
            Incoming::Gone => {
                let exit = process.finish(GRACE);
                Err(Fate::Died { exit, log: process.tail().lines(), is_set_up: false })
            }
            Incoming::Broken(error) => Err(nonsense(error.to_string())),
            Incoming::Cancelled => Err(Fate::Cancelled),
            Incoming::Deadline => {
                Err(nonsense(format!("no {kind:?} frame within {} s", PROOF_LIMIT.as_secs())))
            }
        }
    }

    /// Ends the process in the way that its session ended, and says what becomes of what it held.
    fn conclude(&self, mut process: Process, remains: Remains, end: End) -> Result<(), Fate> {
        let Remains { held, was_useful, was_told_to_end, is_spare } = remains;
        let mut is_in_order = false;
        let (exit, cause) = match end {
            End::Stopped => {
                is_in_order = true;
                (process.finish(LEAVE_LIMIT), None)
            }
            End::Cancelled => {
                let is_hurried = self.stage.run.is_hurried();
                is_in_order = !is_hurried && say_goodbye(&mut process);
                let exit = if is_in_order {
                    process.finish(GRACE)
                } else if is_hurried {
                    process.reap()
                } else {
                    process.terminate(GRACE)
                };
                self.stage.worker_ended(self.index, Some(exit), is_in_order);
                return Err(Fate::Cancelled);
            }
            End::Gone => {
                let exit = process.finish(GRACE);
                if was_told_to_end && held.is_empty() {
                    // Its results are there, but what it had not yet written is not.
                    self.stage.warn(format!("its worker died in `teardown` ({exit})"));
                }
                (exit, Some(Cause::Died(exit)))
            }
            End::Deadline(limit) => (process.terminate(GRACE), Some(Cause::Deadline(limit))),
            End::Stuck => {
                self.stage.warn("`teardown` did not end in time, and its worker was ended".into());
                (process.terminate(GRACE), None)
            }
            End::Broken(problem) => (process.reap(), Some(Cause::Protocol(problem))),
        };
        self.stage.worker_ended(self.index, Some(exit), is_in_order);
        if is_spare && is_in_order {
            return Err(Fate::Spare);
        }
        if held.is_empty() && !was_useful && matches!(cause, Some(Cause::Died(_))) {
            // No task is to blame, so nothing else would ever stop the stage from starting others.
            return Err(Fate::Died { exit, log: process.tail().lines(), is_set_up: true });
        }
        self.blame(held, cause, &process);
        Ok(())
    }

    /// Blames a batch if it certainly was the one at work. If a dead worker had several batches, it
    /// is unknown which one was at work: all go back, and the guilty one will be alone the next
    /// time.
    fn blame(&self, mut held: Vec<Batch>, cause: Option<Cause>, process: &Process) {
        if let Some(cause) = cause
            && (held.len() == 1 || matches!(cause, Cause::Deadline(_)) && !held.is_empty())
        {
            let log = process.tail().lines();
            self.stage.batch_trouble(held.remove(0), Trouble { cause, log });
        }
        self.stage.give_back(held);
    }
}

/// Waits for a worker that was told to end; whether it tore down in time.
fn say_goodbye(process: &mut Process) -> bool {
    let deadline = Some(Instant::now() + CANCEL_GRACE);
    loop {
        match process.receive(deadline, None) {
            Incoming::Frame(frame) if frame.kind == Kind::Bye => return true,
            // The results of what was under way.
            Incoming::Frame(_) if deadline.is_none_or(|at| Instant::now() < at) => {}
            _ => return false,
        }
    }
}
