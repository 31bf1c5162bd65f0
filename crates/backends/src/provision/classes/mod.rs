//! Reads the declarations of stages' classes in the base before a run is planned.
//!
//! `ask` has a Python process read the files, or import them; `kept` keeps its answers, so that
//! each stage is asked about once.

mod answer;
mod ask;
mod kept;

use std::collections::BTreeMap;
use std::path::PathBuf;

use envspec::LoadedEnv;
use stage::{Declared, PythonCode, PythonSource};

pub(crate) use self::answer::ClassAnswer;
use self::ask::Question;
use self::kept::KeptAnswer;
use super::base::OpenBase;
use super::environment::Environment;
use super::provisioner::Provisioner;
use crate::run::{Error, Plan, PlannedBase, PlannedStage, may_declare};

impl Provisioner {
    /// Returns the plan with the declarations of its stages' classes. They are read from the files,
    /// or the classes are asked in the base, which is built if needed. Executors do this first, as
    /// must a program that inspects a plan before a run. Kept answers are not asked for again, and
    /// a plan whose stages clearly declare nothing costs nothing.
    ///
    /// # Errors
    ///
    /// [`Error::DeclareLiterally`] if the environment that a class declares cannot be determined,
    /// [`Error::ForbiddenDeclaration`] for a forbidden declaration, and the errors of a plan.
    pub fn read_declared(&self, plan: &Plan) -> Result<Plan, Error> {
        let stages = plan.unread();
        if stages.is_empty() {
            return Ok(plan.clone());
        }
        match self.open_base() {
            Ok(base) => self.read(plan, &stages, &base),
            Err(error) if matches!(self.choice(), Some(PlannedBase::Managed(_))) => Err(error),
            // Stages with interpreters of their own need no base; other stages report the error.
            Err(_) => Ok(plan.clone()),
        }
    }

    /// Returns the same without building a managed base: if that is missing, the plan stays
    /// unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`read_declared`](Self::read_declared).
    pub fn peek_declared(&self, plan: &Plan) -> Result<Plan, Error> {
        let stages = plan.unread();
        if stages.is_empty() {
            return Ok(plan.clone());
        }
        match self.peek_base()? {
            Some(base) => self.read(plan, &stages, &base),
            None => Ok(plan.clone()),
        }
    }

    fn read(&self, plan: &Plan, stages: &[usize], base: &OpenBase) -> Result<Plan, Error> {
        let mut answers: BTreeMap<usize, ClassAnswer> = BTreeMap::new();
        let mut questions: Vec<Question<'_>> = Vec::new();
        for &place in stages {
            let stage = &plan.stages()[place];
            let Some(code) = stage.behaviour.as_python() else { continue };
            if plainly_declares_nothing(code, stage, base) {
                continue;
            }
            let environment = self.environment_of(stage, base)?;
            let location = environment
                .locate(code)
                .map_err(|source| Error::io("write", "the stage's source", source))?;
            let kept = KeptAnswer::new(self.cache(), base, &location, code.args(), &environment);
            match kept.read(&environment) {
                Some(answer) => _ = answers.insert(place, answer),
                None => questions.push(Question { place, code, location, environment, kept }),
            }
        }
        answers.extend(ask::ask(plan, &questions)?);
        plan.with_answers(&answers)
    }

    /// Returns the base with the variables and folders of a stage, which its class may read.
    fn environment_of(&self, stage: &PlannedStage, base: &OpenBase) -> Result<Environment, Error> {
        let mut env: LoadedEnv = stage.env.clone().unwrap_or_default();
        (env.install, env.python, env.py_executable) = (None, None, None);
        Environment::new(base.core.clone(), &env, self.shims())
    }
}

/// Returns whether the text of a module in the base clearly declares nothing. Files were checked
/// when the plan was made.
fn plainly_declares_nothing(code: &PythonCode, stage: &PlannedStage, base: &OpenBase) -> bool {
    let PythonSource::Module(module) = code.source() else { return false };
    // This does not see modules that a variable or a folder of the spec puts first.
    let is_led_away = stage.env.as_ref().is_some_and(|env| {
        !env.py_modules.is_empty()
            || env.working_dir.is_some()
            || env.env_vars.contains_key("PYTHONPATH")
    });
    let path: PathBuf = module.split('.').collect();
    let interpreter = base.base.interpreter();
    let folders = interpreter.site_dirs().iter().map(PathBuf::as_path);
    let text = folders.chain([interpreter.stdlib()]).find_map(|folder| {
        let file = folder.join(&path);
        let candidates = [file.join("__init__.py"), file.with_extension("py")];
        candidates.iter().find_map(|file| files::read_file_text(file, files::MOST_TEXT).ok())
    });
    !is_led_away
        && code.declared() != Declared::Ignore
        && text.is_some_and(|text| !may_declare(&text, code.name()))
}
