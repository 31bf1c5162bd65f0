//! A client's request, done.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use curator::Task;
use curator::backends::sync::Mutex;
use curator::backends::worker::Kind;
use curator::backends::{FailurePolicy, Observer, Recorder, RunRecord, RunReport, Sink, Stop};
use curator::stage::{BoxError, Data, redacted};
use serde_json::{Value, json};

use super::client::{Frames, Sent, Tasks, listen};
use super::fault::Fault;
use super::news::News;
use super::request::{Do, Request};
use super::writer::Writer;
use crate::engine::{self, Manner};
use crate::failure::Failure;
use crate::observers::Observers;
use crate::pipeline::Loaded;
use crate::plan;

pub(super) fn serve(
    request: &Request,
    frames: Frames,
    writer: &Writer,
    cache_dir: Option<&Path>,
) -> Result<(), Fault> {
    let client = Client::listen(frames, writer)?;
    let mut loaded = request.load()?;
    // The client has read it from the instances of its stages; what looks secret goes no further.
    let declared = redacted(&request.declared);
    let engine = loaded.file.engine();
    engine::check(engine, engine.backend, &loaded.plan)?;
    let (told, page) = match request.what {
        Do::Describe => (json!({ "text": loaded.file.pipeline().describe() }), None),
        Do::Plan => (plan::as_json(&mut loaded, cache_dir)?, None),
        Do::Run => run(request, loaded, &declared, client, cache_dir)?,
    };
    let told = json!({ "report": told, "declared": declared }).to_string();
    let page = page.as_ref().map_or(&[][..], |page| page.as_bytes());
    let sent = writer.send(Kind::Report, told.as_bytes(), &[page]);
    sent.map_err(|error| Failure::io("tell the client how it went", &error).into())
}

/// The client, while a thread listens to it.
struct Client<'w> {
    writer: &'w Writer,
    /// Where a run that stops early puts the end of the tasks.
    sender: Sender<Vec<Sent>>,
    received: Receiver<Vec<Sent>>,
    /// Its wish to end the run.
    stop: Stop,
}

impl<'w> Client<'w> {
    fn listen(frames: Frames, writer: &'w Writer) -> Result<Self, Failure> {
        let (sender, received) = channel();
        let stop = Stop::new();
        let listener = {
            let (sender, stop) = (sender.clone(), stop.clone());
            move || listen(frames, &sender, &stop)
        };
        let started = thread::Builder::new().name("curator-client".to_owned()).spawn(listener);
        started.map_err(|error| Failure::thread(&error))?;
        Ok(Self { writer, sender, received, stop })
    }
}

/// Runs the pipeline over the client's tasks. Returns the report, and its page if the client wants one.
fn run(
    request: &Request,
    mut loaded: Loaded,
    declared: &Value,
    client: Client<'_>,
    cache_dir: Option<&Path>,
) -> Result<(Value, Option<String>), Fault> {
    let Client { writer, sender, received, stop } = client;
    loaded.read_declared(cache_dir)?;
    lock(request, &mut loaded, cache_dir)?;
    let checkpoint = request.checkpoint.as_ref();
    let checkpoint = checkpoint.map(|it| loaded.checkpoint(&it.dir, it.accept_changes));
    let checkpoint = checkpoint.transpose()?;
    request.record.as_deref().map(RunRecord::claim).transpose()?;
    let engine = loaded.file.engine();
    let policy = loaded.file.failure_policy().unwrap_or(FailurePolicy::FailFast);
    let (stop_grace, owner) = (request.stop_grace(), request.owner);
    let manner = Manner { policy, stop, stop_grace, keep_warm: None, owner };
    let executor = engine::executor(engine, engine.backend, manner, cache_dir)?;

    let recorder = request.page.then(|| {
        let recorder = Recorder::from_env(&loaded.plan, engine.backend.as_str());
        Arc::new(recorder.with_declared(declared.clone()))
    });
    let mut observers = Observers::default();
    observers.add(Arc::new(News::new(writer.clone(), sender)));
    if let Some(recorder) = &recorder {
        observers.add(recorder.clone());
    }
    let observer: Arc<dyn Observer> = Arc::new(observers);
    let problem = Arc::new(Mutex::new(None));
    let mut tasks = Tasks::new(received, writer.clone(), request.follow, problem.clone());
    let sink: &mut Sink<'_> = &mut |task: Task| {
        if let Some(recorder) = &recorder {
            recorder.see(&task);
        }
        send(writer, task, request.timings)
    };
    let plan = &loaded.plan;
    let result = match checkpoint {
        Some(checkpoint) => checkpoint.run(&*executor, plan, &mut tasks, observer, sink),
        None => executor.execute(plan, &mut tasks, observer, sink),
    };
    let page = recorder.map(|recorder| recorder.finish(result.as_ref()).to_html());
    if let Some(problem) = problem.lock().take() {
        return Err(Fault::usage(&problem));
    }
    let run = result?;
    keep(request, &loaded, &run, cache_dir)?;
    Ok((json!(run), page))
}

/// Pins the packages of a recorded run, where that is wanted.
fn lock(request: &Request, loaded: &mut Loaded, cache_dir: Option<&Path>) -> Result<(), Fault> {
    if let Some(dir) = &request.locked {
        let record = RunRecord::read(dir)?;
        loaded.plan = record.lock(&loaded.plan, cache_dir)?;
        record.verify(&loaded.plan, &loaded.provisioner(cache_dir)?)?;
    }
    Ok(())
}

/// Keeps what the environments held, where that is wanted.
fn keep(
    request: &Request,
    loaded: &Loaded,
    run: &RunReport,
    cache_dir: Option<&Path>,
) -> Result<(), Fault> {
    if let Some(dir) = &request.record {
        let provisioner = loaded.provisioner(cache_dir)?;
        RunRecord::new(&loaded.plan, &provisioner, run)?.write(dir)?;
    }
    Ok(())
}

/// Hands a task to the client, which holds the run up until there is room for it.
fn send(writer: &Writer, mut task: Task, with_timings: bool) -> Result<(), BoxError> {
    let data = std::mem::take(&mut task.data);
    let sources: Vec<u64> = task.sources().iter().map(|source| source.index()).collect();
    let timings = if with_timings { json!(task.timings()) } else { Value::Null };
    let head = |kind: &str| {
        let head = (task.id(), kind, &task.dataset_name, &task.metadata, &sources, &timings);
        serde_json::to_vec(&head)
    };
    let sent = match &data {
        Data::Json(json) => writer.send(Kind::Output, &head("j")?, &[json.text().as_bytes()]),
        Data::Bytes(bytes) => writer.send(Kind::Output, &head("b")?, &[bytes]),
        #[cfg(feature = "arrow")]
        Data::Table(table) => {
            let parts = table.to_ipc_parts()?;
            let parts: Vec<&[u8]> = parts.iter().collect();
            writer.send(Kind::Output, &head("t")?, &parts)
        }
        _ => return Err(io::Error::other("a kind of data that no client knows").into()),
    };
    sent.map_err(Into::into)
}
