//! What can go wrong with a run, cut by what the caller can do next.
//!
//! Long because it is one enum: what each error holds, and its message. `advice` has the hints, `report`
//! what people read.

mod advice;
mod report;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use stage::BoxError;

use super::failure::{Cause, FailedTask};
use super::python_error::PythonError;
use crate::worker::Exit;
use crate::worker::wire::Phase;

pub use report::Report;
pub(crate) use report::Words;

/// Why a pipeline could not be run to its end.
///
/// The message never holds its cause; walk [`source`](std::error::Error::source) to print the
/// chain, and ask [`hint`](Self::hint) for advice and [`detail`](Self::detail) for tracebacks and
/// log lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pipeline itself is wrong.
    #[error("the pipeline cannot be run")]
    Pipeline {
        /// What is wrong with it.
        source: Box<stage::Error>,
    },

    /// A `runtime_env` is wrong, or a file that it names cannot be read.
    #[error("the runtime_env of {owner} cannot be used")]
    Spec {
        /// Whose it is: a stage, or the base.
        owner: String,
        /// What is wrong with it.
        source: Box<envspec::Error>,
    },

    /// A field of a `runtime_env` that only Ray can serve, on an executor without Ray.
    #[error(
        "the field `{field}` of the runtime_env of stage `{stage}` needs one of the Ray executors"
    )]
    EngineField {
        /// The stage.
        stage: String,
        /// The field.
        field: String,
    },

    /// A stage asks for devices that this machine does not have.
    #[error("stage `{stage}` asks for {wanted}, and this machine has {}", match there {
        0 => "none".to_owned(),
        there => there.to_string(),
    })]
    NoDevice {
        /// The stage.
        stage: String,
        /// What it asks for: `1 GPU`.
        wanted: String,
        /// How many there are.
        there: usize,
    },

    /// A stage's Python file is not there, or does not define what the stage names.
    #[error("the code of stage `{stage}`, `{}`, {problem}", path.display())]
    NoCode {
        /// The stage.
        stage: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// `working_dir` or `py_modules` name what is not on this machine.
    #[error("`{field}` names `{}`, which is {found}", path.display())]
    NoFolder {
        /// The field.
        field: &'static str,
        /// What it names.
        path: PathBuf,
        /// What is there: `not there`, `no folder`.
        found: &'static str,
    },

    /// `py_executable` is no command line.
    #[error("`py_executable` is `{command}`, which is no command line")]
    PyExecutable {
        /// Its text, without credentials.
        command: String,
    },

    /// A file that a spec names is for other Pythons than the one that it would run in.
    #[error(
        "`requires-python` of {}`{}` is `{versions}`, and `{}` is Python {version}",
        package.as_ref().map(|it| format!("`{it}` in ")).unwrap_or_default(),
        file.display(), python.display()
    )]
    RequiresPython {
        /// The file.
        file: PathBuf,
        /// The package of the file that it is of; none where it is the file's.
        package: Option<Box<str>>,
        /// The specifiers, as written there.
        versions: String,
        /// The interpreter of the base.
        python: PathBuf,
        /// Its version.
        version: String,
    },

    /// A lock file is for other environments than the one that it would be installed into.
    #[error(
        "`{}` is for environments with {}, and `{}` has {here}",
        file.display(), markers_text(markers),
        python.display()
    )]
    MadeForOthers {
        /// The file.
        file: PathBuf,
        /// The markers of the environments that it is for.
        markers: Vec<String>,
        /// The interpreter of the base.
        python: PathBuf,
        /// What decides the packages that it takes, as a marker.
        here: String,
    },

    /// A managed base without packages.
    #[error("a managed base must name packages under `pip` or `uv`")]
    EmptyManagedBase,

    /// The environment of some stages could not be had.
    #[error("no environment for {}", stages_text(stages))]
    Environment {
        /// The stages; empty for the base of all.
        stages: Vec<String>,
        /// Why not.
        source: Box<Self>,
    },

    /// The environment cache failed, or the base cannot be used.
    #[error(transparent)]
    Cache(Box<venv_cache::Error>),

    /// The package manager failed.
    #[error(transparent)]
    Install(Box<installer::Error>),

    /// The package manager succeeded, but what was asked for is not there.
    #[error("the package manager reported success, but `{requirement}` {problem}")]
    Misinstalled {
        /// The requirement.
        requirement: String,
        /// What is the matter with it.
        problem: String,
    },

    /// A package came from a folder or an archive of this machine that the spec does not tell of.
    #[error(
        "`{package}` came from `{place}`, which the build of another package named: no key tells what is there"
    )]
    UnknownPlace {
        /// The package.
        package: String,
        /// Where it came from.
        place: String,
    },

    /// `pip_check` or `uv_check` found packages that do not get what they ask for.
    #[error("the packages do not fit together: {}", conflicts.join("; "))]
    Conflicts {
        /// Each conflict that the base does not have, in the tool's words.
        conflicts: Vec<String>,
    },

    /// The base has Ray, and the environment cannot import it any more.
    #[error("with {} in the environment, Ray cannot be imported: {words}", added.join(", "))]
    RayBroken {
        /// What was installed.
        added: Vec<String>,
        /// The last line of the traceback.
        words: String,
    },

    /// A build was given up because the run had ended.
    #[error("the environment was given up, since the run had ended")]
    Stopped,

    /// Somebody installed into the base while an environment was being built over it.
    #[error("the base `{}` changed while an environment was being built over it", python.display())]
    BaseChanged {
        /// The base's interpreter.
        python: PathBuf,
    },

    /// An environment is made of links into a base that has changed since.
    #[error("environment {key} is made of links into the base `{}`, which has changed since",
        python.display())]
    StaleLinks {
        /// The environment's key.
        key: String,
        /// The base's interpreter.
        python: PathBuf,
    },

    /// A worker does not run in the environment of its stage.
    #[error("a worker of stage `{stage}` is in the wrong environment: {mismatch}")]
    WrongEnvironment {
        /// The stage.
        stage: String,
        /// What differs.
        mismatch: String,
    },

    /// A stage's code declares another `runtime_env` than the one that the plan gives the stage.
    #[error(
        "the code of stage `{stage}` declares the runtime_env {declared}, and the plan has {planned}"
    )]
    DeclaredEnv {
        /// The stage.
        stage: String,
        /// What its code declares, as JSON, without credentials.
        declared: String,
        /// What the plan has, likewise.
        planned: String,
    },

    /// The environment that a stage's class declares cannot be found out before it is there.
    #[error(
        "the runtime_env that the code of stage `{stage}` declares is no literal, and the code does \
         not run in the base: {problem}"
    )]
    DeclareLiterally {
        /// The stage.
        stage: String,
        /// What the base lacks, if that is known.
        missing: Option<String>,
        /// What went wrong.
        problem: String,
    },

    /// The code of a stage declares a setting, which the pipeline forbids.
    #[error(
        "the code of stage `{stage}` declares `{setting}` {declared}, which the pipeline forbids"
    )]
    ForbiddenDeclaration {
        /// The stage.
        stage: String,
        /// The setting.
        setting: String,
        /// What its code declares, as JSON, without credentials.
        declared: String,
    },

    /// A worker process could not be started.
    #[error("failed to {action} for stage `{stage}`")]
    Worker {
        /// What was tried.
        action: &'static str,
        /// The stage.
        stage: String,
        /// What the operating system said.
        source: io::Error,
    },

    /// A worker ended while it started, or before its first task.
    #[error("a worker of stage `{stage}` {exit} before it did anything")]
    WorkerDied {
        /// The stage.
        stage: String,
        /// The key of its environment; none for the base environment.
        environment: Option<String>,
        /// How it ended.
        exit: Exit,
        /// The last lines that it printed.
        log: Vec<String>,
    },

    /// A stage's Python code could not be loaded, or a set-up hook of it raised.
    #[error("stage `{stage}` {}: {error}", phase_text(*phase))]
    WorkerSetup {
        /// The stage.
        stage: String,
        /// How far it came.
        phase: Phase,
        /// The key of its environment; none for the base environment.
        environment: Option<String>,
        /// What was raised.
        error: Box<PythonError>,
        /// The last lines that the worker printed.
        log: Vec<String>,
    },

    /// A set-up hook of a Rust stage failed.
    #[error("stage `{stage}` failed to set up: {cause}")]
    RustSetup {
        /// The stage.
        stage: String,
        /// Why.
        cause: Cause,
    },

    /// A worker does not keep to the protocol.
    #[error("a worker of stage `{stage}` does not keep to the protocol: {problem}")]
    Protocol {
        /// The stage.
        stage: String,
        /// What it did.
        problem: String,
    },

    /// A task failed, and the policy is to stop then.
    #[error("{0}")]
    Task(Box<FailedTask>),

    /// The sink refused an output.
    #[error("the sink refused task {task}")]
    Sink {
        /// The task.
        task: String,
        /// What it said.
        source: BoxError,
    },

    /// An input task cannot travel, or an output of a worker is no JSON.
    #[error("task {task} holds data that is no JSON")]
    Data {
        /// The task.
        task: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },

    /// A worker of Ray cannot live in the environment.
    #[error("the environment has {found}, but the worker is to join {wanted}")]
    WrongRay {
        /// The Ray in the environment.
        found: String,
        /// The Ray of the cluster, on that node.
        wanted: String,
    },

    /// A package of the base that must not move would have to.
    #[error(
        "`{package}` is kept at the base's {version}, but `{requirement}` asks for another{}",
        wanted.as_ref().map(|wanted| format!(" (`{wanted}`)")).unwrap_or_default()
    )]
    Kept {
        /// The package.
        package: String,
        /// The version that the base has.
        version: String,
        /// The requirements of the spec that it would have to move for.
        requirement: String,
        /// What is asked for and by which package, where that is not the requirement itself.
        wanted: Option<String>,
        /// What the package manager said, where it was asked.
        source: Option<Box<installer::Error>>,
    },

    /// A spec cannot be locked: what comes from a folder or a repository has no hash.
    #[error("{} without a hash, so the spec cannot be locked", sources_text(packages))]
    Unlockable {
        /// Their requirements.
        packages: Vec<String>,
    },

    /// An environment that is to be built anew is in use.
    #[error("the answer for environment `{key}` has changed, but it is in use")]
    RefreshInUse {
        /// Its key.
        key: String,
        /// What changes, as `name==version`, with `-` before what goes and `+` before what comes.
        changes: Vec<String>,
    },

    /// The program cannot be started on the nodes of a cluster.
    #[error("this program does not serve as a worker, and a cluster needs one")]
    NoWorkerProgram,

    /// A Rust stage that no other process could make.
    #[error("the Rust stage `{stage}` cannot run on a cluster: no registry has made it")]
    UnregisteredStage {
        /// The stage.
        stage: String,
    },

    /// A registered Rust stage that the worker program does not know.
    #[error("the worker program has no Rust stage `{name}`, which stage `{stage}` is")]
    UnknownRustStage {
        /// The stage.
        stage: String,
        /// Its name in the registry.
        name: String,
    },

    /// A field that Ray cannot serve by itself.
    #[error("Ray has nothing for `{field}` in the runtime_env of stage `{stage}`")]
    NotNative {
        /// The stage.
        stage: String,
        /// The field.
        field: &'static str,
    },

    /// An installer, or another interpreter, in the runtime env of a whole job.
    #[error(
        "`{field}` in the runtime env of the job would reach every stage, with or without its own"
    )]
    JobInstaller {
        /// The field.
        field: String,
    },

    /// A setting of a connection or an engine has a value that it cannot have.
    #[error("`{setting}` {problem}")]
    EngineSetting {
        /// The setting.
        setting: String,
        /// What is wrong with it.
        problem: String,
    },

    /// The base lacks what an engine needs.
    #[error("{engine} needs `{requirement}` in the base, which has {found}")]
    EngineMissing {
        /// The engine.
        engine: String,
        /// The requirement to add to the base.
        requirement: String,
        /// What is there: `none`, or a version.
        found: String,
    },

    /// An engine failed, in its own words.
    #[error("the engine failed: {words}")]
    Engine {
        /// What it said first.
        words: String,
        /// All that it said.
        log: Vec<String>,
    },

    /// The process that drives an engine ended, or could not be started.
    #[error("the driver of {engine} {problem}")]
    Driver {
        /// The engine.
        engine: String,
        /// What happened to it.
        problem: String,
        /// The last lines that it printed.
        log: Vec<String>,
    },

    /// Something failed on a node of a cluster.
    #[error("{message}")]
    OnNode {
        /// The stages that it is about; empty if it is about none, or all.
        stages: Vec<String>,
        /// What failed.
        message: String,
        /// Why.
        source: Option<BoxError>,
        /// What would overflow a message.
        detail: Option<String>,
        /// What to do about it.
        hint: Option<String>,
    },

    /// A folder that a run would write into is somebody else's. Nothing in it was touched.
    #[error("`{}` is no {what}: it holds `{}`", dir.display(), found.display())]
    NotOurs {
        /// What it should have been.
        what: &'static str,
        /// The folder.
        dir: PathBuf,
        /// A name in it.
        found: OsString,
    },

    /// Another run has the checkpoint open.
    #[error("the checkpoint `{}` is in use", dir.display())]
    CheckpointInUse {
        /// Its folder.
        dir: PathBuf,
    },

    /// The checkpoint is of another pipeline, or of one whose code, packages or settings were others.
    #[error("the checkpoint `{}` is of another pipeline: {difference}", dir.display())]
    OtherPipeline {
        /// Its folder.
        dir: PathBuf,
        /// What differs.
        difference: String,
    },

    /// The checkpoint has finished another task than the one that was handed in now.
    #[error("input task {index} is not the one that was finished under the checkpoint")]
    OtherInput {
        /// The task's number, from 0.
        index: u64,
    },

    /// The checkpoint has finished tasks that are not handed in any more.
    #[error("the checkpoint has finished input task {}, and the input has only {now}", finished - 1)]
    ShorterInput {
        /// How many tasks there were at least.
        finished: u64,
        /// How many there are now.
        now: u64,
    },

    /// A stage or the base asks for other packages than when the record was made.
    #[error("{owner} asks for other packages than in the recorded run")]
    OtherSpec {
        /// The stage, or the base.
        owner: String,
    },

    /// What a package of the recorded run came from holds something else, or is gone.
    #[error("`{package}` of {owner} came from `{}`, which is not what it was in the recorded run", path.display())]
    SourceChanged {
        /// The stage, or the base.
        owner: String,
        /// The package.
        package: String,
        /// The folder or archive.
        path: PathBuf,
    },

    /// A record is of another platform.
    #[error("the recorded run was on {then}, and this is {now}")]
    OtherPlatform {
        /// The platform of the record.
        then: String,
        /// This one.
        now: String,
    },

    /// An environment does not hold what it held in the recorded run.
    #[error("{owner} is not what it was in the recorded run: {difference}")]
    NotReproduced {
        /// Which one.
        owner: String,
        /// What differs; `-` before what was there, `+` before what is.
        difference: String,
    },

    /// An executor gave a task without telling what it was made of.
    #[error("executor `{executor}` does not tell what task {task} was made of")]
    Unfollowed {
        /// The executor.
        executor: String,
        /// The task.
        task: String,
    },

    /// The operating system refused something.
    #[error("failed to {action} `{what}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it was tried on.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn pipeline(source: stage::Error) -> Self {
        Self::Pipeline { source: Box::new(source) }
    }

    pub(crate) fn io(action: &'static str, what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { action, what: what.into(), source }
    }

    /// What fails where the system gives no more threads.
    const THREAD: &str = "start a thread for";

    pub(crate) fn no_thread(source: io::Error) -> Self {
        Self::io(Self::THREAD, "the run", source)
    }

    pub(crate) fn cache(source: venv_cache::Error) -> Self {
        Self::Cache(Box::new(source))
    }

    pub(crate) fn install(source: installer::Error) -> Self {
        Self::Install(Box::new(source))
    }

    /// The stages that this is about, by their names; empty if it is about none, or all.
    pub fn stages(&self) -> Vec<&str> {
        match self {
            Self::Task(failed) => vec![&failed.stage],
            Self::Environment { stages, .. } | Self::OnNode { stages, .. } => {
                stages.iter().map(String::as_str).collect()
            }
            Self::EngineField { stage, .. }
            | Self::NoDevice { stage, .. }
            | Self::NoCode { stage, .. }
            | Self::WrongEnvironment { stage, .. }
            | Self::DeclaredEnv { stage, .. }
            | Self::DeclareLiterally { stage, .. }
            | Self::ForbiddenDeclaration { stage, .. }
            | Self::Worker { stage, .. }
            | Self::WorkerDied { stage, .. }
            | Self::WorkerSetup { stage, .. }
            | Self::RustSetup { stage, .. }
            | Self::Protocol { stage, .. }
            | Self::UnregisteredStage { stage }
            | Self::UnknownRustStage { stage, .. }
            | Self::NotNative { stage, .. } => vec![stage],
            _ => Vec::new(),
        }
    }

    /// The same, said of these stages.
    pub(crate) fn of_stages(self, stages: Vec<String>) -> Self {
        match self {
            // These say it already.
            Self::Spec { .. } | Self::EngineField { .. } | Self::Environment { .. } => self,
            source => Self::Environment { stages, source: Box::new(source) },
        }
    }
}

fn markers_text(markers: &[String]) -> String {
    let markers: Vec<_> = markers.iter().map(|it| format!("`{it}`")).collect();
    if markers.is_empty() { "no marker at all".to_owned() } else { markers.join(", ") }
}

fn stages_text(stages: &[String]) -> String {
    let names: Vec<String> = stages.iter().map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "the base".to_owned(),
        1 => format!("stage {}", names[0]),
        _ => format!("stages {}", names.join(", ")),
    }
}

fn sources_text(packages: &[String]) -> String {
    let names: Vec<String> = packages.iter().map(|name| format!("`{name}`")).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "cannot be loaded",
        Phase::Setup => "failed to set up",
    }
}

const _: () = {
    const fn ok<T: Send + Sync + 'static>() {}
    ok::<Error>();
};
