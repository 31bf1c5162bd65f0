//! Composite stages: one stage to its user, several to an executor.

use std::collections::HashMap;

use crate::settings::check_name;
use crate::{AnyStage, Error, Overrides, PythonStage, RustStage};
use envspec::nearest;

/// Several stages under one name, which replace it when a pipeline is built.
///
/// Overrides name the stages within. A composite stage may contain composite stages; it expands to
/// a flat list, with inner overrides applied first. It may also stand for a single stage.
///
/// ```
/// use stage::{CompositeStage, Overrides, PythonStage};
///
/// let read = CompositeStage::new(
///     "read",
///     [PythonStage::from_file("io.py", "List"), PythonStage::from_file("io.py", "Load")],
/// );
/// let faster = read.with_("Load", Overrides::default().with_num_workers(8));
/// assert_eq!(faster.expand()?[1].settings().workers, stage::Workers::Fixed(8));
/// assert_eq!(read.expand()?[1].settings().workers, stage::Workers::Auto);
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct CompositeStage {
    name: String,
    stages: Vec<PipelineStage>,
    overrides: Vec<Vec<(String, Overrides)>>,
}

/// A part of a pipeline: a stage, or one that stands for several.
#[derive(Clone, Debug, PartialEq)]
pub enum PipelineStage {
    /// A stage.
    One(Box<AnyStage>),
    /// A stage that stands for several.
    Composite(CompositeStage),
}

impl CompositeStage {
    /// Creates a composite of these stages, in order.
    pub fn new<I>(name: impl Into<String>, stages: I) -> Self
    where
        I: IntoIterator<Item: Into<PipelineStage>>,
    {
        Self {
            name: name.into(),
            stages: stages.into_iter().map(Into::into).collect(),
            overrides: Vec::new(),
        }
    }

    /// Adds a stage of any kind at the end.
    pub fn with_stage(mut self, stage: impl Into<PipelineStage>) -> Self {
        self.stages.push(stage.into());
        self
    }

    /// Returns a copy in which the stage of that name is changed.
    ///
    /// A stage that an earlier call renamed has its new name. Expansion checks that the name
    /// exists, and that all names differ afterwards.
    pub fn with_(&self, stage: impl Into<String>, overrides: Overrides) -> Self {
        self.with_all([(stage, overrides)])
    }

    /// Returns a copy in which several stages are changed at once. Each has the name from before
    /// this call, so that two may swap names.
    pub fn with_all<I, N>(&self, overrides: I) -> Self
    where
        I: IntoIterator<Item = (N, Overrides)>,
        N: Into<String>,
    {
        let mut copy = self.clone();
        let together = overrides.into_iter().map(|(name, changes)| (name.into(), changes));
        copy.overrides.push(together.collect());
        copy
    }

    /// Returns the name. It is for messages: the stages within keep theirs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the stages that it stands for, with the overrides applied.
    ///
    /// Fails with [`Error::Name`], [`Error::NoStages`], [`Error::DuplicateName`] or
    /// [`Error::UnknownChild`].
    pub fn expand(&self) -> Result<Vec<AnyStage>, Error> {
        check_name("composite stage", &self.name)?;
        let owner = || format!("composite stage `{}`", self.name);
        if self.stages.is_empty() {
            return Err(Error::NoStages { owner: owner() });
        }
        let mut stages = expand_all(&self.stages)?;
        for together in &self.overrides {
            let positions = positions_by_name(&stages, owner)?;
            let mut changed = stages.clone();
            for (name, overrides) in together {
                let Some(&position) = positions.get(name.as_str()) else {
                    return Err(Error::UnknownChild {
                        composite: self.name.clone(),
                        name: name.clone(),
                        nearest: nearest(name, positions.keys().copied()).map(str::to_owned),
                    });
                };
                changed[position] = changed[position].with_(overrides.clone());
            }
            stages = changed;
        }
        positions_by_name(&stages, owner)?;
        Ok(stages)
    }

    /// Returns the inputs of the first stage within. Fails like [`expand`](Self::expand).
    pub fn inputs(&self) -> Result<Vec<String>, Error> {
        Ok(self.expand()?.first().map(|first| first.settings().inputs.clone()).unwrap_or_default())
    }

    /// Returns the outputs of the last stage within. Fails like [`expand`](Self::expand).
    pub fn outputs(&self) -> Result<Vec<String>, Error> {
        Ok(self.expand()?.last().map(|last| last.settings().outputs.clone()).unwrap_or_default())
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

/// Returns the flat list of stages that these stand for.
pub(super) fn expand_all(stages: &[PipelineStage]) -> Result<Vec<AnyStage>, Error> {
    let mut flat = Vec::with_capacity(stages.len());
    for stage in stages {
        match stage {
            PipelineStage::One(stage) => flat.push(AnyStage::clone(stage)),
            PipelineStage::Composite(composite) => flat.extend(composite.expand()?),
        }
    }
    Ok(flat)
}

/// Returns the place of each name; fails if one occurs twice.
pub(super) fn positions_by_name(
    stages: &[AnyStage],
    owner: impl Fn() -> String,
) -> Result<HashMap<&str, usize>, Error> {
    let mut positions = HashMap::with_capacity(stages.len());
    for (position, stage) in stages.iter().enumerate() {
        if positions.insert(stage.name(), position).is_some() {
            return Err(Error::DuplicateName { owner: owner(), name: stage.name().to_owned() });
        }
    }
    Ok(positions)
}
