//! A checked pipeline with expanded composite stages, for executors.

use std::collections::BTreeSet;
use std::path::Path;

use envspec::RuntimeEnv;

use super::base::BaseSpec;
use super::composite::{expand_all, positions_by_name};
use super::plain::Pipeline;
use crate::settings::check_name;
use crate::{AnyStage, Error};
use envspec::nearest;

/// A checked pipeline with expanded composite stages, for executors.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltPipeline {
    pipeline: Pipeline,
    stages: Vec<AnyStage>,
}

impl BuiltPipeline {
    fn new(pipeline: &Pipeline) -> Result<Self, Error> {
        check_name("pipeline", &pipeline.name)?;
        let owner = || format!("pipeline `{}`", pipeline.name);
        let stages = expand_all(&pipeline.stages)?;
        if stages.is_empty() {
            return Err(Error::NoStages { owner: owner() });
        }
        stages.iter().try_for_each(AnyStage::check)?;
        positions_by_name(&stages, owner)?;
        check_keys(&stages)?;
        Ok(Self { pipeline: pipeline.clone(), stages })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pipeline.name()
    }

    /// Returns the stages in order, at least one.
    pub fn stages(&self) -> &[AnyStage] {
        &self.stages
    }

    /// Returns the stage of that name, if there is one.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&AnyStage> {
        self.stages.iter().find(|stage| stage.name() == name)
    }

    /// Returns the environment that a stage runs in; see [`Pipeline::effective_runtime_env`].
    pub fn effective_runtime_env(&self, stage: &AnyStage) -> RuntimeEnv {
        self.pipeline.effective_runtime_env(stage)
    }

    /// Returns the base that the pipeline asks for, if any.
    #[must_use]
    pub fn base(&self) -> Option<&BaseSpec> {
        self.pipeline.base()
    }

    /// Returns the folder that relative paths are relative to, if set.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.pipeline.dir()
    }

    /// Returns the pipeline with these stages in place of its own, checked again.
    ///
    /// Fails like [`Pipeline::build`].
    pub fn with_stages<I: IntoIterator<Item = AnyStage>>(&self, stages: I) -> Result<Self, Error> {
        let stages = stages.into_iter().map(Into::into).collect();
        Pipeline { stages, ..self.pipeline.clone() }.build()
    }

    /// Returns the pipeline that it was built from.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}

impl Pipeline {
    /// Expands composite stages and checks everything that can be checked without running it.
    ///
    /// The pipeline has a stage, names differ, and all settings pass
    /// [`Settings::check`](crate::Settings::check). An earlier stage declares each key that a stage
    /// needs, as far as declarations go: the input has the keys that the first stage needs, each
    /// stage adds its outputs, and after a stage that declares no outputs, any key may exist.
    pub fn build(&self) -> Result<BuiltPipeline, Error> {
        BuiltPipeline::new(self)
    }

    /// Returns the environment that a stage runs in: its own merged over the pipeline's default.
    ///
    /// A stage without an environment of its own gets the default. A stage with an empty one gets
    /// none, whatever the default is. Otherwise `env_vars` are merged by name, and the stage's
    /// other fields replace the default's. An empty result is the base environment.
    pub fn effective_runtime_env(&self, stage: &AnyStage) -> RuntimeEnv {
        effective_runtime_env(stage.settings().runtime_env.as_ref(), self.runtime_env.as_ref())
    }
}

fn effective_runtime_env(own: Option<&RuntimeEnv>, default: Option<&RuntimeEnv>) -> RuntimeEnv {
    match (own, default) {
        (None, None) => RuntimeEnv::default(),
        (None, Some(default)) => default.clone(),
        // An empty environment is a decision: it opts out of the default.
        (Some(own), Some(default)) if !own.is_empty() => own.over(default),
        (Some(own), _) => own.clone(),
    }
}

/// Fails if a stage needs a key that no earlier stage declares.
fn check_keys(stages: &[AnyStage]) -> Result<(), Error> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (position, stage) in stages.iter().enumerate() {
        let settings = stage.settings();
        for input in &settings.inputs {
            if position > 0 && !known.contains(input.as_str()) {
                return Err(Error::MissingInput {
                    stage: settings.name.clone(),
                    input: input.clone(),
                    nearest: nearest(input, known).map(str::to_owned),
                });
            }
        }
        if settings.outputs.is_empty() {
            return Ok(());
        }
        known.extend(settings.inputs.iter().chain(&settings.outputs).map(String::as_str));
    }
    Ok(())
}
