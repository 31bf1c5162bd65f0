//! Messages and exit codes of failed commands.

use std::io;
use std::process::ExitCode;

use curator::{backends, venv_cache};

use crate::terminal;

/// The build or the command failed.
const FAILED: u8 = 1;
/// The arguments or the spec are wrong.
const USAGE: u8 = 2;
/// As of a program that SIGPIPE ends.
const UNREAD: u8 = 141;
/// As in `env(1)`: the program exists, but cannot be started.
const NOT_STARTED: u8 = 126;
/// As in `env(1)`: the program does not exist.
const NOT_FOUND: u8 = 127;

/// Why a command ends early: a message for people, and an exit code for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// The message for people, with its hint; empty if the output is closed.
    report: String,
}

impl Failure {
    /// Returns the failure for arguments that are wrong in a way that the parser does not detect.
    pub(crate) fn usage(problem: &str) -> Self {
        Self { code: USAGE, report: format!("error: {problem}") }
    }

    /// Returns the failure for arguments that the parser refused.
    pub(crate) fn arguments(error: &clap::Error) -> Self {
        Self { code: USAGE, report: error.render().to_string().trim_end().to_owned() }
    }

    /// Returns the failure for a requested item that does not exist.
    pub(crate) fn failed(problem: &str) -> Self {
        Self { code: FAILED, report: format!("error: {problem}") }
    }

    /// Returns the failure for a program that cannot be started.
    pub(crate) fn not_started(program: &str, error: &io::Error) -> Self {
        let is_absent = error.kind() == io::ErrorKind::NotFound;
        let code = if is_absent { NOT_FOUND } else { NOT_STARTED };
        let mut report = format!("error: failed to start `{program}`\n  caused by: {error}");
        if is_absent && !program.contains('/') {
            report += "\n\nhint: neither the environment nor PATH has a program of that name";
        }
        Self { code, report }
    }

    /// Returns the failure for an action that the operating system refused.
    pub(crate) fn io(action: &str, error: &io::Error) -> Self {
        Self { code: FAILED, report: format!("error: failed to {action}\n  caused by: {error}") }
    }

    /// Returns the failure for a thread that the system refused.
    pub(crate) fn thread(error: &io::Error) -> Self {
        Self::io("start a thread", error).with_hint(
            "the limit of processes and threads is reached: raise it (`ulimit -u`, or the \
             container's), or end others",
        )
    }

    /// Returns the failure for an output whose reader has left, as `| head` does.
    pub(crate) fn unread() -> Self {
        Self { code: UNREAD, report: String::new() }
    }

    /// Adds this advice if the failure has none yet.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        if !self.report.contains("\nhint: ") {
            self.report = format!("{}\n\nhint: {hint}", self.report);
        }
        self
    }

    /// Returns the message for people.
    pub(crate) fn report(&self) -> &str {
        &self.report
    }

    /// Returns whether another argument or spec would do.
    pub(crate) fn is_usage(&self) -> bool {
        self.code == USAGE
    }

    /// Tells it on the standard error stream, and gives the program's exit code.
    pub(crate) fn show(&self) -> ExitCode {
        if !self.report.is_empty() {
            terminal::say(&coloured(&self.report));
        }
        ExitCode::from(self.code)
    }
}

impl From<backends::Error> for Failure {
    fn from(error: backends::Error) -> Self {
        Self { code: code(&error), report: error.report() }
    }
}

impl From<venv_cache::Error> for Failure {
    fn from(error: venv_cache::Error) -> Self {
        backends::Error::Cache(Box::new(error)).into()
    }
}

/// Returns the code of wrong usage if another spec or argument would help, else of a failure.
fn code(error: &backends::Error) -> u8 {
    use backends::Error;
    use curator::installer;
    let is_usage = match error {
        Error::Spec { .. }
        | Error::EngineField { .. }
        | Error::EngineSetting { .. }
        | Error::NotNative { .. }
        | Error::NoCode { .. }
        | Error::NoDevice { .. }
        | Error::NoFolder { .. }
        | Error::PyExecutable { .. }
        | Error::EmptyManagedBase
        | Error::CheckpointInUse { .. }
        | Error::OtherPipeline { .. }
        | Error::OtherInput { .. }
        | Error::ShorterInput { .. }
        | Error::OtherSpec { .. }
        | Error::SourceChanged { .. }
        | Error::OtherPlatform { .. } => true,
        Error::Environment { source, .. } => return code(source),
        Error::Cache(error) => matches!(
            **error,
            venv_cache::Error::InvalidKey { .. }
                | venv_cache::Error::Ambiguous { .. }
                | venv_cache::Error::NoInterpreter { .. }
                | venv_cache::Error::Setting { .. }
        ),
        Error::Install(error) => matches!(
            **error,
            installer::Error::ToolVersion { .. }
                | installer::Error::Unsupported { .. }
                | installer::Error::Offline { .. }
        ),
        _ => false,
    };
    if is_usage { USAGE } else { FAILED }
}

/// Returns the message with the words that begin each part highlighted.
fn coloured(report: &str) -> String {
    let lines = report.lines().map(|line| {
        if let Some(rest) = line.strip_prefix("error:") {
            format!("{}{rest}", terminal::coloured("error:", "1;31"))
        } else if let Some(rest) = line.strip_prefix("hint:") {
            format!("{}{rest}", terminal::coloured("hint:", "1;36"))
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
