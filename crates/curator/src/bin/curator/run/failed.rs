//! The tasks that failed, with their causes, in a form that can be given to `--input` again.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use curator::Task;
use curator::backends::{Ended, FailedTask, Intake};
use curator::stage::TaskId;
use serde::Serialize;
use serde_json::{Value, json};

use super::lines::Lines;
use crate::failure::Failure;

/// The file of failed tasks, and what follows tasks until it is known whether they fail.
#[derive(Debug)]
pub(crate) struct FailedFile {
    pub(crate) intake: Arc<Intake>,
    written: Arc<Mutex<Written>>,
}

#[derive(Debug)]
struct Written {
    lines: Lines,
    error: Option<io::Error>,
}

impl FailedFile {
    pub(crate) fn new(path: &Path) -> Self {
        let written = Arc::new(Mutex::new(Written { lines: Lines::to(Some(path)), error: None }));
        let on_end = {
            let written = written.clone();
            move |ended: Ended| {
                if !ended.failures.is_empty() {
                    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                    let result = written.lines.add(&line(ended));
                    written.error = written.error.take().or(result.err());
                }
            }
        };
        Self { intake: Arc::new(Intake::new(on_end)), written }
    }

    /// Completes the file. It is there also if nothing failed, and then is empty.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.error.take() {
            Some(error) => Err(written.lines.failure(&error)),
            None => written.lines.finish(),
        }
    }
}

/// The whole task as it was handed in, and what of it failed.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    task: Task,
    failures: Vec<Value>,
}

fn line(ended: Ended) -> String {
    let task = ended.task.with_id(TaskId::root().child(ended.index));
    let failures = ended.failures.iter().map(failure).collect();
    serde_json::to_string(&Line { task, failures }).unwrap_or_default()
}

fn failure(failed: &FailedTask) -> Value {
    let mut value = serde_json::to_value(failed).unwrap_or_default();
    value["message"] = json!(failed.to_string());
    if let Some(fields) = value.as_object_mut() {
        // It stands in the line already.
        fields.remove("sources");
    }
    value
}
