//! Log lines of a run on standard error, for people and for programs.

use std::env;

use clap::ValueEnum;
use curator::backends::{Event, Observer};
use tracing::{debug, error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::terminal::Log;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Turns the events of a run into log lines.
#[derive(Clone, Debug)]
pub(crate) struct Logging;

impl Logging {
    /// Starts logging if a format is given or `RUST_LOG` is set. Default: text, without details.
    pub(crate) fn begin(format: Option<LogFormat>) -> Option<Self> {
        let filter = env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| !filter.is_empty());
        if format.is_none() && filter.is_none() {
            return None;
        }
        let filter = EnvFilter::new(filter.as_deref().unwrap_or("info"));
        let log = Log { is_json: format == Some(LogFormat::Json) };
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || log);
        // It fails if there is a subscriber already, which then does the logging.
        let _ = match format {
            Some(LogFormat::Json) => builder.json().flatten_event(true).try_init(),
            Some(LogFormat::Text) | None => builder.with_ansi(false).try_init(),
        };
        Some(Self)
    }
}

impl Observer for Logging {
    fn on_event(&self, event: &Event) {
        match event {
            Event::EnvironmentPreparing { stages } => {
                debug!(stages = stages.join(","), "environment wanted");
            }
            Event::EnvironmentBuilding { key, phase, packages, done, bytes, total_bytes } => {
                let phase = phase.as_str();
                debug!(key, phase, packages, done, bytes, total_bytes, "environment building");
            }
            Event::EnvironmentBuilt { key, own_bytes, duration } => {
                info!(key, own_bytes, seconds = duration.as_secs_f64(), "environment built");
            }
            Event::EnvironmentReady { stages, key, state, duration } => {
                let (stages, seconds) = (stages.join(","), duration.as_secs_f64());
                info!(stages, key, ?state, seconds, "environment ready");
            }
            Event::Warning { stage, message } => warn!(stage, "{message}"),
            Event::WorkerReady { stage, worker, pid, duration } => {
                info!(stage, worker, pid, seconds = duration.as_secs_f64(), "worker ready");
            }
            Event::WorkerEnded { stage, worker, exit, in_order } => {
                let exit = exit.as_ref().map(ToString::to_string);
                info!(stage, worker, exit, in_order, "worker ended");
            }
            Event::Log { stage, worker, stream, line } => {
                info!(target: "curator::worker", stage, worker, ?stream, "{line}");
            }
            Event::BatchDone { stage, worker, tasks, outputs, duration, transfer } => {
                let (seconds, transfer) = (duration.as_secs_f64(), transfer.as_secs_f64());
                debug!(stage, worker, tasks, outputs, seconds, transfer, "batch done");
            }
            Event::Retried { stage, tasks, reason } => warn!(stage, tasks, reason, "batch retried"),
            Event::TaskFailed(failed) => {
                let task = failed.tasks.first().map(ToString::to_string);
                error!(stage = failed.stage, task, tries = failed.tries, "{failed}");
            }
            Event::Stopping => warn!("the run stops"),
            Event::StageFinished { stage } => info!(stage, "stage finished"),
            event => debug!(?event),
        }
    }
}
