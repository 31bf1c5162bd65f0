//! A pipeline made ready to run: checked, expanded, and with the contents of all files that its
//! specs refer to. These files are not read again.

mod answers;
mod named_files;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envspec::{Install, LoadedEnv, RuntimeEnv, Tool, names_packages};
use stage::{
    AnyStage, BaseSpec, Behaviour, BuiltPipeline, Declared, DeclaredSetting, Pipeline, PythonCode,
    PythonSource, Settings, Source, declarable,
};

use super::DiskSource;
use super::classes::may_declare;
use super::declared::PlannedSettings;
use super::error::{Error, Owner};
use super::noting::Noting;

/// A pipeline made ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    name: String,
    stages: Vec<PlannedStage>,
    base: Option<PlannedBase>,
    /// The pipeline that it was made from; none if the stages were made ready elsewhere.
    built: Option<Box<BuiltPipeline>>,
    /// Stages whose code may declare settings that the plan does not have yet.
    unread: Vec<usize>,
    /// The lists of packages that its specs were read from.
    lists: BTreeSet<PathBuf>,
}

/// A base with the contents of all files that it refers to.
#[derive(Clone, Debug)]
pub(crate) enum PlannedBase {
    Python(PathBuf),
    Managed(Box<LoadedEnv>),
}

impl PlannedBase {
    /// Reads the files that a base refers to from disk; relative paths are relative to `dir`.
    ///
    /// In a base, `python` beside packages is the interpreter below them; alone, it is the base
    /// itself.
    pub(crate) fn load(base: &BaseSpec, dir: &Path) -> Result<Self, Error> {
        Self::load_from(&DiskSource, base, dir)
    }

    fn load_from(source: &dyn envspec::Source, base: &BaseSpec, dir: &Path) -> Result<Self, Error> {
        let env = match base {
            BaseSpec::Python(path) => return Ok(Self::Python(dir.join(path))),
            BaseSpec::Managed(env) => env,
        };
        let python = env.python_path().map(|path| dir.join(path));
        let mut loaded = load(source, &Owner::Base, &env.clone().without_python(), dir)?;
        match python {
            Some(python) if loaded == LoadedEnv::default() => Ok(Self::Python(python)),
            python => {
                loaded.python = python;
                Ok(Self::Managed(Box::new(loaded)))
            }
        }
    }
}

/// One stage of a plan.
#[derive(Clone, Debug)]
pub struct PlannedStage {
    pub(crate) settings: Settings,
    pub(crate) behaviour: Behaviour,
    /// Its environment's spec; none if the stage runs in the base environment.
    pub(crate) env: Option<LoadedEnv>,
    /// The settings that its code is compared with; none for Rust code.
    pub(crate) wanted: Option<Box<PlannedSettings>>,
    /// The known declarations of its code.
    pub(crate) declared: Vec<DeclaredSetting>,
    /// The file that keeps the declarations of its code.
    pub(crate) kept: Option<PathBuf>,
}

impl Plan {
    /// Checks a pipeline and reads the files that it refers to.
    ///
    /// Relative paths are relative to the pipeline's folder, or, if it has none, to the current
    /// one.
    ///
    /// The plan lacks the declarations of its stages' code until
    /// [`Provisioner::read_declared`](crate::Provisioner::read_declared) reads them; executors call
    /// that.
    pub fn new(pipeline: &Pipeline) -> Result<Self, Error> {
        let built = pipeline.build().map_err(Error::pipeline)?;
        let mut plan = Self::of(built)?;
        let stages = plan.stages.iter().enumerate();
        let unread = stages.filter(|(_, stage)| stage.may_declare());
        plan.unread = unread.map(|(place, _)| place).collect();
        Ok(plan)
    }

    fn of(built: BuiltPipeline) -> Result<Self, Error> {
        let dir = match built.dir() {
            Some(dir) => std::path::absolute(dir),
            None => std::env::current_dir(),
        }
        .map_err(|source| Error::io("find the folder of pipeline", built.name(), source))?;
        let source = Noting::default();
        let base = built.base().map(|base| PlannedBase::load_from(&source, base, &dir));
        let base = base.transpose()?;
        let mut stages = Vec::with_capacity(built.stages().len());
        for stage in built.stages() {
            let effective = built.effective_runtime_env(stage);
            let own = stage.settings().runtime_env.as_ref();
            let effective = match own_block(stage.behaviour(), &dir) {
                // An empty spec opts out of everything.
                Some(block) if own.is_none_or(|own| !own.is_empty() && !own.decides_packages()) => {
                    block.over(&effective)
                }
                _ => effective,
            };
            let env = if effective.is_empty() {
                None
            } else {
                Some(load(&source, &Owner::Stage(stage.name().to_owned()), &effective, &dir)?)
            };
            let settings = stage.settings().clone();
            let wanted = stage.behaviour().as_python().map(|code| {
                Box::new(PlannedSettings {
                    declared: code.declared(),
                    given: given(stage),
                    read: serde_json::Map::new(),
                    read_env: None,
                    default: built.pipeline().runtime_env().cloned().unwrap_or_default(),
                    effective,
                    env: env.clone().unwrap_or_default(),
                    dir: dir.clone(),
                    resources: settings.resources,
                    workers: settings.workers,
                })
            });
            let behaviour = rooted(stage.behaviour(), &dir);
            let declared = stage.declared_settings();
            stages.push(PlannedStage { settings, behaviour, env, wanted, declared, kept: None });
        }
        let name = built.name().to_owned();
        let (built, lists) = (Some(Box::new(built)), source.into_lists());
        Ok(Self { name, stages, base, built, unread: Vec::new(), lists })
    }

    /// Returns whether all possible declarations of its stages' code have been
    /// [read](crate::Provisioner::read_declared).
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Returns the known declarations of its stages' code, and their effect.
    #[must_use]
    pub fn declared(&self) -> Vec<DeclaredSetting> {
        self.stages.iter().flat_map(|stage| stage.declared.clone()).collect()
    }

    /// Returns a text with the stages and all their settings, including those that their code
    /// declares; see [`Pipeline::describe`].
    #[must_use]
    pub fn describe(&self) -> String {
        self.built.as_ref().map(|built| built.pipeline().describe()).unwrap_or_default()
    }

    /// Creates a plan of stages that were made ready elsewhere.
    pub(crate) fn of_stages(stages: Vec<PlannedStage>) -> Self {
        let (name, lists) = (String::new(), BTreeSet::new());
        Self { name, stages, base: None, built: None, unread: Vec::new(), lists }
    }

    /// Returns the plan of one stage alone, over the same base.
    pub(crate) fn only(&self, index: usize) -> Self {
        let stages = vec![self.stages[index].clone()];
        Self {
            name: self.name.clone(),
            stages,
            base: self.base.clone(),
            built: None,
            unread: Vec::new(),
            lists: self.lists.clone(),
        }
    }

    /// Returns the pipeline's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the stages, in order.
    #[must_use]
    pub fn stages(&self) -> &[PlannedStage] {
        &self.stages
    }

    pub(crate) fn set_base(&mut self, base: PlannedBase) {
        self.base = Some(base);
    }

    /// Replaces the packages of the stages, in their order; a stage without a replacement keeps its
    /// own.
    pub(crate) fn set_installs(&mut self, installs: Vec<Option<Install>>) {
        for (stage, install) in self.stages.iter_mut().zip(installs) {
            if let (Some(env), Some(install)) = (&mut stage.env, install) {
                env.install = Some(install);
            }
        }
    }

    pub(crate) fn base(&self) -> Option<&PlannedBase> {
        self.base.as_ref()
    }
}

fn load(
    source: &dyn envspec::Source,
    owner: &Owner,
    env: &RuntimeEnv,
    dir: &Path,
) -> Result<LoadedEnv, Error> {
    env.load(source, dir)
        .map_err(|source| Error::Spec { owner: owner.clone(), source: Box::new(source) })
}

/// Returns the settings that a stage's entry sets.
fn given(stage: &AnyStage) -> BTreeSet<String> {
    let settings = declarable().filter(|setting| *setting != "name");
    settings.filter(|setting| stage.source(setting) == Source::Entry).map(str::to_owned).collect()
}

/// Returns the packages in the block (PEP 723) at the head of a stage's file.
fn own_block(behaviour: &Behaviour, dir: &Path) -> Option<RuntimeEnv> {
    let PythonSource::File(file) = behaviour.as_python()?.source() else { return None };
    let file = dir.join(file);
    // Running the file reports it if it cannot be read.
    let text = files::read_file_text(&file, files::MOST_TEXT).ok()?;
    names_packages(&text).then(|| RuntimeEnv::requirements_file(Tool::Uv, file))
}

/// Returns code with an absolute path, since workers run in other folders.
fn rooted(behaviour: &Behaviour, dir: &Path) -> Behaviour {
    match behaviour {
        Behaviour::Python(code) if matches!(code.source(), PythonSource::File(_)) => {
            Behaviour::Python(PythonCode::within(code.clone(), dir))
        }
        other => other.clone(),
    }
}

impl PlannedStage {
    /// Returns the stage's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns its code: Python or Rust.
    #[must_use]
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// Returns its environment's spec; none if the stage runs in the base environment.
    #[must_use]
    pub fn env(&self) -> Option<&LoadedEnv> {
        self.env.as_ref()
    }

    /// Returns the known declarations of its code, and their effect.
    #[must_use]
    pub fn declared(&self) -> &[DeclaredSetting] {
        &self.declared
    }

    /// Returns whether its code may declare settings. Running the code reports a file that cannot
    /// be read.
    fn may_declare(&self) -> bool {
        let Some(code) = self.behaviour.as_python() else { return false };
        if code.declared() == Declared::Ignore {
            return false;
        }
        let may = |text: &str| may_declare(text, code.name());
        match code.source() {
            PythonSource::File(file) => files::read_file(file, files::MOST_TEXT)
                .is_ok_and(|text| may(&String::from_utf8_lossy(&text))),
            PythonSource::Inline(text) => may(text),
            PythonSource::Module(_) => true,
        }
    }

    /// Returns the devices that a worker needs, as whole ones or a part of one.
    pub(crate) fn gpus(&self) -> f64 {
        // The memory of devices is not queried: NeMo Curator assumes 24 GB then, too.
        self.settings.resources.gpu_share(None)
    }

    /// Returns the number of tasks in a batch.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.settings.batch_size.unwrap_or(1)
    }

    /// Returns whether it needs an interpreter: Python code does, and Rust code with packages of
    /// its own.
    pub(crate) fn needs_python(&self) -> bool {
        self.behaviour.as_python().is_some() || self.env.is_some()
    }
}
