//! The conversation with a driver during a run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::iter;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use stage::{SourceTask, Task};

use super::driver::{Driver, send};
use super::host::{Fault, Note};
use crate::local::{Parcel, cut, pack, unpack};
use crate::run::{
    EnvReport, EnvState, Error, Event, FailedTask, FailurePolicy, Observer, Over, Plan, Secrets,
    Sink, StageReport, tell_dropped,
};
use crate::sync::Mutex;
use crate::worker::Incoming;
use crate::worker::wire::{Frame, Kind};

/// Maximum number of tasks and of bytes that go to the driver in one frame.
const MOST_TASKS: usize = 1024;
const MOST_BYTES: usize = 1 << 20;

/// An event that the driver passes on.
#[derive(Deserialize)]
struct Passed {
    /// The host that it comes from, unique in the run; empty if it comes from no host.
    host: String,
    note: Note,
}

/// Why the driver stops.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum GivenUp {
    /// A failure on a node.
    Fault(Fault),
    /// A package that the base lacks.
    Missing { requirement: String, found: String },
    /// A setting that the engine refuses.
    Setting { setting: String, problem: String },
    /// The cluster's own job has an installer.
    JobInstaller { field: String },
    /// The engine failed, in its own words.
    Engine { words: String, detail: String },
}

/// The known state of a run so far.
pub(crate) struct RayRun<'a> {
    plan: &'a Plan,
    policy: FailurePolicy,
    observer: Arc<dyn Observer>,
    /// The secrets of this process, which the nodes do not know.
    secrets: Secrets,
    /// The last reported work of each host of a stage.
    tallies: HashMap<String, StageReport>,
    /// The number of each host in its stage.
    numbers: HashMap<String, usize>,
    counts: HashMap<String, usize>,
    environments: BTreeMap<String, EnvReport>,
    failed: Vec<FailedTask>,
    /// The warnings so far.
    told: HashSet<(Option<String>, String)>,
    /// The request that may end the run early, and the grace period then.
    stop: Option<(crate::Stop, Duration)>,
}

/// The result of a run.
pub(crate) struct RayEnd {
    pub(crate) stages: Vec<StageReport>,
    pub(crate) environments: Vec<EnvReport>,
    pub(crate) failed: Vec<FailedTask>,
    /// Whether it was asked to end early.
    pub(crate) is_stopped: bool,
}

impl<'a> RayRun<'a> {
    pub(crate) fn new(plan: &'a Plan, policy: FailurePolicy, observer: Arc<dyn Observer>) -> Self {
        Self {
            plan,
            policy,
            observer,
            secrets: Secrets::from_env(plan),
            tallies: HashMap::new(),
            numbers: HashMap::new(),
            counts: HashMap::new(),
            environments: BTreeMap::new(),
            failed: Vec::new(),
            told: HashSet::new(),
            stop: None,
        }
    }

    /// Sets a request that may end the run early.
    pub(crate) fn with_stop(self, stop: Option<(crate::Stop, Duration)>) -> Self {
        Self { stop, ..self }
    }

    /// Feeds the driver and takes its outputs, to the end of the run.
    pub(crate) fn run(
        mut self,
        mut driver: Driver,
        engine: &'static str,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        sink: &mut Sink<'_>,
    ) -> Result<RayEnd, Error> {
        let lost = |error: io::Error| Error::Driver {
            engine: engine.to_owned(),
            problem: format!("cannot be talked to: {error}"),
            log: Vec::new(),
        };
        let link = Link::new(driver.writer().map_err(lost)?, self.observer.clone());
        let stop = self.stop.take();
        let result = thread::scope(|scope| {
            let link = &link;
            let watching = stop.as_ref().map_or(Ok(()), |(stop, grace)| {
                thread("curator-stop")
                    .spawn_scoped(scope, move || link.watch(stop, *grace))
                    .map(drop)
            });
            let _ends = link.over.on_drop();
            let feeding = thread("curator-feed").spawn_scoped(scope, move || link.feed(tasks));
            watching.and(feeding.map(drop)).map_err(|error| Halt::from(lost(error)))?;
            let result = self.receive(&mut driver, sink);
            if result.is_err() {
                // It may still be fed.
                link.close(Shutdown::Write);
            }
            result
        });
        if let Some(error) = link.trouble.into_inner() {
            driver.abort();
            return Err(error);
        }
        match result {
            Ok(()) => {
                driver.finish();
                Ok(self.conclude(link.is_stopped.into_inner()))
            }
            Err(Halt::Lost(_)) if link.is_killed.into_inner() => {
                driver.abort();
                Ok(self.conclude(true))
            }
            Err(Halt::Failed(error)) => {
                driver.abort();
                Err(*error)
            }
            Err(Halt::Lost(problem)) => Err(driver.lost(problem)),
        }
    }

    fn receive(&mut self, driver: &mut Driver, sink: &mut Sink<'_>) -> Result<(), Halt> {
        loop {
            match driver.receive() {
                Incoming::Frame(frame) => match frame.kind {
                    Kind::Note => self.take_note(&frame)?,
                    Kind::Result => Self::take_outputs(&frame, sink)?,
                    Kind::Failed => return Err(given_up(&frame)),
                    Kind::Bye => return Ok(()),
                    other => return Err(Halt::Lost(Some(format!("sent a {other:?} frame")))),
                },
                Incoming::Broken(error) => {
                    return Err(Halt::Lost(Some(format!("wrote nonsense: {error}"))));
                }
                Incoming::Gone | Incoming::Deadline | Incoming::Cancelled => {
                    return Err(Halt::Lost(None));
                }
            }
        }
    }

    fn take_outputs(frame: &Frame, sink: &mut Sink<'_>) -> Result<(), Halt> {
        let nonsense = |what: String| Halt::Lost(Some(format!("wrote nonsense: {what}")));
        let lengths: Vec<usize> =
            serde_json::from_slice(&frame.meta).map_err(|error| nonsense(error.to_string()))?;
        for bytes in cut(&frame.body, &lengths).map_err(nonsense)? {
            let parcel = unpack(bytes).map_err(nonsense)?;
            let id = parcel.head.id().clone();
            match parcel.unpack() {
                Ok(task) => sink(task)
                    .map_err(|source| Halt::from(Error::Sink { task: id.to_string(), source }))?,
                Err(source) => {
                    return Err(Error::Data { task: id.to_string(), source }.into());
                }
            }
        }
        Ok(())
    }

    fn take_note(&mut self, frame: &Frame) -> Result<(), Halt> {
        let Passed { host, note } = serde_json::from_slice(&frame.meta)
            .map_err(|error| Halt::Lost(Some(format!("passed on nonsense: {error}"))))?;
        match note {
            // Each host reports the declarations of its stage's code.
            Note::Event(Event::Warning { stage, message })
                if !self.told.insert((stage.clone(), message.clone())) => {}
            Note::Event(event) => {
                let event = self.numbered(&host, event);
                self.observer.on_event(&self.secrets.event(&event));
            }
            Note::Environment(report) => self.take_environment(report),
            Note::Stage(report) => {
                self.tallies.insert(host, report);
            }
            Note::Outdated(stage) => self.plan.forget_of(&stage),
            Note::Failed(failed) => {
                let failed = self.secrets.failed(failed);
                // Another actor repeats the work of an actor that died.
                if self
                    .failed
                    .iter()
                    .any(|known| known.stage == failed.stage && known.tasks == failed.tasks)
                {
                    return Ok(());
                }
                self.observer.on_event(&Event::TaskFailed(failed.clone()));
                match self.policy {
                    FailurePolicy::FailFast => return Err(Error::Task(Box::new(failed)).into()),
                    FailurePolicy::Record => self.failed.push(failed),
                }
            }
        }
        Ok(())
    }

    /// Returns the event with the worker's number among all workers of its stage, if it has one. A
    /// host has only one worker, number 0 to itself.
    fn numbered(&mut self, host: &str, mut event: Event) -> Event {
        let (Event::WorkerReady { stage, worker, .. }
        | Event::WorkerEnded { stage, worker, .. }
        | Event::Log { stage, worker, .. }
        | Event::BatchDone { stage, worker, .. }) = &mut event
        else {
            return event;
        };
        let counts = &mut self.counts;
        *worker = *self.numbers.entry(host.to_owned()).or_insert_with(|| {
            let count = counts.entry(stage.clone()).or_default();
            *count += 1;
            *count - 1
        });
        event
    }

    /// Notes an environment that several nodes and workers may report. If one of them had to build
    /// it, that report counts.
    fn take_environment(&mut self, mut report: EnvReport) {
        let key = match &report.key {
            Some(key) => key.clone(),
            None => format!("{:?} {}", report.state, report.python.display()),
        };
        match self.environments.get_mut(&key) {
            None => {
                self.environments.insert(key, report);
            }
            Some(known) => {
                let is_built = |report: &EnvReport| report.state == EnvState::Built;
                let stages = std::mem::take(&mut report.stages);
                if is_built(&report) && (!is_built(known) || report.duration > known.duration) {
                    *known = EnvReport { stages: std::mem::take(&mut known.stages), ..report };
                }
                let new: Vec<String> =
                    stages.into_iter().filter(|stage| !known.stages.contains(stage)).collect();
                known.stages.extend(new);
            }
        }
    }

    fn conclude(self, is_stopped: bool) -> RayEnd {
        let mut stages: Vec<StageReport> = Vec::new();
        for planned in self.plan.stages() {
            let mut sum = StageReport::new(&planned.settings.name);
            for tally in self.tallies.values().filter(|tally| tally.name == planned.settings.name) {
                sum.add(tally);
            }
            if !is_stopped {
                self.observer.on_event(&Event::StageFinished { stage: sum.name.clone() });
            }
            stages.push(sum);
        }
        if !is_stopped {
            tell_dropped(self.plan, &stages, &*self.observer);
        }
        let environments = self.environments.into_values().collect();
        RayEnd { stages, environments, failed: self.failed, is_stopped }
    }
}

fn thread(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// What the threads of a run share: one feeds the driver, one waits for a request to stop, and one
/// takes the answers.
struct Link {
    writer: UnixStream,
    observer: Arc<dyn Observer>,
    over: Over,
    is_stopped: AtomicBool,
    is_killed: AtomicBool,
    /// Why the driver could not be fed.
    trouble: Mutex<Option<Error>>,
    /// The tasks are processed elsewhere, so their sources stay alive until the run has ended.
    sources: Mutex<Vec<Arc<SourceTask>>>,
}

impl Link {
    fn new(writer: UnixStream, observer: Arc<dyn Observer>) -> Self {
        Self {
            writer,
            observer,
            over: Over::default(),
            is_stopped: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            trouble: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// Stops the run when it is asked for.
    fn watch(&self, stop: &crate::Stop, grace: Duration) {
        let wind_down = || self.is_stopped.store(true, Ordering::Relaxed);
        let kill = || {
            self.is_stopped.store(true, Ordering::Relaxed);
            self.is_killed.store(true, Ordering::Relaxed);
            self.close(Shutdown::Both);
        };
        self.over.watch(stop, grace, wind_down, kill);
    }

    /// Sends all tasks.
    fn feed(&self, tasks: &mut (dyn Iterator<Item = Task> + Send)) {
        // No task is taken that would then be lost.
        let is_wanted = || !self.is_stopped.load(Ordering::Relaxed);
        let mut tasks = iter::from_fn(|| is_wanted().then(|| tasks.next()).flatten());
        if let Err(error) = feed(&self.writer, &mut tasks, &self.sources) {
            *self.trouble.lock() = Some(error);
            // Threads that wait for the driver's answers must stop.
            self.close(Shutdown::Both);
        }
    }

    /// Tells that the run ends early, and closes these directions of the socket.
    fn close(&self, directions: Shutdown) {
        self.observer.on_event(&Event::Stopping);
        let _ = self.writer.shutdown(directions);
    }
}

/// Why the conversation ends before the run does.
enum Halt {
    Failed(Box<Error>),
    /// The driver has ended, or its frames make no sense.
    Lost(Option<String>),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

fn given_up(frame: &Frame) -> Halt {
    let engine = || "the engine".to_owned();
    match serde_json::from_slice(&frame.meta) {
        Ok(GivenUp::Fault(fault)) => Error::from(fault).into(),
        Ok(GivenUp::Missing { requirement, found }) => {
            Error::EngineMissing { engine: engine(), requirement, found }.into()
        }
        Ok(GivenUp::Setting { setting, problem }) => {
            Error::EngineSetting { setting, problem }.into()
        }
        Ok(GivenUp::JobInstaller { field }) => Error::JobInstaller { field }.into(),
        Ok(GivenUp::Engine { words, detail }) => {
            // Ray quotes the command lines of package managers, including the indexes.
            let words = envspec::redact(&words).into_owned();
            let log = envspec::redact(&detail).lines().map(str::to_owned).collect();
            Error::Engine { words, log }.into()
        }
        Err(error) => Halt::Lost(Some(format!("gave up with nonsense: {error}"))),
    }
}

/// Sends all tasks, many in each frame.
fn feed(
    socket: &UnixStream,
    tasks: &mut (dyn Iterator<Item = Task> + Send),
    sources: &Mutex<Vec<Arc<SourceTask>>>,
) -> Result<(), Error> {
    let (mut lengths, mut body) = (Vec::new(), Vec::new());
    for task in Task::numbered(tasks) {
        let id = task.id().to_string();
        let before = body.len();
        sources.lock().extend(task.sources().iter().cloned());
        Parcel::pack(task)
            .and_then(|parcel| pack(&mut body, &parcel))
            .map_err(|source| Error::Data { task: id, source })?;
        lengths.push(body.len() - before);
        let is_full = lengths.len() >= MOST_TASKS || body.len() >= MOST_BYTES;
        if is_full && !flush(socket, &mut lengths, &mut body) {
            return Ok(());
        }
    }
    if flush(socket, &mut lengths, &mut body) {
        // The reading thread notices a driver that has ended.
        let _ = send(socket, Kind::Finish, b"{}", &[]);
    }
    Ok(())
}

/// Sends the collected tasks; returns false if the driver no longer reads.
fn flush(socket: &UnixStream, lengths: &mut Vec<usize>, body: &mut Vec<u8>) -> bool {
    if lengths.is_empty() {
        return true;
    }
    let meta = serde_json::to_vec(lengths).unwrap_or_default();
    let sent = send(socket, Kind::Batch, &meta, body).is_ok();
    lengths.clear();
    body.clear();
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_s_words_lose_their_credentials() {
        let meta =
            br#"{"engine": {"words": "RuntimeEnvSetupError: pip --index-url=http://u:hunter2@h/",
            "detail": "Run cmd:\n['pip', '--extra-index-url=http://hunter2@h/']"}}"#;
        let frame =
            Frame { kind: Kind::Failed, sequence: 0, meta: meta.to_vec(), body: Vec::new() };
        let Halt::Failed(error) = given_up(&frame) else { panic!("it makes sense") };
        let shown = format!("{} {error:?}", error.report());
        assert!(shown.contains("extra-index-url") && !shown.contains("hunter2"), "{shown}");
    }
}
