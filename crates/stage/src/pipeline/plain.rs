//! A pipeline as its user puts it together.

use std::path::{Path, PathBuf};

use envspec::RuntimeEnv;

use super::built::effective_runtime_env;
use super::{Base, BuiltPipeline, PipelineFile, describe, file};
use crate::{AnyStage, CompositeStage, Error, PythonStage, RustStage};

/// Stages in a row, and what they have in common.
///
/// Plain data: nothing is checked before it is [built](Self::build), and stages given to it are
/// never changed.
///
/// ```
/// use envspec::RuntimeEnv;
/// use stage::{Pipeline, PythonStage};
///
/// let record = PythonStage::from_file("stages.py", "Record");
/// let pipeline = Pipeline::new("two_versions")
///     .with_stage(record.clone().with_name("base_env"))
///     .with_stage(record.with_name("pinned").with_runtime_env(RuntimeEnv::uv(["attrs==24.2.0"])));
/// assert_eq!(pipeline.build()?.stages().len(), 2);
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Pipeline {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) stages: Vec<PipelineStage>,
    pub(super) runtime_env: Option<RuntimeEnv>,
    pub(super) base: Option<Base>,
    pub(super) dir: Option<PathBuf>,
}

/// What a pipeline is made of: a stage, or one that stands for several.
#[derive(Clone, Debug, PartialEq)]
pub enum PipelineStage {
    /// A stage.
    One(Box<AnyStage>),
    /// A stage that stands for several.
    Composite(CompositeStage),
}

impl Pipeline {
    /// A pipeline without stages.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            stages: Vec::new(),
            runtime_env: None,
            base: None,
            dir: None,
        }
    }

    /// Reads the pipeline of a pipeline file in TOML. How the file would have it run is left to
    /// whoever runs it: [`PipelineFile`] tells that too.
    ///
    /// Fails with [`Error::File`] at the line and column of what is wrong.
    pub fn from_toml(text: &str, dir: impl Into<PathBuf>) -> Result<Self, Error> {
        PipelineFile::from_toml(text, dir).map(|file| file.pipeline())
    }

    /// Writes a pipeline file, with everything that is in it: values of `env_vars` and arguments
    /// may be secret.
    ///
    /// Composite stages are written as what they stand for, and the pipeline's folder is not
    /// written. Fails as [`build`](Self::build) does, with [`Error::RustCode`] for a stage in Rust,
    /// with [`Error::Setting`] for code that has no text form (a path that is not Unicode), and with
    /// [`Error::ToFile`] for values that TOML does not have (`null` within arguments).
    pub fn to_toml(&self) -> Result<String, Error> {
        file::write(self)
    }

    /// The same with some words on what it does. By default, none.
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// The same with one more stage at the end.
    pub fn with_stage(mut self, stage: impl Into<PipelineStage>) -> Self {
        self.stages.push(stage.into());
        self
    }

    /// The same with more stages at the end.
    pub fn with_stages<I: IntoIterator<Item: Into<PipelineStage>>>(mut self, stages: I) -> Self {
        self.stages.extend(stages.into_iter().map(Into::into));
        self
    }

    /// The same with a default environment for its stages, replaced whole. By default, there is
    /// none.
    pub fn with_runtime_env(self, runtime_env: RuntimeEnv) -> Self {
        Self { runtime_env: Some(runtime_env), ..self }
    }

    /// The same with no default environment.
    pub fn without_runtime_env(self) -> Self {
        Self { runtime_env: None, ..self }
    }

    /// The same on another base. By default, the executor finds one (`$VIRTUAL_ENV`, else
    /// `python3`).
    pub fn with_base(self, base: impl Into<Base>) -> Self {
        Self { base: Some(base.into()), ..self }
    }

    /// The same with a folder that relative paths are relative to. By default, the current one when
    /// it runs.
    pub fn with_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..self }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Some words on what it does, if it has any.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// What it is made of; [`build`](Self::build) gives the stages that these stand for.
    #[must_use]
    pub fn stages(&self) -> &[PipelineStage] {
        &self.stages
    }

    /// The default environment of its stages, if it has one.
    #[must_use]
    pub fn runtime_env(&self) -> Option<&RuntimeEnv> {
        self.runtime_env.as_ref()
    }

    /// The base that it asks for, if it does.
    #[must_use]
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// The folder that relative paths are relative to, if it is set.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Expands composite stages and checks everything that can be checked without running it.
    ///
    /// There is a stage, names differ, all settings make sense
    /// ([`Settings::check`](crate::Settings::check)), and what a stage declares to need is declared
    /// by a stage before it. The last holds only as far as declarations go: keys that the first
    /// stage needs are there, a stage adds its outputs, and behind a stage that declares no outputs
    /// anything may be there.
    pub fn build(&self) -> Result<BuiltPipeline, Error> {
        BuiltPipeline::new(self)
    }

    /// The environment that a stage runs in: its own over the default.
    ///
    /// A stage without one has the default; a stage with an empty one has none, whatever the
    /// default is; otherwise `env_vars` are merged by name and other fields replaced. An empty
    /// result is the base environment.
    pub fn effective_runtime_env(&self, stage: &AnyStage) -> RuntimeEnv {
        effective_runtime_env(stage.settings().runtime_env.as_ref(), self.runtime_env.as_ref())
    }

    /// A text that shows the stages with all their settings, and what is wrong if it cannot be
    /// built.
    ///
    /// Values of variables and arguments whose names look secret are hidden, and credentials are
    /// cut from URLs.
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe(self)
    }
}

impl From<AnyStage> for PipelineStage {
    fn from(stage: AnyStage) -> Self {
        Self::One(Box::new(stage))
    }
}

impl From<PythonStage> for PipelineStage {
    fn from(stage: PythonStage) -> Self {
        AnyStage::from(stage).into()
    }
}

impl From<RustStage> for PipelineStage {
    fn from(stage: RustStage) -> Self {
        AnyStage::from(stage).into()
    }
}

impl From<CompositeStage> for PipelineStage {
    fn from(stage: CompositeStage) -> Self {
        Self::Composite(stage)
    }
}
