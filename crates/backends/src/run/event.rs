//! What happens during a run, as one stream.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::environment::EnvState;
use super::failure::FailedTask;
use crate::worker::Exit;

/// Which of a worker's outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something that happened. Durations are in seconds where they are written as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The environment of these stages is being looked up, and built if it is not there.
    EnvironmentPreparing {
        /// The stages that share it.
        stages: Vec<String>,
    },
    /// It is known which environment that is: the base is there, and what the spec asks for is looked
    /// for under this key.
    EnvironmentKeyed {
        /// The stages that share it.
        stages: Vec<String>,
        /// Its key; none where nothing is built for it.
        key: Option<String>,
    },
    /// The build of an environment has come to its next phase, or further in it. What is in the
    /// cache has none.
    EnvironmentBuilding {
        /// Its key.
        key: String,
        /// What is being done from now on.
        phase: BuildPhase,
        /// How many packages that concerns, where it is known.
        packages: Option<usize>,
        /// With how many of them it is done, where packages are counted.
        done: Option<usize>,
        /// How many bytes have been fetched, or added, where they are counted.
        bytes: Option<u64>,
        /// Of how many, where it is known.
        total_bytes: Option<u64>,
    },
    /// The build of an environment, or of a managed base, is complete.
    EnvironmentBuilt {
        /// Its key.
        key: String,
        /// The disk that is its own, in bytes.
        own_bytes: u64,
        /// How long it took, the wait for others included.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// An environment is ready.
    EnvironmentReady {
        /// The stages that share it.
        stages: Vec<String>,
        /// Its key; none for the base environment.
        key: Option<String>,
        /// Whether it was there, or had to be built.
        state: EnvState,
        /// How long that took.
        #[serde(with = "seconds")]
        duration: Duration,
    },
    /// Something that a user should know and that stops nothing.
    Warning {
        /// The stage that it is about, if it is about one.
        stage: Option<String>,
        /// What it is.
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
        /// Its process; none for a Rust stage, which has none of its own.
        pid: Option<i32>,
        /// From the start of the process to the end of `setup`.
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
        /// Where it printed it.
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
        /// The time that it took to bring the batch to the worker and what came of it back, as far
        /// as the worker had nothing else to do meanwhile. None for a Rust stage.
        #[serde(with = "seconds")]
        transfer: Duration,
    },
    /// A batch is tried again.
    Retried {
        /// Its stage.
        stage: String,
        /// Tasks in it.
        tasks: usize,
        /// Why.
        reason: String,
    },
    /// A task has failed for good.
    TaskFailed(FailedTask),
    /// Nothing will become of some tasks, since the run was asked to [stop](crate::Stop). It is told
    /// before they are dropped.
    Dropped {
        /// The stage that they waited for.
        stage: String,
        /// How many they are.
        tasks: usize,
        /// The numbers of the [tasks handed in](stage::SourceTask) that they were made of.
        sources: Vec<u64>,
    },
    /// The run ends before its end, because something failed: what is under way is dropped from now
    /// on. It may be told more than once.
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
    /// It has started, and proven its environment.
    Proven,
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
    /// Fetches them.
    Downloading,
    /// Puts them into the environment.
    Installing,
    /// Looks whether what was asked for is there, and what the base says to it.
    Checking,
    /// Compiles what was added.
    Compiling,
}

impl BuildPhase {
    /// Its name, in lower case.
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

/// Sees what happens, as it happens, from several threads at once; it should be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &Event);
}

/// Sees nothing.
impl Observer for () {
    fn on_event(&self, _: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// Durations as seconds.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Duration};

    pub(crate) fn serialize<S: serde::Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        // What `serde` has looked at before, to find the tag, is a number that only its own type reads.
        let number = serde_json::Number::deserialize(deserializer)?;
        let seconds = number.as_f64().unwrap_or(f64::NAN);
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

const _: Option<&dyn Observer> = None; // Stays object-safe, or does not compile.
