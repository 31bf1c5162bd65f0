//! Failures of tasks.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stage::{SourceTask, TaskId};

use super::python_error::PythonError;
use crate::worker::Exit;

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The stage's Python code raised, or returned a value that cannot be sent.
    Raised(PythonError),
    /// The worker process ended while it had the task.
    Died(Exit),
    /// The task took longer than the stage's limit, and its worker was killed.
    Deadline(Duration),
    /// A Rust stage returned an error: its text, and those of its sources.
    Failed(Vec<String>),
    /// A Rust stage panicked with this text.
    Panicked(String),
    /// The task lacks this input, which the stage declares.
    MissingInput(String),
    /// A Rust stage read data that Rust cannot represent as a value: its place, and the reason.
    Unreadable(String),
    /// The worker's answer violates the protocol.
    Protocol(String),
}

impl Cause {
    /// Returns the way out, if there is one.
    pub(crate) fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Died(Exit::Signal(9)) => {
                "the system ends processes that take too much memory: give the stage smaller \
                 batches or fewer workers"
            }
            Self::Died(Exit::Signal(_)) => {
                "compiled code crashed: look at the task, and at whether the stage's packages were \
                 built for each other (`curator env show`)"
            }
            Self::Died(Exit::Unknown) => {
                "run the pipeline with `templates` off, and the report tells how the worker ended"
            }
            Self::Died(Exit::Code(_)) => {
                "the stage's code or a library of it ended the process: have it raise an \
                 exception, which fails the task alone"
            }
            Self::Unreadable(_) => {
                "what no Rust stage looks at passes through: have a Python stage before it change \
                 that, as in `text.encode(\"utf-8\", \"replace\").decode()`"
            }
            Self::Deadline(_) => "raise the stage's task timeout, or give it less per task",
            _ => return None,
        };
        Some(hint.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raised(error) => write!(f, "it raised {error}"),
            Self::Died(exit) => write!(f, "its worker {exit}"),
            Self::Deadline(limit) => {
                write!(f, "it took longer than its limit of {} s", limit.as_secs_f64())
            }
            Self::Failed(chain) => f.write_str(&chain.join(": ")),
            Self::Panicked(text) => write!(f, "it panicked: {text}"),
            Self::Unreadable(why) => f.write_str(why),
            Self::MissingInput(name) => write!(f, "the task has no `{name}`"),
            Self::Protocol(text) => write!(f, "its worker answered with nonsense: {text}"),
        }
    }
}

/// A task without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedTask {
    /// The task, or several that failed together in one `process_batch`.
    pub tasks: Vec<TaskId>,
    /// The numbers of the tasks handed in that it was made from, if they are
    /// [followed](crate::run::Intake).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<u64>,
    /// The stage that it failed in.
    pub stage: String,
    /// The cause.
    pub cause: Cause,
    /// The key of the environment that the stage ran in; none for the base environment.
    pub environment: Option<String>,
    /// Number of attempts.
    pub tries: u32,
    /// The last lines that the worker printed.
    pub log: Vec<String>,
}

impl fmt::Display for FailedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.tasks.iter().take(4).map(ToString::to_string).collect();
        let more = if self.tasks.len() > 4 { ", …" } else { "" };
        let noun = if self.tasks.len() == 1 { "task" } else { "tasks" };
        write!(f, "{noun} {}{more} failed in stage `{}`", ids.join(", "), self.stage)?;
        if let Some(key) = &self.environment {
            write!(f, " (environment {})", key.get(..12).unwrap_or(key))?;
        }
        if self.tries > 1 {
            write!(f, " after {} tries", self.tries)?;
        }
        write!(f, ": {}", self.cause)
    }
}

/// Returns the numbers of the tasks handed in that tasks were made from, each once.
pub(crate) fn numbers<'a>(sources: impl Iterator<Item = &'a Arc<SourceTask>>) -> Vec<u64> {
    let mut numbers: Vec<u64> = sources.map(|source| source.index()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

impl FailedTask {
    /// Returns all details in lines: the failure, the traceback, and the last log lines.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut text = self.to_string();
        if let Cause::Raised(error) = &self.cause {
            text.push_str("\n\n");
            text.push_str(error.trace());
        }
        append_log(&mut text, &self.log);
        text
    }
}

/// Adds the last log lines of a worker to a report, if there are any.
pub(crate) fn append_log(text: &mut String, log: &[String]) {
    if log.is_empty() {
        return;
    }
    text.push_str("\n\nthe worker's last lines:");
    for line in log {
        text.push_str("\n  ");
        text.push_str(line);
    }
}
