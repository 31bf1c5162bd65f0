//! A pipeline as its user puts it together.

use std::path::{Path, PathBuf};

use envspec::RuntimeEnv;

use super::base::Base;
use super::composite::PipelineStage;

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
}
