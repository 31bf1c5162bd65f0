//! The way out of each error.

use std::borrow::Cow;
use std::io::ErrorKind;

use super::Error;
use crate::worker::wire::Phase;

impl Error {
    /// Returns the way out for the reader of the message, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Pipeline { source } => source.hint(),
            Self::Spec { source, .. } => source.hint(),
            Self::Environment { source, .. } => source.hint(),
            Self::Cache(source) => source.hint(),
            Self::Install(source) => source.hint(),
            Self::OnNode { hint, .. } => hint.as_deref().map(Cow::Borrowed),
            Self::RequiresPython { .. } => Some(
                "use a base with such a Python (`base = \"path/to/python\"`, `--base`), or correct the \
                 field"
                    .into(),
            ),
            Self::MadeForOthers { .. } => Some(
                "lock its packages for this one (`curator env lock`), or use a base that it is for"
                    .into(),
            ),
            Self::EngineMissing { requirement, .. } => {
                Some(format!("add `{requirement}` to the base").into())
            }
            Self::WorkerSetup { phase, error, .. } => {
                setup_hint(*phase, &error.kind).map(Into::into)
            }
            Self::Task(failed) => failed.cause.hint(),
            Self::Io { source, .. } | Self::Worker { source, .. }
                if files::Untrusted::of(source).is_some() =>
            {
                files::Untrusted::of(source)?.hint()
            }
            Self::Io { source, .. } | Self::Worker { source, .. }
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                Some("free some space on that disk, and run again".into())
            }
            _ => self.advice().map(Into::into),
        }
    }

    /// Returns the hint of an error whose hint does not depend on its fields.
    fn advice(&self) -> Option<&'static str> {
        let text = match self {
            Self::EngineField { .. } => {
                "run the pipeline on a Ray executor, or leave the field out"
            }
            Self::NoCode { .. } => {
                "a stage's code is `file.py:Name`; the file is looked for from the folder of the \
                 pipeline file, or of the program's pipeline (`with_dir`)"
            }
            Self::NoDevice { .. } => {
                "run it where they are, or ask for fewer in the stage's `resources`; a run that is \
                 told which there are makes do with these, or with none (`devices = []` in the file's \
                 `[engine]`, `--set engine.devices=[]`, `LocalExecutor::with_devices`)"
            }
            Self::NoFolder { .. } => {
                "correct the path, which starts at the folder of the file that names it; archives \
                 and URLs need one of the Ray executors"
            }
            Self::PyExecutable { .. } => {
                "quote it as in a shell, or name an interpreter with `python`"
            }
            Self::EmptyManagedBase => "name a package, or use an interpreter as the base",
            Self::Misinstalled { .. } => {
                "the package's metadata may not say what it installs; run the package manager by \
                 hand to see what it does"
            }
            Self::UnknownPlace { .. } => {
                "write the address out in the `pyproject.toml`, `setup.cfg` or `setup.py` of the \
                 project that depends on it, or build a wheel and name that"
            }
            Self::Conflicts { .. } => "ask for versions that fit together, or leave the check out",
            Self::RayBroken { .. } => {
                "keep the packages that Ray needs as the base has them, by `keep` or `constraints`"
            }
            Self::WrongRay { .. } => {
                "give as the base (`--base`) the environment that Ray itself runs in"
            }
            Self::Kept { package, .. } if package == "ray" => {
                "a worker needs the Ray of its cluster: ask for a version of the package that fits \
                 it, or change the base"
            }
            Self::Kept { .. } => {
                "ask for a version that fits the base's, take the name out of `keep`, or change the \
                 base"
            }
            Self::Unlockable { .. } => {
                "build wheels of these (`pip wheel`) and name those, or leave the spec unlocked"
            }
            Self::NotOurs { .. } => "name a folder that is empty or does not exist yet",
            Self::CheckpointInUse { .. } => "wait for the run that uses it, or name another folder",
            Self::OtherPipeline { .. } | Self::OtherInput { .. } | Self::ShorterInput { .. } => {
                "name another folder for the checkpoint to begin anew; or accept what has changed \
                 (`--checkpoint-accept-changes`, `Checkpoint::open_changed`), and keep what is \
                 finished as it is"
            }
            Self::OtherSpec { .. } => {
                "run without the record, or with the pipeline as it was; what it had is in the \
                 record"
            }
            Self::SourceChanged { .. } => {
                "put back what it held then (a version control system may have it), or run without \
                 `--locked` and record again"
            }
            Self::OtherPlatform { .. } => "a record holds for the platform that it was made on",
            Self::NotReproduced { .. } => {
                "use the base of the recorded run; a managed base is a part of the record"
            }
            Self::Unfollowed { .. } => "run without a checkpoint on this executor",
            Self::RefreshInUse { .. } => "end what runs in it, and refresh again",
            Self::StaleLinks { .. } => {
                "ask for it by its spec, which builds it over the base as it is now; `curator env \
                 remove KEY` frees the old one"
            }
            Self::BaseChanged { .. } => "run again when no other program installs into the base",
            Self::WrongEnvironment { .. } => {
                "look for a `sitecustomize`, a `.pth` file or a variable that leads the interpreter \
                 elsewhere; if the environment was changed by hand, remove it from the cache"
            }
            Self::NoWorkerProgram => {
                "make `curator::worker::serve_if_asked` the first line of `main`, or name a program \
                 that does so, such as the command `curator`, by `with_worker_program`"
            }
            Self::UnregisteredStage { .. } => {
                "register it by `Registry::with` and make it by `Registry::stage`"
            }
            Self::UnknownRustStage { .. } => {
                "give `serve_if_asked` the registry that made the stage"
            }
            Self::NotNative { .. } => "let the environment come from the cache: `RayEnv::Cached`",
            Self::JobInstaller { .. } => {
                "give it to the pipeline as its default runtime_env, which a stage can replace or \
                 leave"
            }
            Self::WorkerDied { .. } => "the worker's last lines tell why",
            Self::Io { action, .. } if *action == Self::THREAD => {
                "the limit of processes and threads is reached: raise it (`ulimit -u`, or the \
                 container's), or end others"
            }
            _ => return self.advice_on_declarations(),
        };
        Some(text)
    }

    /// Returns the hint of an error about the declarations of a stage's code.
    fn advice_on_declarations(&self) -> Option<&'static str> {
        Some(match self {
            Self::DeclareLiterally { missing: Some(_), .. } => {
                "declare it literally (`runtime_env = {\"uv\": [\"…\"]}` in the class), or import the \
                 module in the methods that need it, or set `runtime_env` in the stage's entry"
            }
            Self::DeclareLiterally { .. } => {
                "declare it literally (`runtime_env = {\"uv\": [\"…\"]}` in the class), or set \
                 `runtime_env` in the stage's entry in the pipeline"
            }
            Self::ForbiddenDeclaration { .. } => {
                "take it out of the code, or set `declared` of the stage to `use` or `ignore`"
            }
            Self::DeclaredEnv { .. } => {
                "run it again if the code determines it anew each time, since it is asked again; else \
                 set `runtime_env` in the stage's entry in the pipeline, to what its code declares or \
                 to what it is to run with (`{}` is the base environment)"
            }
            _ => return None,
        })
    }
}

/// Returns the hint for a stage's code that raised this kind of exception before the first task.
fn setup_hint(phase: Phase, kind: &str) -> Option<&'static str> {
    match (phase, kind) {
        (_, "ModuleNotFoundError") => Some(
            "add the package to the stage's runtime_env or to the base; a module of your own must \
             lie beside the stage's file, or in `py_modules` or `working_dir`",
        ),
        (Phase::Load, "FileNotFoundError") => Some(
            "a stage's file is looked for from the folder of the pipeline file, or of the \
             program's pipeline (`with_dir`)",
        ),
        _ => None,
    }
}
