//! Progress of builds on standard error.

use std::io::{self, IsTerminal};
use std::time::Duration;

use curator::backends::sync::Mutex;
use curator::backends::{BuildPhase, Event, Observer};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;
use crate::terminal::{say, visible};

/// Shows the phases of builds: updated in place on a terminal, else one line each.
///
/// It shows nothing until a build begins, so a cached environment causes no output.
#[derive(Debug)]
pub(crate) struct Progress {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// On a terminal: one changing line, created when there is something to show.
    Live(Mutex<Option<ProgressBar>>),
    /// One line per phase; the value is the last phase shown.
    Plain(Mutex<Option<(String, BuildPhase)>>),
    /// Only problems.
    Quiet,
}

impl Progress {
    /// Creates one for a person or a log.
    pub(crate) fn new() -> Self {
        let kind = if io::stderr().is_terminal() {
            Kind::Live(Mutex::default())
        } else {
            Kind::Plain(Mutex::default())
        };
        Self { kind }
    }

    /// Creates one for a launcher: silent in a log, but visible to a person at a terminal.
    pub(crate) fn quiet() -> Self {
        let kind =
            if io::stderr().is_terminal() { Kind::Live(Mutex::default()) } else { Kind::Quiet };
        Self { kind }
    }

    /// Removes the display.
    pub(crate) fn finish(&self) {
        if let Kind::Live(bar) = &self.kind
            && let Some(bar) = bar.lock().take()
        {
            bar.finish_and_clear();
        }
    }

    fn building(&self, key: &str, phase: BuildPhase, text: &str) {
        match &self.kind {
            Kind::Live(bar) => {
                let mut bar = bar.lock();
                let bar = bar.get_or_insert_with(spinner);
                let message = format!("{}: {text}", output::short(&key));
                bar.set_message(visible(&message).into_owned());
            }
            Kind::Plain(last) => {
                let now = (key.to_owned(), phase);
                let mut last = last.lock();
                if last.as_ref() != Some(&now) {
                    say(&format!("environment {}: {text}", output::short(&key)));
                    *last = Some(now);
                }
            }
            Kind::Quiet => {}
        }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        if let Some((key, phase, text)) = at(event) {
            self.building(key, phase, &text);
        }
        if let Event::Warning { message, .. } = event {
            self.finish();
            say(&format!("warning: {message}"));
        }
    }
}

/// Returns the build's key, its phase, and a text for the phase, if the event has them.
pub(crate) fn at(event: &Event) -> Option<(&str, BuildPhase, String)> {
    let Event::EnvironmentBuilding { key, phase, packages, done, bytes, total_bytes } = event
    else {
        return None;
    };
    let amount = amount(*done, *packages) + &size(*bytes, *total_bytes);
    Some((key, *phase, format!("{}{amount}", words(*phase))))
}

/// Describes a phase to a waiting user.
fn words(phase: BuildPhase) -> &'static str {
    match phase {
        BuildPhase::Locating => "finding or fetching the package manager",
        phase => phase.as_str(),
    }
}

/// Formats the number of packages, as ` 2 of 3 packages`; empty if unknown.
fn amount(done: Option<usize>, packages: Option<usize>) -> String {
    match (done.filter(|done| *done > 0), packages) {
        (Some(done), Some(all)) => format!(" {done} of {}", output::count(all, "package")),
        (Some(number), None) | (None, Some(number)) => {
            format!(" {}", output::count(number, "package"))
        }
        (None, None) => String::new(),
    }
}

/// Formats the bytes, as `, 16.1 MB of 28.6 MB`; empty if there are none.
fn size(bytes: Option<u64>, total: Option<u64>) -> String {
    match (bytes.unwrap_or(0), total) {
        (bytes, Some(total)) => {
            format!(", {} of {}", output::bytes(bytes), output::bytes(total))
        }
        (0, None) => String::new(),
        (bytes, None) => format!(", {}", output::bytes(bytes)),
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_as_far_as_they_are_known() {
        assert_eq!(amount(Some(0), None) + &size(Some(0), None), "");
        assert_eq!(amount(Some(0), Some(3)), " 3 packages");
        assert_eq!(amount(Some(1), None), " 1 package");
        assert_eq!(
            amount(Some(1), Some(2)) + &size(Some(16_100_000), Some(28_600_000)),
            " 1 of 2 packages, 16.1 MB of 28.6 MB"
        );
        assert_eq!(amount(Some(2), Some(2)) + &size(Some(42), None), " 2 of 2 packages, 42 B");
    }
}
