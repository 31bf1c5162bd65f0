//! Puts the declarations of the stages' code into a plan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use stage::{AnyStage, Declared, PythonCode, Source};

use super::{Plan, PlannedStage};
use crate::provision::ClassAnswer;
use crate::run::Error;
use crate::run::declared::digest_of;
use crate::worker::wire::Found;

impl Plan {
    /// Returns the places of stages whose code may declare settings that the plan does not have
    /// yet.
    pub(crate) fn unread(&self) -> Vec<usize> {
        self.unread.clone()
    }

    /// Returns the plan with the declarations of its stages' code, by their places.
    pub(crate) fn with_answers(
        &self,
        answers: &BTreeMap<usize, ClassAnswer>,
    ) -> Result<Self, Error> {
        let Some(built) = &self.built else { return Ok(self.clone()) };
        let mut stages = built.stages().to_vec();
        let names = names(&stages, answers);
        for (&place, answer) in answers {
            let stage = &mut stages[place];
            refuse(stage, answer)?;
            let values = answer.found.settings.iter().filter_map(|(setting, found)| match found {
                Found::Value(value) => Some((setting.clone(), value.clone())),
                Found::Unread(_) => None,
            });
            let mut values: Map<String, Value> = values.collect();
            if !names.contains(&place) {
                values.remove("name");
            }
            *stage = stage.with_declared_settings(&values).map_err(Error::pipeline)?;
        }
        let mut plan = Self::of(built.with_stages(stages).map_err(Error::pipeline)?)?;
        plan.base.clone_from(&self.base);
        for (place, answer) in answers {
            plan.stages[*place].kept = Some(answer.kept.clone());
            if let Some(wanted) = &mut plan.stages[*place].wanted {
                let said = answer.found.settings.iter();
                wanted.read = said
                    .filter_map(|(name, found)| match found {
                        Found::Value(value) if name != "runtime_env" => {
                            Some((name.clone(), value.clone()))
                        }
                        _ => None,
                    })
                    .collect();
            }
            if let (Some(wanted), Some(Found::Value(env))) =
                (&mut plan.stages[*place].wanted, answer.found.settings.get("runtime_env"))
                && !wanted.given.contains("runtime_env")
            {
                wanted.read_env = Some(digest_of(env));
            }
        }
        Ok(plan)
    }

    /// Forgets the declarations of a stage's code if a worker has found another environment, so that
    /// the next run asks again.
    pub(crate) fn forget(&self, error: &Error) {
        if let Error::DeclaredEnv { stage, .. } = error {
            self.forget_of(stage);
        }
    }

    /// Forgets the declarations of a stage's code, so that the next run asks again.
    pub(crate) fn forget_of(&self, name: &str) {
        let stages = self.stages.iter().filter(|stage| stage.settings.name == name);
        stages.for_each(PlannedStage::forget);
    }
}

impl PlannedStage {
    /// Forgets the declarations of its code, so that the next run asks again.
    pub(crate) fn forget(&self) {
        if let Some(Err(left)) = self.kept.as_ref().map(|kept| files::delete(kept)) {
            tracing::debug!(%left, "what a class declares is kept");
        }
    }
}

/// Returns the stages that may get the name from their code: names in a pipeline differ.
fn names(stages: &[AnyStage], answers: &BTreeMap<usize, ClassAnswer>) -> BTreeSet<usize> {
    let wanted = |place: usize| match answers.get(&place)?.found.settings.get("name") {
        Some(Found::Value(Value::String(name)))
            if stages[place].source("name") != Source::Entry =>
        {
            Some(name.as_str())
        }
        _ => None,
    };
    let is_free = |place: usize, name: &str| {
        let mut others = (0..stages.len()).filter(|other| *other != place);
        others.all(|other| stages[other].name() != name && wanted(other) != Some(name))
    };
    let places = 0..stages.len();
    places.filter(|place| wanted(*place).is_some_and(|name| is_free(*place, name))).collect()
}

/// Refuses forbidden declarations of a stage's code, and a `runtime_env` that cannot be determined.
fn refuse(stage: &AnyStage, answer: &ClassAnswer) -> Result<(), Error> {
    let declared = stage.behaviour().as_python().map(PythonCode::declared).unwrap_or_default();
    if declared == Declared::Forbid {
        let mut settings = answer.found.settings.iter();
        if let Some((setting, found)) = settings.find(|(setting, _)| *setting != "name") {
            return Err(Error::forbidden(stage.name(), setting, found));
        }
    }
    let is_unknown = answer.others.iter().any(|setting| setting == "runtime_env");
    match &answer.problem {
        Some(problem) if is_unknown && stage.source("runtime_env") != Source::Entry => {
            let what = match problem.phase.as_str() {
                "construct" => "constructing it".to_owned(),
                _ => "importing its file".to_owned(),
            };
            Err(Error::DeclareLiterally {
                stage: stage.name().to_owned(),
                missing: problem.missing.clone(),
                problem: format!("{what} fails with {}", problem.text),
            })
        }
        _ => Ok(()),
    }
}
