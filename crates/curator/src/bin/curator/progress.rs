//! What happens meanwhile, on the standard error stream.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use curator::backends::{BuildPhase, Event, Observer};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Shows the phases of builds: in place on a terminal, else a line each.
///
/// It shows nothing until a build begins, so what is in the cache is taken in silence.
#[derive(Debug)]
pub(crate) struct Progress {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// On a terminal: one line that changes, made when there is something to show.
    Live(Mutex<Option<ProgressBar>>),
    /// A line for each build.
    Plain(Mutex<Option<String>>),
    /// Only what is wrong.
    Quiet,
}

impl Progress {
    /// For a person or a log.
    pub(crate) fn new() -> Self {
        let kind = if io::stderr().is_terminal() {
            Kind::Live(Mutex::default())
        } else {
            Kind::Plain(Mutex::default())
        };
        Self { kind }
    }

    /// For a launcher: nothing in a log, but a person who waits sees why.
    pub(crate) fn quiet() -> Self {
        let kind =
            if io::stderr().is_terminal() { Kind::Live(Mutex::default()) } else { Kind::Quiet };
        Self { kind }
    }

    /// Takes the display away.
    pub(crate) fn finish(&self) {
        if let Kind::Live(bar) = &self.kind
            && let Some(bar) = bar.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            bar.finish_and_clear();
        }
    }

    fn building(&self, key: &str, phase: BuildPhase, packages: Option<usize>) {
        match &self.kind {
            Kind::Live(bar) => {
                let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
                let bar = bar.get_or_insert_with(spinner);
                let packages = packages.map(|number| output::count(number, "package"));
                let what = packages.map(|packages| format!(" {packages}")).unwrap_or_default();
                bar.set_message(format!("{}: {}{what}", output::short(&key), phase.as_str()));
            }
            Kind::Plain(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.as_deref() != Some(key) {
                    *last = Some(key.to_owned());
                    warn(&format!("building environment {}", output::short(&key)));
                }
            }
            Kind::Quiet => {}
        }
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        match event {
            Event::EnvironmentBuilding { key, phase, packages, .. } => {
                self.building(key, *phase, *packages);
            }
            Event::Warning { message, .. } => {
                self.finish();
                warn(&format!("warning: {message}"));
            }
            _ => {}
        }
    }
}

/// A line on the standard error stream; that nobody can read it stops nothing.
pub(crate) fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
