//! Shared by the tests: a cache of their own, and runs in one line.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use backends::{Error, Event, ExecutorExt, FailurePolicy, LocalExecutor, RunReport};
use serde_json::{Value, json};
use stage::{Pipeline, PythonStage, Task};

/// One cache for all tests of this binary: the base environment needs none, but shims do.
static CACHE: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

/// The executor under test: the base is the machine's `python3`, whatever is active.
pub(crate) fn local() -> LocalExecutor {
    let python = which::which("python3").expect("python3 on PATH");
    LocalExecutor::default().with_base(python).with_cache_dir(CACHE.path())
}

/// Returns the executor under test, set to continue after failures.
pub(crate) fn recording() -> LocalExecutor {
    local().with_failure_policy(FailurePolicy::Record)
}

/// A Python stage from the text of a module that defines `Stage`.
pub(crate) fn python(text: &str) -> PythonStage {
    PythonStage::from_source(text, "Stage").with_name("stage")
}

/// Returns a pipeline of one such stage.
pub(crate) fn one(text: &str) -> Pipeline {
    Pipeline::new("test").with_stage(python(text))
}

pub(crate) fn numbers(count: usize) -> impl Iterator<Item = Task> + Send {
    (0..count).map(|number| Task::new(json!({ "n": number })))
}

/// Returns the ids and data of the outputs.
pub(crate) fn outputs(report: &RunReport) -> Vec<(String, Value)> {
    let pair =
        |task: &Task| (task.id().to_string(), task.data.as_json().cloned().unwrap_or_default());
    report.outputs.iter().map(pair).collect()
}

/// Runs a pipeline, and returns the events, too.
pub(crate) fn watched(
    executor: &LocalExecutor,
    pipeline: &Pipeline,
    tasks: impl IntoIterator<Item = Task, IntoIter: Send>,
) -> (Result<RunReport, Error>, Vec<Event>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = move |event: &Event| sink.lock().expect("no panic").push(event.clone());
    let result = executor.run_observed(pipeline, tasks, Arc::new(observer));
    let events = events.lock().expect("no panic").clone();
    (result, events)
}

/// A file that a stage may append lines to.
pub(crate) struct Notes {
    _dir: Option<tempfile::TempDir>,
    pub(crate) path: PathBuf,
}

impl Notes {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("notes");
        Self { _dir: Some(dir), path }
    }

    /// A file in a folder that the test has.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { _dir: None, path }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    /// Returns the number at the end of the first line with this prefix, once the line exists.
    pub(crate) fn wait_for_number(&self, prefix: &str) -> i32 {
        for _ in 0..600 {
            let found = self.lines().into_iter().find_map(|line| {
                line.strip_prefix(prefix).and_then(|number| number.trim().parse().ok())
            });
            if let Some(number) = found {
                return number;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("no line starts with {prefix:?}: {:?}", self.lines());
    }
}

/// The body of a test that is an engine to be killed: where [`assert_all_end_with`] has started it,
/// it runs these stages, which take the path of the notes, and never ends.
pub(crate) fn as_killed_engine<const N: usize>(stages: [PythonStage; N]) {
    let Some(path) = std::env::var_os(KILLED) else { return };
    let args = json!({ "path": path.to_str(), "then": "hang" });
    let stages = stages.into_iter().map(|stage| stage.with_args(args.clone()));
    let pipeline = stages.fold(Pipeline::new("test"), Pipeline::with_stage);
    let _ = local().run(&pipeline, numbers(1));
}

/// Kills an engine, which is that test, and waits for the end of these processes of it.
pub(crate) fn assert_all_end_with<const N: usize>(test: &str, processes: fn(&Notes) -> [i32; N]) {
    let notes = Notes::new();
    let program = std::env::current_exe().expect("this program is somewhere");
    let engine = duct::cmd(program, ["--exact", test])
        .env(KILLED, &notes.path)
        .stdout_null()
        .stderr_null()
        .unchecked()
        .start()
        .expect("an engine");
    let pids = processes(&notes);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    engine.kill().expect("it is there");
    pids.into_iter().for_each(assert_ends);
}

/// The notes of an engine that is to be killed.
const KILLED: &str = "CURATOR_TEST_KILLED_ENGINE";

/// Returns whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Waits until a process is gone.
pub(crate) fn assert_ends(pid: i32) {
    for _ in 0..200 {
        if !is_alive(pid) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("process {pid} is still there");
}
