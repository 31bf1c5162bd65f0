//! The Python process that drives an engine.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use envspec::Digest;

use super::job::Job;
use crate::provision::Environment;
use crate::run::{Error, Secrets};
use crate::worker::wire::{self, Kind};
use crate::worker::{Exit, Incoming, Launch, Process, Shims};

/// The driver's modules, which import each other by these names.
const FILES: [(&str, &str); 7] = [
    ("curator_ray.py", include_str!("../../python/curator_ray.py")),
    ("curator_ray_actor.py", include_str!("../../python/curator_ray_actor.py")),
    ("curator_ray_actor_pool.py", include_str!("../../python/curator_ray_actor_pool.py")),
    ("curator_ray_data.py", include_str!("../../python/curator_ray_data.py")),
    ("curator_ray_node.py", include_str!("../../python/curator_ray_node.py")),
    ("curator_ray_xenna.py", include_str!("../../python/curator_ray_xenna.py")),
    ("curator_frames.py", include_str!("../../python/curator_frames.py")),
];
/// Time limit for the driver to shut the engine down when the run is over.
const LEAVE_LIMIT: Duration = Duration::from_mins(1);
/// Time limit for the driver when the run has failed or was cancelled.
const ABORT_LIMIT: Duration = Duration::from_secs(30);

/// The module that ends a run whose driver is gone.
const NODE: &str = "curator_ray_node.py";

/// A running driver.
pub(crate) struct Driver {
    process: Process,
    engine: String,
    /// Ends the run's remaining processes on this machine.
    end: duct::Expression,
}

impl Driver {
    /// Starts a driver in the base environment and sends it the job.
    pub(crate) fn start(base: &Environment, shims: &Shims, job: &Job<'_>) -> Result<Self, Error> {
        let failed = |problem: String| Error::Driver {
            engine: job.engine.to_owned(),
            problem,
            log: Vec::new(),
        };
        let shim =
            write_files(shims).map_err(|error| failed(format!("could not be written: {error}")))?;
        let launch =
            base.launch(None).map_err(|error| failed(format!("could not be prepared: {error}")))?;
        let mut launch = Launch { shim, ..launch };
        // People should see the lines of the hosts' own notes, not Ray's copies of them.
        launch.vars.entry("RAY_DEDUP_LOGS".into()).or_insert_with(|| "0".into());
        let node = launch.shim.with_file_name(NODE);
        let words = launch.python[1..].iter().cloned().chain([node.into(), (&job.run).into()]);
        let end = duct::cmd(&launch.python[0], words)
            .dir(&launch.dir)
            .full_env(&launch.vars)
            .stdin_null()
            .stdout_null()
            .stderr_null()
            .unchecked();
        let start = |_group: i32| serde_json::to_vec(job);
        // Ray quotes the command lines of package managers, including the indexes. Their
        // credentials are cut without knowing any secret.
        let secrets = Secrets::default();
        let process = Process::spawn(&launch, start, &base.leases(), secrets, |_, line: &str| {
            tracing::debug!(target: "curator::engine", "{line}");
        })
        .map_err(|error| failed(format!("could not be started: {error}")))?;
        Ok(Self { process, engine: job.engine.to_owned(), end })
    }

    /// Returns a second handle to its socket, for writing from another thread.
    pub(crate) fn writer(&self) -> io::Result<UnixStream> {
        self.process.writer()
    }

    /// Waits for the next frame.
    pub(crate) fn receive(&mut self) -> Incoming {
        self.process.receive(None, None)
    }

    /// Waits for a driver that has sent its last frame.
    pub(crate) fn finish(mut self) {
        self.wait(LEAVE_LIMIT);
    }

    /// Makes it end the engine's work and exit, in order if possible.
    pub(crate) fn abort(mut self) {
        self.process.shut_down(Shutdown::Write);
        self.wait(ABORT_LIMIT);
    }

    fn wait(&mut self, limit: Duration) {
        if let Exit::Signal(_) = self.process.finish(limit) {
            self.end_run();
        }
    }

    /// Cleans up after a driver that was killed.
    fn end_run(&self) {
        // The run is over whether this succeeds or not.
        drop(self.end.run());
    }

    /// Returns the error for a driver that ended by itself.
    pub(crate) fn lost(mut self, problem: Option<String>) -> Error {
        let exit = self.process.finish(Duration::from_secs(1));
        self.end_run();
        Error::Driver {
            engine: self.engine.clone(),
            problem: problem.unwrap_or_else(|| exit.to_string()),
            log: self.process.tail().lines(),
        }
    }
}

/// Sends one frame to the driver, from any thread.
pub(crate) fn send(
    mut socket: &UnixStream,
    kind: Kind,
    meta: &[u8],
    body: &[u8],
) -> io::Result<()> {
    let mut buffer = Vec::new();
    wire::encode(&mut buffer, kind, 0, meta, &[body]);
    io::Write::write_all(&mut socket, &buffer)
}

/// Writes the driver's modules into one folder, named by their contents; returns the first.
fn write_files(shims: &Shims) -> io::Result<PathBuf> {
    let all: String = FILES.iter().flat_map(|(name, text)| [*name, *text]).collect();
    let folder = format!("ray-{}", &Digest::of(all.as_bytes()).to_string()[..16]);
    Ok(shims.files(&folder, &FILES)?.join(FILES[0].0))
}
