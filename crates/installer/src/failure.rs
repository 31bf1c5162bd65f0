//! The error for a run of a tool that failed, by the tool's output.

use envspec::Tool;

use crate::classify::{Kind, classify};
use crate::command::{Command, Finished};
use crate::error::Error;
use crate::redact::Secrets;
use crate::transcript::Transcript;

/// Returns the error for a failed or stopped run of a tool.
pub(crate) fn failure(
    tool: Tool,
    command: &Command,
    finished: &Finished,
    secrets: &Secrets,
    attempts: u32,
) -> Error {
    let transcript = Transcript::new(command, finished, secrets).with_attempts(attempts);
    let source = Box::new(transcript);
    if finished.status.is_none() {
        return Error::Timeout { tool, elapsed: finished.elapsed, source };
    }
    let words = if finished.stderr.is_empty() { &finished.stdout } else { &finished.stderr };
    match classify(tool, words) {
        Kind::Unsatisfiable => Error::Unsatisfiable { tool, source },
        Kind::NotFound { package } => {
            Error::NotFound { tool, package: secrets.redact(&package), source }
        }
        Kind::BuildFailed { package } => {
            let package = package.map(|package| secrets.redact(&package));
            Error::BuildFailed { tool, package, source }
        }
        Kind::Network { transient } => Error::Network { tool, transient, source },
        Kind::NoSpace => Error::NoSpace { tool, source },
        Kind::Other => Error::Failed { tool, source },
    }
}
