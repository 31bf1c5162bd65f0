//! Records of a package manager's run.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::ExitStatusExt;

use envspec::Tool;

use crate::command::{Command, Finished};
use crate::redact::Secrets;

/// Maximum of the output that an error keeps, from its end.
const KEPT: usize = 16 << 10;

/// One run of a tool: its command line, how it ended, and the last 16 KiB of what it said.
///
/// It contains no credentials. `Display` shows the tool's own explanation, without the progress
/// lines before it; [`Transcript::output`] has everything that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    argv: Vec<String>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    output: String,
    attempts: u32,
}

impl Transcript {
    pub(crate) fn new(command: &Command, finished: &Finished, secrets: &Secrets) -> Self {
        let argv = std::iter::once(command.program.as_os_str())
            .chain(command.arguments.iter().map(AsRef::<OsStr>::as_ref))
            .map(|argument| secrets.redact(&argument.to_string_lossy()))
            .collect();
        let output = match finished.stderr.trim() {
            "" => finished.stdout.trim(),
            said => said,
        };
        Self {
            argv,
            exit_code: finished.status.and_then(|status| status.code()),
            signal: finished.status.and_then(|status| status.signal()),
            // Remove credentials before shortening, so that no half of one is left.
            output: tail(&secrets.redact(output), KEPT).to_owned(),
            attempts: 1,
        }
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Returns the command line, program first.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// Returns the exit code, unless a signal or the deadline ended the tool.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Returns the signal that ended the tool, if one did before the deadline.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.signal
    }

    /// Returns the last 16 KiB of the tool's output.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Returns the number of attempts, this one included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the tool's explanation: its output from the first line about an error, or all of it.
    fn words(&self) -> &str {
        let mut start = 0;
        for line in self.output.split_inclusive('\n') {
            let text = line.trim_start();
            if ["ERROR:", "error:", "×", "The conflict is caused by", "Traceback (most recent"]
                .iter()
                .any(|mark| text.starts_with(mark))
            {
                return self.output[start..].trim_end();
            }
            start += line.len();
        }
        &self.output
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.words(), self.exit_code, self.signal) {
            ("", Some(code), _) => write!(f, "exit code {code}, without a word"),
            ("", None, Some(signal)) => write!(f, "ended by signal {signal}, without a word"),
            ("", None, None) => f.write_str("it had not said a word"),
            (words, None, Some(signal)) => write!(f, "ended by signal {signal}: {words}"),
            (words, ..) => f.write_str(words),
        }
    }
}

impl std::error::Error for Transcript {}

/// Returns the program's name, as people type it.
pub(crate) const fn tool_name(tool: Tool) -> &'static str {
    match tool {
        Tool::Pip => "pip",
        Tool::Uv => "uv",
    }
}

/// Returns the end of a text: at most this many bytes, from the start of a line if possible.
fn tail(text: &str, most: usize) -> &str {
    let Some(cut) = text.len().checked_sub(most).filter(|cut| *cut > 0) else { return text };
    let cut = text.ceil_char_boundary(cut);
    let rest = &text[cut..];
    rest.split_once('\n').map_or(rest, |(_, whole_lines)| whole_lines)
}
