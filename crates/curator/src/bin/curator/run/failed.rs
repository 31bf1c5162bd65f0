//! The tasks that failed, with their causes, in a form that can be given to `--input` again.
//!
//! A task stands either in this file or, with all that it became, in the results: never in both,
//! although only one of its children may have failed. So what comes out waits until the tasks that it
//! was made of have ended.

use std::io;
use std::path::Path;
use std::sync::Arc;

use curator::Task;
use curator::backends::FailedTask;
use curator::backends::run::{Ended, Group, Groups, Intake};
use curator::backends::sync::{Mutex, MutexGuard};
use curator::stage::TaskId;
use serde::Serialize;
use serde_json::{Value, json};

use super::lines::Lines;
use super::malformed::Malformed;
use crate::failure::Failure;

/// The file of failed tasks, and what follows tasks until it is known whether they fail.
#[derive(Clone, Debug)]
pub(crate) struct FailedFile {
    pub(crate) intake: Arc<Intake>,
    held: Held,
}

/// What is not known yet to be right.
#[derive(Clone, Debug)]
pub(crate) struct Held(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    groups: Groups,
    /// What turned out to be right, and is not written yet.
    ready: Vec<Task>,
    lines: Lines,
    error: Option<io::Error>,
    /// How many results share a task with a failure.
    left_out: usize,
}

impl FailedFile {
    pub(crate) fn new(path: &Path) -> Self {
        let held = Held(Arc::new(Mutex::new(State {
            groups: Groups::default(),
            ready: Vec::new(),
            lines: Lines::to(Some(path)),
            error: None,
            left_out: 0,
        })));
        let on_end = {
            let held = held.clone();
            move |ended| held.lock().ended(ended)
        };
        Self { intake: Arc::new(Intake::new(on_end)), held }
    }

    pub(crate) fn held(&self) -> Held {
        self.held.clone()
    }

    /// Returns how many results are in no file, since a task that they were made of is in this one.
    pub(crate) fn left_out(&self) -> usize {
        self.held.lock().left_out
    }

    /// Adds a line of the input that is no task.
    pub(crate) fn add_malformed(&self, index: u64, malformed: &Malformed) {
        let mut state = self.held.lock();
        let result = state.lines.add(&malformed.to_json_line(index));
        state.error = state.error.take().or(result.err());
    }

    /// Completes the file. It is there also if nothing failed, and then is empty.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let mut state = self.held.lock();
        match state.error.take() {
            Some(error) => Err(state.lines.failure(&error)),
            None => state.lines.finish(),
        }
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Takes what came out, and gives what is known to be right.
    pub(crate) fn exchange(&self, task: Task) -> Vec<Task> {
        self.lock().groups.came_out(&task);
        // It may be the last that its tasks wait for, which needs the lock.
        drop(task);
        self.take()
    }

    /// Returns the results that are known to be right, and lets go of them.
    pub(crate) fn take(&self) -> Vec<Task> {
        std::mem::take(&mut self.lock().ready)
    }

    /// Tasks of which something failed, and those that share what came out of them.
    pub(crate) fn unfinished(&self, group: &Group) {
        self.lock().unfinished(group);
    }
}

impl State {
    fn ended(&mut self, ended: Ended) {
        let Some(group) = self.groups.ended(ended) else { return };
        if group.is_whole() {
            self.ready.extend(group.outputs);
        } else {
            self.unfinished(&group);
        }
    }

    fn unfinished(&mut self, group: &Group) {
        let failures = group.failures();
        if failures.is_empty() {
            // The run ended before it was known.
            return;
        }
        self.left_out += group.outputs.len();
        for ended in group.tasks.values() {
            let result = self.lines.add(&line(ended, &failures));
            self.error = self.error.take().or(result.err());
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

/// Returns the line of a task; where nothing of it failed, with what failed of the others that its
/// results were made of.
fn line(ended: &Ended, of_group: &[&FailedTask]) -> String {
    let own: Vec<&FailedTask> = ended.failures.iter().collect();
    let failures = if own.is_empty() { of_group } else { &own };
    let failures = failures.iter().map(|failed| failure(failed)).collect();
    let task = ended.task.clone().with_id(TaskId::root().child(ended.index));
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
