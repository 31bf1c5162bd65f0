//! Progress of a run on standard error: updated in place on a terminal, else a line from time to
//! time.

mod board;
mod live;
mod shared;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use curator::RunReport;
use curator::backends::sync::Mutex;
use curator::backends::{Event, Observer, PlannedStage};

use crate::output;
use crate::run::Reading;
use crate::terminal::say;
use board::Board;
use live::Live;
use shared::Shared;

/// Interval between lines of progress in a log.
const NEWS: Duration = Duration::from_secs(10);
/// Maximum number of failed tasks to list.
pub(crate) const FAILURES: usize = 10;

/// Shows the progress of a run.
pub(crate) struct Display {
    shared: Arc<Shared>,
    kind: Kind,
}

enum Kind {
    /// On a terminal: lines that change.
    Live(Mutex<Option<Live>>),
    /// Successive lines.
    Plain(Mutex<Instant>),
    /// Warnings and failures.
    Quiet,
    /// Nothing: the log reports the run.
    Silent,
}

impl Display {
    /// Creates the display of a run of these stages; `length` is the input's length in bytes, if
    /// known.
    pub(crate) fn new(stages: &[PlannedStage], reading: Arc<Reading>, length: Option<u64>) -> Self {
        let shared = Shared::new(Board::new(stages, reading, length));
        let kind = if io::stderr().is_terminal() {
            Kind::Live(Mutex::new(Some(Live::start(shared.clone()))))
        } else {
            Kind::Plain(Mutex::new(Instant::now()))
        };
        Self { shared, kind }
    }

    /// Creates the display of a run whose progress the log reports, or of which only failures are
    /// shown.
    pub(crate) fn silent(tells_failures: bool, reading: Arc<Reading>) -> Self {
        let shared = Shared::new(Board::new(&[], reading, None));
        Self { shared, kind: if tells_failures { Kind::Quiet } else { Kind::Silent } }
    }

    /// Removes the changing lines.
    pub(crate) fn finish(&self) {
        if let Kind::Live(live) = &self.kind
            && let Some(live) = live.lock().take()
        {
            live.end();
        }
    }

    /// Prints a line.
    pub(crate) fn note(&self, line: &str) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Live(live) => match &*live.lock() {
                Some(live) => live.print(line),
                None => say(line),
            },
            Kind::Plain(_) | Kind::Quiet => say(line),
        }
    }

    /// Writes results, which may go to the same terminal: above the changing lines.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        if let Kind::Live(live) = &self.kind
            && let Some(live) = &*live.lock()
        {
            return live.above(write);
        }
        write()
    }

    /// Returns a summary of the run, in a few lines.
    pub(crate) fn summary(&self, run: &RunReport) {
        if matches!(self.kind, Kind::Live(_) | Kind::Plain(_)) {
            self.shared.board().summary(run).iter().for_each(|line| say(line));
        } else if matches!(self.kind, Kind::Quiet) {
            let failed = self.shared.board().failed_in(run);
            if failed > 0 {
                let failed = usize::try_from(failed).unwrap_or(usize::MAX);
                say(&format!("{} failed", output::count(failed, "task")));
            }
        }
    }

    /// Returns how far a run came that failed without a report.
    pub(crate) fn last_words(&self) {
        if matches!(self.kind, Kind::Live(_) | Kind::Plain(_)) {
            say(&self.shared.board().news());
        }
    }

    /// Returns the line for an event that deserves one; `None` for others.
    fn line(&self, event: &Event) -> Option<String> {
        let is_quiet = matches!(self.kind, Kind::Quiet);
        let is_plain = matches!(self.kind, Kind::Plain(_));
        match event {
            Event::Warning { stage: Some(stage), message } => {
                Some(format!("warning: stage `{stage}`: {message}"))
            }
            Event::Warning { stage: None, message } => Some(format!("warning: {message}")),
            Event::Log { stage, line, .. } if !is_quiet => Some(format!("{stage} | {line}")),
            Event::TaskFailed(failed) => {
                let count = self.shared.board().failures();
                match count {
                    0..=FAILURES => Some(failed.to_string()),
                    count if count == FAILURES + 1 => {
                        Some("more tasks fail, which are counted from here on".to_owned())
                    }
                    _ => None,
                }
            }
            Event::Retried { stage, reason, .. } if !is_quiet => {
                Some(format!("stage `{stage}` tries again: {reason}"))
            }
            Event::EnvironmentBuilding { key, .. } if is_plain => {
                let is_new = self.shared.board().is_new_build(key);
                is_new.then(|| format!("building environment {}", output::short(key)))
            }
            Event::EnvironmentBuilt { key, own_bytes, duration } if !is_quiet => Some(format!(
                "built environment {} in {:.1} s, {} on disk",
                output::short(key),
                duration.as_secs_f64(),
                output::bytes(*own_bytes)
            )),
            _ => None,
        }
    }

    /// Prints a line of progress to a log, if it is time.
    fn tell_news(&self) {
        if let Kind::Plain(told) = &self.kind {
            let mut told = told.lock();
            if told.elapsed() >= NEWS {
                *told = Instant::now();
                say(&self.shared.board().news());
            }
        }
    }
}

impl Observer for Display {
    fn on_event(&self, event: &Event) {
        if matches!(self.kind, Kind::Silent) {
            return;
        }
        let line = {
            // Check before the board records it: the board knows whether it is new.
            let line = match event {
                Event::EnvironmentBuilding { .. } => self.line(event),
                _ => None,
            };
            self.shared.board().note(event);
            line
        };
        if let Some(line) = line.or_else(|| match event {
            Event::EnvironmentBuilding { .. } => None,
            _ => self.line(event),
        }) {
            self.note(&line);
        }
        self.tell_news();
    }
}
