//! The events of a run, as one stream.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::environment::EnvState;
use super::failure::FailedTask;
use super::seconds;
use crate::worker::Exit;

/// The output of a worker that a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An event of a run. Durations are in seconds in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The environment of these stages is being looked up, and built if it is missing.
    EnvironmentPreparing {
        /// The stages that share it.
        stages: Vec<String>,
    },
    /// The key of the environment is known: the base is ready, and the spec's packages are looked
    /// up under this key.
    EnvironmentKeyed {
        /// The stages that share it.
        stages: Vec<String>,
        /// Its key; none if nothing is built.
        key: Option<String>,
    },
    /// The build of an environment has reached its next phase, or progressed in it. A cached
    /// environment has no such event.
    EnvironmentBuilding {
        /// Its key.
        key: String,
        /// The phase that begins or continues.
        phase: BuildPhase,
        /// Number of packages in the phase, if known.
        packages: Option<usize>,
        /// Number of packages that are done, if counted.
        done: Option<usize>,
        /// Number of bytes fetched or added, if counted.
        bytes: Option<u64>,
        /// Total number of bytes, if known.
        total_bytes: Option<u64>,
    },
    /// The build of an environment, or of a managed base, is complete.
    EnvironmentBuilt {
        /// Its key.
        key: String,
        /// Its own disk space, in bytes.
        own_bytes: u64,
        /// Its time, including the wait for other builds.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// An environment is ready.
    EnvironmentReady {
        /// The stages that share it.
        stages: Vec<String>,
        /// Its key; none for the base environment.
        key: Option<String>,
        /// Whether it was cached or built.
        state: EnvState,
        /// The time until then.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// A warning that stops nothing.
    Warning {
        /// The stage that it is about, if any.
        stage: Option<String>,
        /// The text.
        message: String,
    },
    /// A worker that starts has come so far; Rust stages do not tell.
    WorkerStarting {
        /// Its stage.
        stage: String,
        /// Its number in the stage, from 0.
        worker: usize,
        /// How far.
        step: StartStep,
    },
    /// A worker is set up and waits for tasks.
    WorkerReady {
        /// Its stage.
        stage: String,
        /// Its number in the stage, from 0.
        worker: usize,
        /// Its process; none for a Rust stage without a process of its own.
        pid: Option<i32>,
        /// Time from the start of the process to the end of `setup`.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// A worker has ended.
    WorkerEnded {
        /// Its stage.
        stage: String,
        /// Its number in the stage.
        worker: usize,
        /// How its process ended; none for a Rust stage.
        exit: Option<Exit>,
        /// Whether it ended in order, after `teardown`.
        in_order: bool,
    },
    /// A line that a worker printed.
    Log {
        /// Its stage.
        stage: String,
        /// Its number in the stage.
        worker: usize,
        /// The output that it came from.
        stream: Stream,
        /// The line.
        line: String,
    },
    /// A batch is done.
    BatchDone {
        /// Its stage.
        stage: String,
        /// The worker's number in the stage.
        worker: usize,
        /// Tasks that went in.
        tasks: usize,
        /// Tasks that came out.
        outputs: usize,
        /// The time in the stage's own code.
        #[serde(with = "seconds")]
        duration: Duration,
        /// Time to bring the batch to the worker and the outputs back, as far as the worker was
        /// idle meanwhile. None for a Rust stage.
        #[serde(with = "seconds")]
        transfer: Duration,
    },
    /// A batch is tried again.
    Retried {
        /// Its stage.
        stage: String,
        /// Tasks in it.
        tasks: usize,
        /// The reason.
        reason: String,
    },
    /// A task has failed for good.
    TaskFailed(FailedTask),
    /// Some tasks are dropped without a result, since the run was asked to [stop](crate::Stop), or
    /// stops at a failure of another task. The event comes before they are dropped.
    Dropped {
        /// The stage that they waited for.
        stage: String,
        /// Number of tasks.
        tasks: usize,
        /// The numbers of the [tasks handed in](stage::SourceTask) that they were made from.
        sources: Vec<u64>,
    },
    /// The run ends early because of a failure: tasks under way are dropped from now on. The event
    /// may come more than once.
    Stopping,
    /// A stage has seen its last task.
    StageFinished {
        /// The stage.
        stage: String,
    },
}

/// How far a worker that starts has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StartStep {
    /// The process that it is to be forked from has started, and proven its environment.
    Template,
    /// That process has made its imports.
    Imported,
    /// It has been forked from that process.
    Forked,
    /// It has started, and proven its environment.
    Proven,
    /// It has its devices, after others have had them.
    Devices,
    /// It has loaded the stage's code, with what that imports.
    Loaded,
}

/// What a build of an environment is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BuildPhase {
    /// Looks for the package manager, or fetches it.
    Locating,
    /// Makes the environment over its base.
    Creating,
    /// Finds out which packages to install.
    Resolving,
    /// Fetches the packages.
    Downloading,
    /// Puts the packages into the environment.
    Installing,
    /// Checks that the requested packages are there, and that they fit the base.
    Checking,
    /// Compiles the added packages.
    Compiling,
}

impl BuildPhase {
    /// Returns its name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locating => "locating",
            Self::Creating => "creating",
            Self::Resolving => "resolving",
            Self::Downloading => "downloading",
            Self::Installing => "installing",
            Self::Checking => "checking",
            Self::Compiling => "compiling",
        }
    }
}

/// Receives events as they happen, from several threads at once; it should return quickly.
pub trait Observer: Send + Sync {
    /// Receives an event.
    fn on_event(&self, event: &Event);
}

/// Ignores events.
impl Observer for () {
    fn on_event(&self, _: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

const _: Option<&dyn Observer> = None; // Stays object-safe, or does not compile.
