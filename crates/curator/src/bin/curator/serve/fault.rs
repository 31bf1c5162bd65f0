//! Why a client does not get what it wants, as data that its language makes an exception of.

use curator::backends::{self, Cause, PythonError};
use curator::{envspec, stage};
use serde_json::{Value, json};

use crate::failure::Failure;

/// An error in the form for a client.
#[derive(Debug)]
pub(super) struct Fault(Value);

impl Fault {
    /// Returns the fault of a request that is wrong.
    pub(super) fn usage(problem: &str) -> Self {
        Self(json!({ "kind": "usage", "message": problem }))
    }

    /// Returns the error as a report: `{"error": …}`.
    pub(super) fn to_json(&self) -> Vec<u8> {
        json!({ "error": self.0 }).to_string().into_bytes()
    }
}

impl From<stage::Error> for Fault {
    fn from(error: stage::Error) -> Self {
        let stages: Vec<&str> = error.stage().into_iter().collect();
        // The client's stages have names for a person, and its text no lines that a person wrote.
        let message = match &error {
            stage::Error::File { field, problem, .. } if field.is_empty() => problem.clone(),
            stage::Error::File { field, problem, .. } => format!("`{field}`: {problem}"),
            error => error.to_string(),
        };
        Self(json!({
            "kind": "usage",
            "message": message,
            "hint": error.hint(),
            "stages": stages,
            "stage_index": error.stage_index(),
        }))
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let kind = if failure.is_usage() { "usage" } else { "failed" };
        let report = failure.report().trim_start_matches("error: ");
        let (message, hint) = match report.split_once("\n\nhint: ") {
            Some((message, hint)) => (message, Some(hint)),
            None => (report, None),
        };
        Self(json!({ "kind": kind, "message": message, "hint": hint }))
    }
}

impl From<backends::Error> for Fault {
    fn from(error: backends::Error) -> Self {
        let mut told = json!({
            "message": envspec::messages(&error).join("\n  caused by: "),
            "hint": error.hint(),
            "detail": error.detail(),
            "stages": error.stages(),
            "raised": raised(&error),
        });
        if let backends::Error::Task(failed) = &error {
            told["failed"] = json!(failed);
        }
        if matches!(error, backends::Error::Environment { .. } | backends::Error::Install(_)) {
            told["kind"] = "environment".into();
        } else {
            let is_usage = Failure::from(error).is_usage();
            told["kind"] = if is_usage { "usage" } else { "failed" }.into();
        }
        Self(told)
    }
}

/// Returns what a stage's code raised, where that was the cause.
fn raised(error: &backends::Error) -> Option<&PythonError> {
    match error {
        backends::Error::Task(failed) => match &failed.cause {
            Cause::Raised(raised) => Some(raised),
            _ => None,
        },
        backends::Error::WorkerSetup { error, .. } => Some(error),
        _ => None,
    }
}
