//! A pipeline as its user composes it.

use std::path::{Path, PathBuf};

use envspec::RuntimeEnv;

use super::base::BaseSpec;
use super::composite::PipelineStage;

/// A sequence of stages, and their common settings.
///
/// Plain data: nothing is checked before it is [built](Self::build), and the stages that it is
/// given never change.
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
    pub(super) base: Option<BaseSpec>,
    pub(super) dir: Option<PathBuf>,
}

impl Pipeline {
    /// Creates a pipeline without stages.
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

    /// Sets a short description of the pipeline. Default: none.
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// Adds a stage at the end.
    pub fn with_stage(mut self, stage: impl Into<PipelineStage>) -> Self {
        self.stages.push(stage.into());
        self
    }

    /// Adds stages at the end.
    pub fn with_stages<I: IntoIterator<Item: Into<PipelineStage>>>(mut self, stages: I) -> Self {
        self.stages.extend(stages.into_iter().map(Into::into));
        self
    }

    /// Sets the default environment of its stages, replaced as a whole. Default: none.
    pub fn with_runtime_env(self, runtime_env: RuntimeEnv) -> Self {
        Self { runtime_env: Some(runtime_env), ..self }
    }

    /// Removes the default environment.
    pub fn without_runtime_env(self) -> Self {
        Self { runtime_env: None, ..self }
    }

    /// Sets the base. Default: the executor finds one (`$VIRTUAL_ENV`, else `python3`).
    pub fn with_base(self, base: impl Into<BaseSpec>) -> Self {
        Self { base: Some(base.into()), ..self }
    }

    /// Sets the folder that relative paths are relative to. Default: the current folder of the run.
    pub fn with_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..self }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the short description, if it has one.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns its parts; [`build`](Self::build) returns the stages that these stand for.
    #[must_use]
    pub fn stages(&self) -> &[PipelineStage] {
        &self.stages
    }

    /// Returns the default environment of its stages, if it has one.
    #[must_use]
    pub fn runtime_env(&self) -> Option<&RuntimeEnv> {
        self.runtime_env.as_ref()
    }

    /// Returns the base that it asks for, if any.
    #[must_use]
    pub fn base(&self) -> Option<&BaseSpec> {
        self.base.as_ref()
    }

    /// Returns the folder that relative paths are relative to, if set.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}
