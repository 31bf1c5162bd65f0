//! Runs a pipeline file on an engine on Ray, for tests that need a separate process: to kill it, or
//! to give it other variables.
//!
//! `run-on-ray JOB` takes a job as JSON: `engine`, `address` (null: a private Ray), `init`, `base`,
//! `cache` (null: the user's), `program` (null: this one), `pipeline` (TOML), `tasks` (their
//! number: each task holds its own number), and `record` (whether failed tasks are recorded). It
//! prints `{"report": …, "events": […]}`, or `{"error": …, "events": […]}` and exits with 1. It
//! ends at the end of its standard input.

#![expect(clippy::print_stdout, reason = "its answer goes to stdout")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::ray::{RayActorPool, RayData, RayEngine, RayExecutor, Xenna};
use curator::backends::sync::Mutex;
use curator::backends::{Connection, Error, Event, FailurePolicy};
use curator::worker::{Registry, serve_if_asked};
use curator::{ExecutorExt, Pipeline, RunReport, Task};
use serde_json::{Value, json};

type Events = Arc<Mutex<Vec<Value>>>;

fn connection(job: &Value) -> Connection {
    let connection = match job["address"].as_str() {
        Some(address) => Connection::to(address),
        None => Connection::local(),
    };
    let init = job["init"].as_object().into_iter().flatten();
    init.fold(connection, |connection, (name, value)| connection.with_init(name, value.clone()))
}

fn run<E: RayEngine>(
    job: &Value,
    pipeline: &Pipeline,
    events: &Events,
) -> Result<RunReport, Error> {
    let path = |name: &str| job[name].as_str().map(PathBuf::from);
    let mut executor = RayExecutor::<E>::connect(connection(job))?;
    if let Some(base) = path("base") {
        executor = executor.with_base(base);
    }
    if let Some(cache) = path("cache") {
        executor = executor.with_cache_dir(cache);
    }
    if let Some(program) = path("program") {
        executor = executor.with_worker_program(program);
    }
    if job["record"] == true {
        executor = executor.with_failure_policy(FailurePolicy::Record);
    }
    let sink = Arc::clone(events);
    let observer = move |event: &Event| {
        sink.lock().push(json!(event));
    };
    let tasks = (0..job["tasks"].as_u64().unwrap_or(1)).map(|number| Task::new(json!(number)));
    executor.run_observed(pipeline, tasks, Arc::new(observer))
}

fn answer(job: &Value, events: &Events) -> Result<RunReport, String> {
    let file = Path::new(job["pipeline"].as_str().unwrap_or_default());
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let pipeline = Pipeline::from_toml(&text, file.parent().unwrap_or(Path::new("/")))
        .map_err(|error| error.to_string())?;
    match job["engine"].as_str() {
        Some("ray-data") => run::<RayData>(job, &pipeline, events),
        Some("ray-actor-pool") => run::<RayActorPool>(job, &pipeline, events),
        Some("xenna") => run::<Xenna>(job, &pipeline, events),
        other => return Err(format!("no engine {other:?}")),
    }
    .map_err(|error| error.report())
}

fn main() -> ExitCode {
    serve_if_asked(&Registry::new());
    let Some(job) = std::env::args().nth(1).and_then(|job| serde_json::from_str(&job).ok()) else {
        return ExitCode::from(2);
    };
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(3);
    });
    let events = Events::default();
    let result = answer(&job, &events);
    let events = events.lock().clone();
    let is_failed = result.is_err();
    let answer = match result {
        Ok(report) => json!({ "report": report, "events": events }),
        Err(error) => json!({ "error": error, "events": events }),
    };
    println!("{answer}");
    ExitCode::from(u8::from(is_failed))
}
