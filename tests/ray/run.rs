//! Pipelines on an engine on Ray, in processes of their own that can be watched and killed.

use std::collections::BTreeMap;
use std::fs;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{self, Cluster};

/// The engines, by their names.
pub(crate) const ENGINES: [&str; 3] = ["ray-data", "ray-actor-pool", "xenna"];
/// Time limit of any wait, far longer than needed, so that a hang ends.
const PATIENCE: Duration = Duration::from_mins(5);

/// Waits until `find` returns a value.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come within {PATIENCE:?}");
        sleep(Duration::from_millis(50));
    }
}

/// Returns the stages' notes of this kind in a folder: names with texts.
pub(crate) fn notes(dir: &Path, kind: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir).expect("a folder of ours");
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| {
            let rest = name.strip_prefix(kind)?.strip_prefix('-')?.to_owned();
            let text = fs::read_to_string(dir.join(&name)).expect("a note");
            Some((rest, text))
        })
        .collect()
}

/// A folder for one run, and its job.
#[derive(Debug)]
pub(crate) struct Job {
    dir: PathBuf,
    settings: Value,
    vars: BTreeMap<String, String>,
}

impl Job {
    /// Creates a run of stages, in TOML, over these tasks. Its folder must not exist yet.
    pub(crate) fn new(dir: &Path, engine: &str, stages: &str, tasks: u64) -> Self {
        fs::create_dir(dir).expect("a folder of its own");
        let pipeline = dir.join("pipeline.toml");
        fs::write(&pipeline, format!("name = \"faults\"\n{stages}")).expect("a pipeline");
        let settings = json!({
            "engine": engine, "base": world::base(), "cache": world::cache(),
            "pipeline": pipeline, "tasks": tasks,
        });
        Self { dir: dir.to_owned(), settings, vars: BTreeMap::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings[name] = value.into();
        self
    }

    pub(crate) fn with_var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts the run.
    pub(crate) fn start(self, cluster: &Cluster) -> Running {
        let program = env!("CARGO_BIN_EXE_run-on-ray");
        let (lifeline, held) = std::io::pipe().expect("a pipe");
        // A shell's background ignores SIGINT, and children inherit that; SIGINT must end this one.
        let words = ["--default-signal=INT", program, &self.settings.to_string()];
        let mut command = duct::cmd("env", words)
            .dir(cluster.dir())
            .env("RAY_TMPDIR", cluster.dir())
            .env("TMPDIR", cluster.dir())
            .env("RAY_USAGE_STATS_ENABLED", "0")
            .env_remove("RAY_ADDRESS")
            .env_remove("PYTHONPATH")
            .stdin_file(lifeline)
            .stdout_path(self.dir.join("out"))
            .stderr_path(self.dir.join("err"))
            .unchecked();
        for (name, value) in &self.vars {
            command = command.env(name, value);
        }
        let handle = command.start().expect("the program starts");
        Running { dir: self.dir, handle, _lifeline: held }
    }

    /// Runs the job to its end.
    pub(crate) fn run(self, cluster: &Cluster) -> Answer {
        self.start(cluster).answer()
    }
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Running {
    dir: PathBuf,
    handle: duct::Handle,
    /// The run ends when this closes, at the latest at the end of the test.
    _lifeline: PipeWriter,
}

impl Running {
    /// Returns the process that runs the pipeline.
    pub(crate) fn process(&self) -> i32 {
        i32::try_from(self.handle.pids()[0]).expect("a number of a process")
    }

    /// Returns the notes of this kind from the run's stages.
    pub(crate) fn notes(&self, kind: &str) -> Vec<(String, String)> {
        notes(&self.dir, kind)
    }

    /// Waits for this many workers that hold a task; returns each with its host and its node.
    #[track_caller]
    pub(crate) fn held(&self, count: usize) -> Vec<(i32, i32, String)> {
        wait_for("a worker with a task", || {
            assert!(self.is_running(), "it ended: {:?}", self.said());
            let notes = self.notes("held");
            (notes.len() >= count).then(|| {
                let parse = |text: &str| text.parse().expect("a number of a process");
                notes
                    .iter()
                    .map(|(worker, text)| {
                        let (host, node) = text.split_once(' ').expect("two words");
                        (parse(worker), parse(host), node.to_owned())
                    })
                    .collect()
            })
        })
    }

    /// Lets the workers that hold tasks continue.
    pub(crate) fn go_on(&self) {
        fs::write(self.dir.join("go"), "").expect("a folder of ours");
    }

    pub(crate) fn is_running(&self) -> bool {
        self.handle.try_wait().expect("a child of ours").is_none()
    }

    pub(crate) fn said(&self) -> String {
        ["out", "err"]
            .map(|name| fs::read_to_string(self.dir.join(name)).unwrap_or_default())
            .concat()
    }

    /// Waits until the run ends, in any way.
    #[track_caller]
    pub(crate) fn wait(&self) {
        wait_for("the end of the run", || (!self.is_running()).then_some(()));
    }

    /// Waits until the run ends, and returns its answer.
    #[track_caller]
    pub(crate) fn answer(self) -> Answer {
        self.wait();
        let text = fs::read_to_string(self.dir.join("out")).expect("a file of ours");
        let answer = serde_json::from_str(&text);
        Answer(answer.unwrap_or_else(|error| panic!("{error}: {}", self.said())))
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    /// Returns the text of the error.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        self.0["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.0))
    }

    /// Returns the data of all outputs.
    #[track_caller]
    pub(crate) fn outputs(&self) -> Vec<&Value> {
        assert!(self.0["error"].is_null(), "{}", self.0["error"].as_str().unwrap_or_default());
        let outputs = self.0["report"]["outputs"].as_array().expect("outputs");
        outputs.iter().map(|task| &task["data"]["json"]).collect()
    }

    /// Checks that every task came out, and none twice.
    #[track_caller]
    pub(crate) fn assert_complete(&self, tasks: u64) {
        let numbers: Vec<u64> =
            self.outputs().iter().map(|data| data["number"].as_u64().expect("a number")).collect();
        assert_eq!(numbers, (0..tasks).collect::<Vec<_>>());
    }
}
