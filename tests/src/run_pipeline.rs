//! Runs a pipeline file over one task, for tests that need a separate process: to kill it, to start
//! eight of them, or to give it other variables.
//!
//! `run-pipeline CACHE PIPELINE.toml` prints `{"report": …, "events": […]}`, or `{"error": …,
//! "events": […]}` and exits with 1.

#![expect(clippy::print_stdout, reason = "its answer goes to stdout")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::Event;
use curator::backends::sync::Mutex;
use curator::{ExecutorExt, LocalExecutor, Pipeline, RunReport, Task};
use serde_json::{Value, json};

fn run(cache: &Path, file: &Path, events: &Arc<Mutex<Vec<Value>>>) -> Result<RunReport, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    let pipeline = Pipeline::from_toml(&text, dir).map_err(|error| error.to_string())?;
    let sink = Arc::clone(events);
    let observer = move |event: &Event| {
        sink.lock().push(json!(event));
    };
    LocalExecutor::default()
        .with_cache_dir(cache)
        .run_observed(&pipeline, [Task::new(json!({}))], Arc::new(observer))
        .map_err(|error| error.report())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(cache), Some(file)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(2);
    };
    let events = Arc::default();
    let result = run(&cache, &file, &events);
    let events = events.lock().clone();
    let is_failed = result.is_err();
    let answer = match result {
        Ok(report) => json!({ "report": report, "events": events }),
        Err(error) => json!({ "error": error, "events": events }),
    };
    println!("{answer}");
    ExitCode::from(u8::from(is_failed))
}
