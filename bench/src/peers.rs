//! Other projects' programs that do the same work: started, measured and cleaned up.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use curator::venv_cache::BoxError;
use serde::Deserialize;
use tempfile::TempDir;

use crate::budget::Budget;
use crate::processes;
use crate::sample::Sample;
use crate::world::World;

/// A peer and its figures, or the reason why it has none.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) measured: Result<Sample, String>,
    /// The budget relative to the peer: at least this many times less.
    pub(crate) budget: Option<Budget>,
}

impl Peer {
    pub(crate) fn new(name: impl Into<String>, measured: Result<Sample, String>) -> Self {
        Self { name: name.into(), measured, budget: None }
    }

    pub(crate) fn with_budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }
}

/// Returns the path of a Python source of these measurements.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}

/// Returns the folder of Curator's package for Python.
pub(crate) fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/curator/python")
}

/// Several runs, or the first failure.
#[derive(Debug)]
pub(crate) struct Runs(Result<Vec<f64>, String>);

impl Default for Runs {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl Runs {
    /// Does one more run, unless one has failed.
    pub(crate) fn add(&mut self, run: impl FnOnce() -> Result<f64, BoxError>) {
        if let Ok(values) = &mut self.0 {
            match run() {
                Ok(value) => values.push(value),
                Err(error) => self.0 = Err(error.to_string()),
            }
        }
    }

    pub(crate) fn sample(self) -> Result<Sample, String> {
        match self.0 {
            Ok(values) if values.is_empty() => Err("it was not run".to_owned()),
            values => values.map(Sample::new),
        }
    }
}

/// Returns the seconds for each task in one of Python's pools, as `pools.py` measures them.
pub(crate) fn pool(
    python: &Path,
    way: &str,
    work: &str,
    payload: &str,
    tasks: usize,
    stages: usize,
) -> Result<f64, BoxError> {
    let (tasks, stages) = (tasks.to_string(), stages.to_string());
    let file = script("pools.py");
    let command = duct::cmd!(python, file, way, work, payload, tasks, stages).stdin_null();
    let output = command.stdout_capture().stderr_capture().unchecked().run()?;
    if !output.status.success() {
        return Err(last_line(&output.stderr).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// Returns the last line of a program's output, where Python prints an error's message.
pub(crate) fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}

/// The time that the documented example took on one engine, in seconds.
#[derive(Debug)]
pub(crate) struct EngineRuns {
    /// In a session of its own.
    pub(crate) cold: Result<f64, String>,
    /// Once more in that session.
    pub(crate) warm: Result<f64, String>,
    /// Then with many tasks, if requested.
    pub(crate) many: Result<f64, String>,
}

/// One line that a program prints of what it has measured.
#[derive(Deserialize)]
pub(crate) struct Round {
    pub(crate) name: String,
    pub(crate) seconds: f64,
}

/// Runs the documented example by NeMo Curator over a base that has it.
///
/// If the peer fails or takes longer than `patience`, that is no error: its missing results give
/// the reason.
pub(crate) fn nemo_curator(
    world: &World,
    python: &Path,
    engine: &str,
    tasks: usize,
    patience: Duration,
) -> Result<EngineRuns, BoxError> {
    let cluster = Cluster::new(world)?;
    let words = [script("nemo.py").into_os_string(), engine.into(), tasks.to_string().into()];
    let (rounds, problem) = cluster.rounds(python, words, [], patience)?;
    let problem = problem.unwrap_or_else(|| "it was not asked for".to_owned());
    let of = |name: &str| {
        let round = rounds.iter().find(|round| round.name == name);
        round.map(|round| round.seconds).ok_or_else(|| problem.clone())
    };
    Ok(EngineRuns { cold: of("cold"), warm: of("warm"), many: of("many") })
}

/// A folder for one Ray session. Dropping it ends the processes and removes the files.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: TempDir,
}

impl Cluster {
    pub(crate) fn new(world: &World) -> Result<Self, BoxError> {
        // The paths of Ray's sockets in it must stay below 107 bytes.
        let dir = tempfile::Builder::new().prefix("").rand_bytes(3).tempdir_in(world.short())?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the variable that all processes of the session have.
    pub(crate) fn variable(&self) -> String {
        format!("RAY_TMPDIR={}", self.dir().display())
    }

    /// Returns a command for Python in the folder, as if its environment were activated.
    pub(crate) fn command(
        &self,
        python: &Path,
        words: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Result<duct::Expression, BoxError> {
        let scripts = python.parent().ok_or("an interpreter lies in a folder")?;
        let inherited = std::env::var("PATH")?;
        // What is set first wins.
        let command = variables
            .into_iter()
            .fold(duct::cmd(python, words), |command, (name, value)| command.env(name, value));
        Ok(command
            .dir(self.dir())
            .env("RAY_TMPDIR", self.dir())
            .env("RAY_USAGE_STATS_ENABLED", "0")
            .env("PATH", format!("{}:{inherited}", scripts.display()))
            .env("VIRTUAL_ENV", scripts.parent().ok_or("it lies in a virtualenv")?)
            .env_remove("RAY_ADDRESS")
            .env_remove("PYTHONPATH")
            .unchecked())
    }

    /// Runs a program that prints its rounds. Returns those, and how it failed if it did or took
    /// longer than `patience`.
    pub(crate) fn rounds(
        &self,
        python: &Path,
        words: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
        patience: Duration,
    ) -> Result<(Vec<Round>, Option<String>), BoxError> {
        // Files instead of pipes, since Ray's processes may keep them open after the script ends.
        let [printed, said] = ["out", "err"].map(|name| self.dir().join(name));
        let command = self.command(python, words, variables)?.stdin_null();
        let running = command.stdout_path(&printed).stderr_path(&said).start()?;
        let problem = match running.wait_timeout(patience)?.map(|output| output.status) {
            Some(status) if status.success() => None,
            Some(_) => Some(last_line(&fs::read(&said)?)),
            None => {
                running.kill()?;
                Some(format!("it was not done after {} s", patience.as_secs()))
            }
        };
        let text = fs::read_to_string(&printed)?;
        Ok((text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), problem))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        processes::end_started_with(&self.variable());
    }
}
