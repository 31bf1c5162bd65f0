//! How a process ended, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// In a way that is not known: the process that it was forked from was gone before it.
    Unknown,
}

impl Exit {
    /// Converts the status that the system gives to a parent.
    pub(crate) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "was killed by signal {number} ({name})"),
                None => write!(f, "was killed by signal {number}"),
            },
            Self::Unknown => f.write_str(
                "ended, and how is not known: the process that it was forked from is gone",
            ),
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match Signal::from_named_raw(number)? {
        Signal::ABORT => "SIGABRT, abort",
        Signal::BUS => "SIGBUS, bad memory access",
        Signal::FPE => "SIGFPE, arithmetic error",
        Signal::ILL => "SIGILL, illegal instruction",
        Signal::KILL => "SIGKILL, killed from outside or out of memory",
        Signal::SEGV => "SIGSEGV, segmentation fault",
        Signal::TERM => "SIGTERM, asked to end",
        _ => return None,
    })
}
