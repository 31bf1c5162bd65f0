//! Shared by the tests: caches, bases, stages, and pipelines in processes of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use curator::backends::{DiskSource, EnvReport, Error, Event};
use curator::envspec::Tool;
use curator::installer::{Deadline, Request, Tools, compile_bytecode};
use curator::venv_cache::{Cache, Interpreter, create_bare};
use curator::{ExecutorExt, LocalExecutor, Pipeline, PythonStage, RunReport, RuntimeEnv, Task};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The file with the stages.
pub(crate) const STAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/stages.py");

/// The folder that the tests of this process share.
///
/// It lies in Cargo's folder for temporary files, on one device with all other files of the tests.
/// Leftovers of processes that have ended are removed.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(parent).expect("Cargo's temporary folder is writable");
    for entry in std::fs::read_dir(parent).expect("the folder is readable").flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix("e2e-"));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another run may be removing it, too.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
    let place = parent.join(format!("e2e-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a folder for the tests");
    place
});

/// A virtualenv without pip, with `packaging`, `six`, `idna` and `tqdm`, all compiled.
static BASE: LazyLock<PathBuf> = LazyLock::new(|| {
    virtualenv(&PLACE.join("base"), &["packaging==26.0", "six==1.17.0", "idna==3.7", "tqdm"])
});

/// The cache of the tests that do not need one of their own.
pub(crate) fn shared_cache() -> PathBuf {
    PLACE.join("cache")
}

/// The interpreter of the base that most tests share and none changes.
pub(crate) fn base() -> &'static Path {
    &BASE
}

/// The first `python3` on `PATH`.
pub(crate) fn python3() -> PathBuf {
    which::which("python3").expect("python3 should be on PATH")
}

/// An empty folder, beside everything that the tests share.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(&*PLACE).expect("a temporary folder")
}

/// Returns a cache with nothing but the package managers, which are fetched once.
pub(crate) fn fresh_cache() -> TempDir {
    let dir = folder();
    share_tools(dir.path());
    dir
}

/// Lets a cache use the package managers of the shared one.
pub(crate) fn share_tools(cache: &Path) {
    std::os::unix::fs::symlink(tools_dir(), cache.join("tools")).expect("a link");
}

fn tools_dir() -> PathBuf {
    Cache::open(&shared_cache()).expect("a cache").tools_dir()
}

/// Returns a uv that can be started: the one on `PATH`, else the one that Curator has fetched.
pub(crate) fn uv() -> PathBuf {
    if let Ok(uv) = which::which("uv") {
        return uv;
    }
    // Making the base fetched uv.
    base();
    let tools = std::fs::read_dir(tools_dir()).expect("the tools' folder is readable");
    let uv = tools.flatten().map(|entry| entry.path().join("bin/uv")).find(|uv| uv.is_file());
    uv.expect("uv should have been fetched")
}

/// Makes a virtualenv with these packages, sharing no file with any cache; returns its interpreter.
pub(crate) fn virtualenv(dir: &Path, lines: &[&str]) -> PathBuf {
    let (python, added) = uncompiled_virtualenv(dir, lines);
    compile_bytecode(&python, &added, None, Deadline::NEVER).expect("bytecode");
    python
}

/// Makes such a virtualenv without bytecode.
pub(crate) fn uncompiled_virtualenv(
    dir: &Path,
    lines: &[&str],
) -> (PathBuf, Vec<curator::installer::Package>) {
    let interpreter = Interpreter::describe(&python3(), None).expect("an interpreter");
    let created = create_bare(&interpreter, dir).expect("a virtualenv");
    let spec = RuntimeEnv::uv(lines.iter().copied());
    let Some(install) = spec.load(&DiskSource, dir).expect("a spec").install else {
        return (created.python, Vec::new());
    };
    let tools = Tools::new(tools_dir());
    let uv = tools.locate(Tool::Uv, None, &created.python, Deadline::NEVER).expect("uv");
    let request = Request::new(&install, &created.python);
    let outcome = uv.install(&request).expect("the index should be reachable");
    (created.python, outcome.added)
}

/// The executor under test, over the shared base and cache.
pub(crate) fn local() -> LocalExecutor {
    LocalExecutor::default().with_base(base().to_owned()).with_cache_dir(shared_cache())
}

pub(crate) fn one_task() -> [Task; 1] {
    [Task::new(json!({}))]
}

/// A stage that notes the versions of some packages under its own name.
pub(crate) fn versions(name: &str, packages: &[&str]) -> PythonStage {
    PythonStage::from_file(STAGES, "Versions")
        .with_args(json!({ "key": name, "names": packages }))
        .with_name(name)
}

/// A stage that notes the value of an expression under its own name.
pub(crate) fn value_of(name: &str, expression: &str) -> PythonStage {
    let text = format!(
        "import os, sys\nclass Stage:\n def process(self, task):\n  task.data[{name:?}] = {expression}\n  return task"
    );
    PythonStage::from_source(text, "Stage").with_name(name)
}

pub(crate) fn pipeline<I>(stages: I) -> Pipeline
where
    I: IntoIterator<Item = PythonStage>,
{
    Pipeline::new("end_to_end").with_stages(stages)
}

/// Returns the note of [`versions`] for a package that is installed once, in one version.
pub(crate) fn once(version: &str) -> Value {
    json!({ "module": version, "metadata": version, "visible": [version] })
}

/// Returns the data of the only output.
pub(crate) fn output(report: &RunReport) -> &Value {
    let [task] = &report.outputs[..] else { panic!("one output: {:?}", report.outputs) };
    task.data.as_json().expect("JSON")
}

/// Runs a pipeline that must succeed.
pub(crate) fn run(executor: &LocalExecutor, pipeline: &Pipeline) -> RunReport {
    executor.run(pipeline, one_task()).unwrap_or_else(|error| panic!("{}", error.report()))
}

/// Returns the environment that a stage ran in.
pub(crate) fn environment<'a>(report: &'a RunReport, stage: &str) -> &'a EnvReport {
    report.environment_of(stage).expect("the stage has an environment")
}

/// Returns the folder of an environment.
pub(crate) fn dir_of(environment: &EnvReport) -> PathBuf {
    environment.python.ancestors().nth(2).expect("bin/python in a folder").to_owned()
}

/// Returns the state of a stage's environment: `base`, `prebuilt`, `hit` or `built`.
pub(crate) fn state(report: &RunReport, stage: &str) -> Value {
    json!(environment(report, stage).state)
}

/// Runs one stage over the shared base and returns its note.
pub(crate) fn noted(stage: PythonStage) -> Value {
    let name = stage.settings().name.clone();
    let report = run(&local(), &pipeline([stage]));
    output(&report)[name].clone()
}

/// Runs a pipeline, and returns the events, too.
pub(crate) fn watched(
    executor: &LocalExecutor,
    pipeline: &Pipeline,
) -> (Result<RunReport, Error>, Vec<Event>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    let observer = move |event: &Event| sink.lock().expect("no panic").push(event.clone());
    let result = executor.run_observed(pipeline, one_task(), Arc::new(observer));
    let events = events.lock().expect("no panic").clone();
    (result, events)
}

/// Returns the keys of the environments in a cache, whole or not.
pub(crate) fn environments(cache: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(cache.join("envs-v1")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Returns all paths below a folder, relative to it, without bytecode, which depends on earlier
/// imports.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.ends_with("__pycache__") {
                continue;
            }
            found.push(path.strip_prefix(dir).expect("below").display().to_string());
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A pipeline file whose stages note versions, for a process of its own.
#[derive(Debug)]
pub(crate) struct PipelineFile {
    dir: TempDir,
}

impl PipelineFile {
    /// `stages` are names with their `runtime_env` in TOML; `packages` are those whose versions
    /// they note.
    pub(crate) fn new(base: &Path, stages: &[(&str, &str)], packages: &[&str]) -> Self {
        Self::over(&format!("{:?}", base.display().to_string()), stages, packages)
    }

    /// A pipeline file over a base given in TOML.
    pub(crate) fn over(base: &str, stages: &[(&str, &str)], packages: &[&str]) -> Self {
        let stage = |(name, runtime_env): &(&str, &str)| {
            format!(
                "[[stage]]\nname = {name:?}\npython = \"{STAGES}:Versions\"\nargs = {{ key = \
                 {name:?}, names = {packages:?} }}\nruntime_env = {runtime_env}\n"
            )
        };
        let stages: String = stages.iter().map(stage).collect();
        let text = format!("name = \"end_to_end\"\nbase = {base}\n{stages}");
        let dir = folder();
        std::fs::write(dir.path().join("pipeline.toml"), text).expect("a pipeline file");
        Self { dir }
    }

    /// Returns the process that runs the pipeline.
    pub(crate) fn command(&self, cache: &Path) -> duct::Expression {
        let program = env!("CARGO_BIN_EXE_run-pipeline");
        duct::cmd(program, [cache, &self.dir.path().join("pipeline.toml")])
            .stdin_null()
            .stderr_null()
            .unchecked()
    }

    /// Runs the pipeline in a process with these additional variables; returns the answer.
    pub(crate) fn run(&self, cache: &Path, variables: &[(&str, &str)]) -> Answer {
        let mut command = self.command(cache);
        for (name, value) in variables {
            command = command.env(name, value);
        }
        Answer::read(&command.stdout_capture().run().expect("a process").stdout)
    }
}

/// A process's answer about its run.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    pub(crate) fn read(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        Self(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
    }

    /// Returns the text of the error; a run that succeeded has none.
    pub(crate) fn error(&self) -> &str {
        self.0["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.0))
    }

    /// Returns the stages' notes.
    pub(crate) fn output(&self) -> &Value {
        assert!(self.0["error"].is_null(), "{}", self.0["error"].as_str().unwrap_or_default());
        &self.0["report"]["outputs"][0]["data"]["json"]
    }

    /// Returns the state of each stage's environment.
    pub(crate) fn states(&self) -> BTreeMap<String, String> {
        let environments = self.0["report"]["environments"].as_array().into_iter().flatten();
        environments
            .flat_map(|env| {
                let state = env["state"].as_str().unwrap_or_default();
                let stages = env["stages"].as_array().into_iter().flatten();
                stages.map(move |stage| {
                    (stage.as_str().unwrap_or_default().to_owned(), state.to_owned())
                })
            })
            .collect()
    }
}

/// Returns whether a process exists and is no zombie.
pub(crate) fn is_alive(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}
