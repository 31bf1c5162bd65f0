//! A host: one stage, run for an actor on the other end of a socket.

use std::fs::File;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::fs::FlockOperation;
use stage::{BaseSpec, Registry};

use super::fault::Fault;
use super::request::{HostRequest, Note, Place};
use crate::local::{self, Devices, LocalExecutor, Node, Run, StageRun, StageRunner};
use crate::run::{EnvState, Error, Event, Observer, Plan};
use crate::sync::Mutex;
use crate::worker::wire::{self, Frame, FrameReader, Kind};

/// Time limit for the current batch after the actor has ended.
const GRACE: Duration = Duration::from_secs(2);

/// Returns the executor that makes environments and runs stages on a node.
pub(super) fn executor(place: &Place) -> LocalExecutor {
    let executor = LocalExecutor::default()
        .with_base(BaseSpec::Python(place.base.clone()))
        .with_devices(Vec::<String>::new());
    match &place.cache_dir {
        Some(dir) => executor.with_cache_dir(dir),
        None => executor,
    }
}

/// Serves the actor on the other end of the standard input until it ends.
pub(crate) fn serve(registry: &Registry) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Processes that a stage starts must not hold the socket open.
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    serve_on(socket, registry)
}

/// Serves the actor on the other end of this socket until it ends.
fn serve_on(socket: UnixStream, registry: &Registry) -> io::Result<()> {
    let mut frames = Frames { socket: socket.try_clone()?, reader: FrameReader::default() };
    let Some(start) = frames.next()? else { return Ok(()) };
    let request: HostRequest = serde_json::from_slice(&start.meta)?;
    let (announced, _presence) = match announce(&request.place) {
        Ok(presence) => presence,
        // The run is over, and its folder is gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let ours = socket.try_clone()?;
    let writer = Writer(Arc::new(Mutex::new(socket)));
    let HostRequest { place, stage, policy, worker, is_native } = request;
    let planned = match stage.into_planned(&place, registry, is_native) {
        Ok(planned) => planned,
        Err(error) => return refuse(&mut frames, &writer, error),
    };
    let plan = Plan::of_stages(vec![planned]);
    let watch = Relay { writer: writer.clone() };
    let node = Node::of_cluster(place.node.clone(), worker, place.run_dir.clone());
    let run = Run::of_stage(&plan, policy, Arc::new(watch), Devices::new(Vec::new()), node)?;
    let over = place.run_dir.join("over");
    std::thread::Builder::new().name("curator-over".to_owned()).spawn(move || {
        // The run may be over while the actor still exists without reading. A thread that waits to
        // write to it, and holds the writer, must be released as well.
        while announced.exists() && !over.exists() {
            std::thread::sleep(LOOK);
        }
        let _ = ours.shutdown(Shutdown::Both);
    })?;
    let (sender, receiver) = channel();
    let host = &Host { run: &run, writer: &writer };
    executor(&place).with_failure_policy(policy).drive(
        &plan,
        &run,
        move || host.read(frames, sender),
        |stages| {
            host.answer(stages, &receiver);
            Ok(())
        },
    );
    // The actor may be gone.
    let _ = writer.send(Kind::Bye, b"{}", &[]);
    Ok(())
}

/// Poll interval of a host for the end of its run.
const LOOK: Duration = Duration::from_millis(200);

/// Holds a lock on a file for the lifetime of this host, so that the end of the run can wait for it.
///
/// The actor has made the folder. A folder that is gone stays so: nothing would remove another one.
fn announce(place: &Place) -> io::Result<(PathBuf, File)> {
    let path = place.run_dir.join("hosts").join(std::process::id().to_string());
    let file = File::create(&path)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok((path, file))
}

/// Answers every call with one error.
fn refuse(frames: &mut Frames, writer: &Writer, error: Error) -> io::Result<()> {
    let fault = serde_json::to_vec(&Fault::from(error))?;
    while frames.next()?.is_some() {
        writer.send(Kind::Failed, &fault, &[])?;
    }
    Ok(())
}

struct Host<'a> {
    run: &'a Run,
    writer: &'a Writer,
}

impl Host<'_> {
    /// Reads calls from the socket until it closes; then the current batch has a short time left.
    fn read(&self, mut frames: Frames, calls: Sender<Frame>) {
        while let Ok(Some(frame)) = frames.next() {
            if calls.send(frame).is_err() {
                break;
            }
        }
        drop(calls);
        let queue = &self.run.queues[0];
        queue.close();
        if !queue.wait_finished(GRACE) {
            self.run.stop();
        }
    }

    /// Answers calls, one after another, until there are no more.
    fn answer(&self, stages: &[StageRun<'_>], calls: &Receiver<Frame>) {
        let Some(stage) = stages.first() else { return };
        let stage = &StageRunner::new(self.run, stage);
        let mut is_first = true;
        let mut fault: Option<Vec<u8>> = None;
        while let Ok(call) = calls.recv() {
            let done = match &fault {
                Some(fault) => self.writer.send(Kind::Failed, fault, &[]),
                None => match self.process_and_tell(stage, &call) {
                    Ok((meta, body)) => {
                        if std::mem::take(&mut is_first)
                            && let Some(environment) = stage.environment()
                        {
                            self.writer.note(&Note::Environment(environment));
                        }
                        self.writer.send(Kind::Result, &meta, &body)
                    }
                    Err(error) => {
                        let text = serde_json::to_vec(&Fault::from(error)).unwrap_or_default();
                        let sent = self.writer.send(Kind::Failed, &text, &[]);
                        fault = Some(text);
                        sent
                    }
                },
            };
            if done.is_err() {
                // The actor is gone; the end of the socket ends the stage.
                break;
            }
        }
    }

    /// Runs one batch, and tells of a stage whose code is not what the run was planned with.
    fn process_and_tell(
        &self,
        stage: &StageRunner<'_>,
        call: &Frame,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let result = self.process(stage, call);
        if stage.take_outdated() {
            self.writer.note(&Note::Outdated(stage.report().name));
        }
        result
    }

    /// Runs one batch of any size: the engine has cut it.
    fn process(&self, stage: &StageRunner<'_>, call: &Frame) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let nonsense = |words: String| Error::Engine { words, log: Vec::new() };
        let lengths: Vec<usize> = serde_json::from_slice(&call.meta)
            .map_err(|error| nonsense(format!("a call that is {error}")))?;
        let parcels = local::cut(&call.body, &lengths)
            .and_then(|parts| parts.into_iter().map(local::unpack).collect::<Result<Vec<_>, _>>())
            .map_err(nonsense)?;
        let (mut lengths, mut body) = (Vec::new(), Vec::new());
        let batch_size = parcels.len();
        for parcel in stage.process_parcels(parcels, batch_size)? {
            let before = body.len();
            local::pack(&mut body, &parcel)
                .map_err(|source| Error::Data { task: parcel.head.id().to_string(), source })?;
            lengths.push(body.len() - before);
        }
        for failed in stage.take_failed() {
            self.writer.note(&Note::Failed(failed));
        }
        self.writer.note(&Note::Stage(stage.report()));
        let meta = serde_json::to_vec(&lengths)
            .map_err(|error| nonsense(format!("an answer: {error}")))?;
        Ok((meta, body))
    }
}

/// The frames of a socket.
struct Frames {
    socket: UnixStream,
    reader: FrameReader,
}

impl Frames {
    fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.reader.next()? {
                return Ok(Some(frame));
            }
            if !self.reader.fill(&mut self.socket)? {
                return Ok(None);
            }
        }
    }
}

/// Writes frames for several threads.
#[derive(Clone)]
struct Writer(Arc<Mutex<UnixStream>>);

impl Writer {
    fn send(&self, kind: Kind, meta: &[u8], body: &[u8]) -> io::Result<()> {
        let mut buffer = Vec::new();
        wire::encode(&mut buffer, kind, 0, meta, &[body]);
        self.0.lock().write_all(&buffer)
    }

    fn note(&self, note: &Note) {
        // An actor that has gone needs no message.
        if let Ok(text) = serde_json::to_vec(note) {
            let _ = self.send(Kind::Note, &text, &[]);
        }
    }
}

/// Passes on the events for the program that runs the pipeline.
struct Relay {
    writer: Writer,
}

impl Observer for Relay {
    fn on_event(&self, event: &Event) {
        let is_news = match event {
            Event::EnvironmentPreparing { .. }
            | Event::EnvironmentKeyed { .. }
            | Event::StageFinished { .. }
            // These concern this host alone.
            | Event::Stopping
            // These are sent with the answer.
            | Event::TaskFailed(_) => false,
            // Every worker of a stage looks up its environment: only a build is news.
            Event::EnvironmentReady { state, .. } => *state == EnvState::Built,
            _ => true,
        };
        if is_news {
            self.writer.note(&Note::Event(event.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;

    use envspec::RuntimeEnv;
    use serde_json::{Value, json};
    use stage::{BoxError, Context, Output, Pipeline, PythonStage, Settings, Stage, Task, TaskId};

    use super::*;
    use crate::local::Parcel;
    use crate::ray::host::StageRequest;

    struct Echo;

    impl Stage for Echo {
        fn process(&self, task: Task, _: &mut Context) -> Result<Output, BoxError> {
            Ok(Output::Many(vec![task.clone(), task]))
        }
    }

    fn registry() -> Registry {
        Registry::new().with("echo", |_: &Value| Ok(Echo))
    }

    /// Starts a host on a thread, and returns the actor's end of its socket.
    fn host(run_dir: &Path) -> (UnixStream, thread::JoinHandle<io::Result<()>>) {
        let stage = json!({
            "settings": Settings::new("s"),
            "code": { "rust": { "name": "echo", "args": "null" } },
            "env": null,
        });
        host_of(run_dir, Path::new("/no/python"), &stage)
    }

    fn host_of(
        run_dir: &Path,
        base: &Path,
        stage: &Value,
    ) -> (UnixStream, thread::JoinHandle<io::Result<()>>) {
        std::fs::create_dir(run_dir.join("hosts")).unwrap();
        let request = json!({
            "place": {
                "base": base, "node": "n", "run_dir": run_dir, "cache_dir": run_dir.join("cache"),
                // With an entry, a stage has an environment of its own on the node.
                "python_path": if stage["wanted"].is_null() { "" } else { "/somewhere" },
            },
            "stage": stage,
            "policy": "fail-fast",
            "worker": 0,
            "is_native": false,
        });
        let (ours, theirs) = UnixStream::pair().unwrap();
        let running = thread::spawn(move || serve_on(theirs, &registry()));
        send(&ours, Kind::Start, &request, &[]);
        (ours, running)
    }

    fn send(mut socket: &UnixStream, kind: Kind, meta: &Value, body: &[u8]) {
        let mut buffer = Vec::new();
        wire::encode(&mut buffer, kind, 0, meta.to_string().as_bytes(), &[body]);
        socket.write_all(&buffer).unwrap();
    }

    fn call(socket: &UnixStream, index: u64) {
        let task = Task::new(vec![7; 10]).with_id(TaskId::root().child(index));
        let mut body = Vec::new();
        local::pack(&mut body, &Parcel::pack(task).unwrap()).unwrap();
        send(socket, Kind::Batch, &json!([body.len()]), &body);
    }

    #[test]
    fn a_host_answers_and_says_farewell() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, running) = host(dir.path());
        call(&socket, 0);
        call(&socket, 1);
        let mut frames =
            Frames { socket: socket.try_clone().unwrap(), reader: FrameReader::default() };
        let mut ids = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            if frame.kind == Kind::Result {
                let lengths: Vec<usize> = serde_json::from_slice(&frame.meta).unwrap();
                for bytes in local::cut(&frame.body, &lengths).unwrap() {
                    ids.push(local::unpack(bytes).unwrap().head.id().to_string());
                }
                if ids.len() == 4 {
                    socket.shutdown(Shutdown::Write).unwrap();
                }
            }
            if frame.kind == Kind::Bye {
                break;
            }
        }
        assert_eq!(ids, ["0_0_0", "0_0_1", "0_1_0", "0_1_1"]);
        running.join().unwrap().unwrap();
    }

    /// Returns the frames of a host until it is told to end: their kinds and texts.
    fn told(text: &str, runtime_env: &RuntimeEnv) -> Vec<(Kind, String)> {
        let dir = tempfile::tempdir().unwrap();
        let python = which::which("python3").unwrap();
        let stage = PythonStage::from_source(text, "Stage").with_runtime_env(runtime_env.clone());
        let plan = Plan::new(&Pipeline::new("p").with_stage(stage)).unwrap();
        let mut request = StageRequest::new(&plan.stages()[0]).unwrap();
        if runtime_env.is_empty() {
            request.wanted.as_mut().unwrap().unset_env();
        }
        let stage = serde_json::to_value(&request).unwrap();
        let (socket, running) = host_of(dir.path(), &python, &stage);
        call(&socket, 0);
        let mut frames =
            Frames { socket: socket.try_clone().unwrap(), reader: FrameReader::default() };
        let mut told = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            told.push((frame.kind, String::from_utf8(frame.meta).unwrap()));
            match frame.kind {
                Kind::Result | Kind::Failed => socket.shutdown(Shutdown::Write).unwrap(),
                Kind::Bye => break,
                _ => {}
            }
        }
        running.join().unwrap().unwrap();
        told
    }

    /// On a node, the environment differs from the plan's: it has the node's variables, and the
    /// engine has given the worker its resources. Declarations are compared with the plan.
    #[test]
    fn what_code_declares_is_held_against_the_plan_on_a_node() {
        let text = "class Stage:\n    runtime_env = {'env_vars': {'A': '1'}}\n    batch_size = 5\n    \
                    resources = {'cpus': 1}\n    def process(self, task): return task";
        let refused = told(text, &RuntimeEnv::new());
        let fault = refused.iter().find(|(kind, _)| *kind == Kind::Failed).expect("a fault");
        let error = Error::from(serde_json::from_str::<Fault>(&fault.1).unwrap());
        assert!(matches!(error, Error::DeclaredEnv { .. }), "{}", error.report());

        let same = told(text, &RuntimeEnv::new().with_env_var("A", "1"));
        assert!(same.iter().any(|(kind, _)| *kind == Kind::Result), "{same:?}");
        let warnings = same.iter().filter(|(_, text)| text.contains(r#""event":"warning""#));
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].1.contains("`batch_size` 5"), "{warnings:?}");
        // The plan was made without its code.
        assert!(!same.iter().any(|(_, text)| text.contains("outdated")), "{same:?}");
    }

    /// The actor of a run that is over may still exist without reading.
    #[test]
    fn a_host_without_a_reader_ends_with_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, running) = host(dir.path());
        // Far more answers than the socket holds.
        (0..5_000).for_each(|index| call(&socket, index));
        std::fs::write(dir.path().join("over"), "").unwrap();
        running.join().unwrap().unwrap();
    }

    /// The end of the run may have missed a host that was just starting, and removed its folder.
    #[test]
    fn a_host_without_a_folder_ends_and_makes_none() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("run");
        std::fs::create_dir(&run_dir).unwrap();
        let (socket, running) = host(&run_dir);
        call(&socket, 0);
        while run_dir.exists() {
            // It may be announcing itself.
            let _ = std::fs::remove_dir_all(&run_dir);
        }
        running.join().unwrap().unwrap();
        assert!(!run_dir.exists());
    }
}
