//! Errors of a run, by what the caller can do next.
//!
//! Long because it is one enum: the fields of each error, and its message. `advice` has
//! the hints, `report` the text for people.

mod advice;
mod owner;
mod report;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use stage::BoxError;

use super::failure::{Cause, FailedTask};
use super::python_error::PythonError;
use crate::worker::Exit;
use crate::worker::wire::Phase;

pub use owner::Owner;
pub use report::Report;
pub(crate) use report::Words;

/// Why a pipeline could not run to its end.
///
/// The message never contains its cause; walk [`source`](std::error::Error::source) to print the
/// chain. [`hint`](Self::hint) returns advice, and [`detail`](Self::detail) tracebacks and log
/// lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pipeline itself is invalid.
    #[error("the pipeline cannot be run")]
    Pipeline {
        /// The fault in it.
        source: Box<stage::Error>,
    },

    /// A `runtime_env` is invalid, or a file that it names cannot be read.
    #[error("the runtime_env of {owner} cannot be used")]
    Spec {
        /// Its owner.
        owner: Owner,
        /// The fault in it.
        source: Box<envspec::Error>,
    },

    /// A field of a `runtime_env` that only Ray can serve, on an executor without Ray, or for an
    /// environment outside of a run.
    #[error("the field `{field}` of the runtime_env of {owner} needs one of the Ray executors")]
    EngineField {
        /// Its owner.
        owner: Owner,
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
        /// The devices that it asks for: `1 GPU`.
        wanted: String,
        /// The number of devices on this machine.
        there: usize,
    },

    /// A stage's Python file is missing, or does not define the stage's name.
    #[error("the code of stage `{stage}`, `{}`, {problem}", path.display())]
    NoCode {
        /// The stage.
        stage: String,
        /// Its file.
        path: PathBuf,
        /// The fault in it.
        problem: String,
    },

    /// `working_dir` or `py_modules` name a path that is missing here.
    #[error("`{field}` names `{}`, which is {found}", path.display())]
    NoFolder {
        /// The field.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// The fault: `not there`, `no folder`.
        found: &'static str,
    },

    /// `py_executable` is not a command line.
    #[error("`py_executable` is `{command}`, which is no command line")]
    PyExecutable {
        /// Its text, without credentials.
        command: String,
    },

    /// A file that a spec names requires another Python than that of its environment.
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

    /// The environment of some stages is not available.
    #[error("no environment for {}", stages_text(stages))]
    Environment {
        /// The stages; empty for the base of all.
        stages: Vec<String>,
        /// The cause.
        source: Box<Self>,
    },

    /// The environment cache failed, or the base cannot be used.
    #[error(transparent)]
    Cache(Box<venv_cache::Error>),

    /// The package manager failed.
    #[error(transparent)]
    Install(Box<installer::Error>),

    /// The package manager succeeded, but a requested package is missing.
    #[error("the package manager reported success, but `{requirement}` {problem}")]
    Misinstalled {
        /// The requirement.
        requirement: String,
        /// The fault.
        problem: String,
    },

    /// A package came from a folder or an archive of this machine that the spec does not name.
    #[error(
        "`{package}` came from `{place}`, which the build of another package named: no key tells what is there"
    )]
    UnknownPlace {
        /// The package.
        package: String,
        /// Its folder or archive.
        place: String,
    },

    /// `pip_check` or `uv_check` found packages whose requirements are not met.
    #[error("the packages do not fit together: {}", conflicts.join("; "))]
    Conflicts {
        /// Each conflict that the base does not have, in the tool's words.
        conflicts: Vec<String>,
    },

    /// The base has Ray, and the environment can no longer import it.
    #[error("with {} in the environment, Ray cannot be imported: {words}", added.join(", "))]
    RayBroken {
        /// The installed packages.
        added: Vec<String>,
        /// The last line of the traceback.
        words: String,
    },

    /// A build was cancelled because the run had ended.
    #[error("the environment was given up, since the run had ended")]
    Stopped,

    /// Another program installed into the base while an environment was being built over it.
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
        /// The difference.
        mismatch: String,
    },

    /// A stage's code declares another `runtime_env` than the plan has.
    #[error(
        "the code of stage `{stage}` declares the runtime_env {declared}, and the plan has {planned}"
    )]
    DeclaredEnv {
        /// The stage.
        stage: String,
        /// The declaration of its code, as JSON, without credentials.
        declared: String,
        /// The plan's value, in the same form.
        planned: String,
    },

    /// The environment that a stage's class declares cannot be determined before it exists.
    #[error(
        "the runtime_env that the code of stage `{stage}` declares is no literal, and the code does \
         not run in the base: {problem}"
    )]
    DeclareLiterally {
        /// The stage.
        stage: String,
        /// The module that the base lacks, if known.
        missing: Option<String>,
        /// The fault.
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
        /// The declaration of its code, as JSON, without credentials.
        declared: String,
    },

    /// A worker process could not be started.
    #[error("failed to {action} for stage `{stage}`")]
    Worker {
        /// The failed action.
        action: &'static str,
        /// The stage.
        stage: String,
        /// The operating system's error.
        source: io::Error,
    },

    /// A worker ended while it started, or before its first task.
    #[error("a worker of stage `{stage}` {exit} before it did anything")]
    WorkerDied {
        /// The stage.
        stage: String,
        /// The key of its environment; none for the base environment.
        environment: Option<String>,
        /// How its process ended.
        exit: Exit,
        /// The last lines that it printed.
        log: Vec<String>,
    },

    /// A stage's Python code could not be loaded, or one of its set-up hooks raised.
    #[error("stage `{stage}` {}: {error}", phase_text(*phase))]
    WorkerSetup {
        /// The stage.
        stage: String,
        /// The phase that failed.
        phase: Phase,
        /// The key of its environment; none for the base environment.
        environment: Option<String>,
        /// The exception.
        error: Box<PythonError>,
        /// The last lines that the worker printed.
        log: Vec<String>,
    },

    /// A set-up hook of a Rust stage failed.
    #[error("stage `{stage}` failed to set up: {cause}")]
    RustSetup {
        /// The stage.
        stage: String,
        /// The cause.
        cause: Cause,
    },

    /// A worker violates the protocol.
    #[error("a worker of stage `{stage}` does not keep to the protocol: {problem}")]
    Protocol {
        /// The stage.
        stage: String,
        /// The violation.
        problem: String,
    },

    /// A task failed under the policy to stop at the first failure.
    #[error("{0}")]
    Task(Box<FailedTask>),

    /// The sink refused an output.
    #[error("the sink refused task {task}")]
    Sink {
        /// The task.
        task: String,
        /// The sink's error.
        source: BoxError,
    },

    /// An input task cannot be sent, or an output of a worker is not JSON.
    #[error("task {task} holds data that is no JSON")]
    Data {
        /// The task.
        task: String,
        /// The fault in it.
        source: serde_json::Error,
    },

    /// A worker of Ray cannot run in the environment.
    #[error("the environment has {found}, but the worker is to join {wanted}")]
    WrongRay {
        /// The Ray in the environment.
        found: String,
        /// The Ray of the cluster, on that node.
        wanted: String,
    },

    /// A base package that must not change would have to.
    #[error(
        "`{package}` is kept at the base's {version}, but `{requirement}` asks for another{}",
        wanted.as_ref().map(|wanted| format!(" (`{wanted}`)")).unwrap_or_default()
    )]
    Kept {
        /// The package.
        package: String,
        /// The version that the base has.
        version: String,
        /// The requirements of the spec that would change it.
        requirement: String,
        /// The conflicting requirement and its package, if it is not the spec's own.
        wanted: Option<String>,
        /// The package manager's error, if it was asked.
        source: Option<Box<installer::Error>>,
    },

    /// A spec cannot be locked: a package from a folder or a repository has no hash.
    #[error("{} without a hash, so the spec cannot be locked", sources_text(packages))]
    Unlockable {
        /// Their requirements.
        packages: Vec<String>,
    },

    /// An environment that is to be rebuilt is in use.
    #[error("the answer for environment `{key}` has changed, but it is in use")]
    RefreshInUse {
        /// Its key.
        key: String,
        /// The changes, as `name==version`, with `-` for a removed and `+` for an added package.
        changes: Vec<String>,
    },

    /// The program cannot be started on the nodes of a cluster.
    #[error("this program does not serve as a worker, and a cluster needs one")]
    NoWorkerProgram,

    /// A Rust stage that no other process can create.
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

    /// A field that Ray itself cannot serve.
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

    /// A setting of a connection or an engine has an invalid value.
    #[error("`{setting}` {problem}")]
    EngineSetting {
        /// The setting.
        setting: String,
        /// The fault in it.
        problem: String,
    },

    /// The base lacks a package that an engine needs.
    #[error("{engine} needs `{requirement}` in the base, which has {found}")]
    EngineMissing {
        /// The engine.
        engine: String,
        /// The requirement to add to the base.
        requirement: String,
        /// The version in the base: `none`, or a version.
        found: String,
    },

    /// An engine failed, in its own words.
    #[error("the engine failed: {words}")]
    Engine {
        /// Its first message.
        words: String,
        /// All its messages.
        log: Vec<String>,
    },

    /// The process that drives an engine ended, or could not be started.
    #[error("the driver of {engine} {problem}")]
    Driver {
        /// The engine.
        engine: String,
        /// How it ended, or why it did not start.
        problem: String,
        /// The last lines that it printed.
        log: Vec<String>,
    },

    /// A failure on a node of a cluster.
    #[error("{message}")]
    OnNode {
        /// Its stages; empty for none or all.
        stages: Vec<String>,
        /// The message.
        message: String,
        /// The cause.
        source: Option<BoxError>,
        /// Details that would overflow a message.
        detail: Option<String>,
        /// The way out.
        hint: Option<String>,
    },

    /// A destination folder of a run belongs to another program. Nothing in it was touched.
    #[error("`{}` is no {what}: it holds `{}`", dir.display(), found.display())]
    NotOurs {
        /// What the folder should have been.
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

    /// The checkpoint is of another pipeline, or of one with other code, packages or settings.
    #[error("the checkpoint `{}` is of another pipeline: {difference}", dir.display())]
    OtherPipeline {
        /// Its folder.
        dir: PathBuf,
        /// The difference.
        difference: String,
    },

    /// The checkpoint has finished another task than the one that is handed in now.
    #[error("input task {index} is not the one that was finished under the checkpoint")]
    OtherInput {
        /// The task's number, from 0.
        index: u64,
    },

    /// The checkpoint has finished tasks that are no longer handed in.
    #[error("the checkpoint has finished input task {}, and the input has only {now}", finished - 1)]
    ShorterInput {
        /// The least number of tasks in earlier runs.
        finished: u64,
        /// The number of tasks now.
        now: u64,
    },

    /// A stage or the base asks for other packages than in the recorded run.
    #[error("{owner} asks for other packages than in the recorded run")]
    OtherSpec {
        /// The stage, or the base.
        owner: Owner,
    },

    /// The source of a recorded package has other contents now, or is gone.
    #[error("`{package}` of {owner} came from `{}`, which is not what it was in the recorded run", path.display())]
    SourceChanged {
        /// The stage, or the base.
        owner: Owner,
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
        /// The platform of this machine.
        now: String,
    },

    /// An environment differs from that of the recorded run.
    #[error("{} is not what it was in the recorded run: {difference}", owner.environment())]
    NotReproduced {
        /// The stage, or the base.
        owner: Owner,
        /// The difference: `-` for what was there, `+` for what is there now.
        difference: String,
    },

    /// An executor returned a task without its sources.
    #[error("executor `{executor}` does not tell what task {task} was made of")]
    Unfollowed {
        /// The executor.
        executor: String,
        /// The task.
        task: String,
    },

    /// The operating system refused an operation.
    #[error("failed to {action} `{what}`")]
    Io {
        /// The failed action.
        action: &'static str,
        /// Its object.
        what: String,
        /// The operating system's error.
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

    /// The action that fails when the system allows no more threads.
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

    /// Returns the names of its stages; empty for none or all.
    pub fn stages(&self) -> Vec<&str> {
        match self {
            Self::Task(failed) => vec![&failed.stage],
            Self::Environment { stages, .. } | Self::OnNode { stages, .. } => {
                stages.iter().map(String::as_str).collect()
            }
            Self::NoDevice { stage, .. }
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
            Self::Pipeline { source } => source.stage().into_iter().collect(),
            Self::Spec { owner, .. }
            | Self::OtherSpec { owner }
            | Self::EngineField { owner, .. } => owner.stage().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Adds these stages to the error.
    pub(crate) fn of_stages(self, stages: Vec<String>) -> Self {
        match self {
            // These name their stages already.
            Self::Spec { .. }
            | Self::EngineField { owner: Owner::Stage(_) | Owner::Base, .. }
            | Self::Environment { .. } => self,
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
