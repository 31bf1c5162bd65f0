//! A pipeline as text for people.

use std::fmt::{self, Write as _};

use envspec::RuntimeEnv;

use super::base::BaseSpec;
use super::composite::{PipelineStage, expand_all};
use super::plain::Pipeline;
use crate::settings::ROWS;
use crate::shown::{json, text as shown};
use crate::{AnyStage, Behaviour, Declared, Error, Source};

impl Pipeline {
    /// Returns a text that shows the stages with all their settings. If the pipeline cannot be
    /// built, the text also shows why.
    ///
    /// The text hides values of variables and arguments whose names look secret, and credentials in
    /// URLs.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(self)
    }
}

fn describe(pipeline: &Pipeline) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    _ = Writer { text: &mut text }.pipeline(pipeline);
    text
}

struct Writer<'a> {
    text: &'a mut String,
}

impl Writer<'_> {
    fn pipeline(&mut self, pipeline: &Pipeline) -> fmt::Result {
        let stages = expand_all(&pipeline.stages);
        writeln!(self.text, "pipeline {}", shown(&pipeline.name))?;
        self.line("description", pipeline.description.as_deref().map_or("none".into(), shown))?;
        self.line("base", pipeline.base.as_ref().map_or("found by the executor".into(), base))?;
        self.line("runtime_env", pipeline.runtime_env.as_ref().map_or("none".into(), env))?;
        if let Err(error) = pipeline.build() {
            self.error(&error)?;
        }
        match stages {
            Ok(stages) => {
                self.line("stages", stages.len().to_string())?;
                for (number, stage) in (1..).zip(&stages) {
                    self.stage(number, stage, pipeline)?;
                }
            }
            Err(_) => self.unexpanded(&pipeline.stages)?,
        }
        Ok(())
    }

    fn stage(&mut self, number: usize, stage: &AnyStage, pipeline: &Pipeline) -> fmt::Result {
        writeln!(self.text, "\n{number}. {}", shown(stage.name()))?;
        self.line("code", shown(&stage.behaviour().to_string()))?;
        if let Behaviour::Python(code) = stage.behaviour() {
            self.line(
                "args",
                if code.args().is_null() { "none".into() } else { json(code.args()) },
            )?;
            let becomes = match code.declared() {
                Declared::Use => "used where nothing else is set",
                Declared::Ignore => "ignored",
                Declared::Forbid => "forbidden",
            };
            self.line("declared", becomes)?;
        }
        for row in ROWS {
            let text = if row.name() == "runtime_env" {
                stage_env(pipeline, stage)
            } else {
                (row.text)(stage.settings())
            };
            self.line(row.label, text + &origin(stage, row.name()))?;
        }
        Ok(())
    }

    /// Writes the stages by name, if a composite stage cannot be expanded.
    fn unexpanded(&mut self, stages: &[PipelineStage]) -> fmt::Result {
        for (number, stage) in (1..).zip(stages) {
            let (name, kind) = match stage {
                PipelineStage::One(stage) => (stage.name(), ""),
                PipelineStage::Composite(composite) => (composite.name(), " (composite)"),
            };
            writeln!(self.text, "\n{number}. {}{kind}", shown(name))?;
        }
        Ok(())
    }

    fn error(&mut self, error: &Error) -> fmt::Result {
        self.line("error", shown(&error.to_string()))?;
        error.hint().map_or(Ok(()), |hint| self.line("hint", shown(&hint)))
    }

    fn line(&mut self, label: &str, value: impl fmt::Display) -> fmt::Result {
        writeln!(self.text, "   {label:<17} {value}")
    }
}

fn env(env: &RuntimeEnv) -> String {
    if env.is_empty() { "the base environment".to_owned() } else { json(env) }
}

fn base(base: &BaseSpec) -> String {
    match base {
        BaseSpec::Python(path) => shown(&path.display().to_string()),
        BaseSpec::Managed(env) => format!("managed {}", json(env)),
    }
}

/// Returns the text for a stage's environment, which depends on the pipeline's default.
fn stage_env(pipeline: &Pipeline, stage: &AnyStage) -> String {
    let effective = pipeline.effective_runtime_env(stage);
    match &stage.settings().runtime_env {
        None if pipeline.runtime_env.is_some() => format!("{} (the pipeline's)", env(&effective)),
        Some(own) if *own != effective => format!("{} (with the pipeline's)", env(&effective)),
        _ => env(&effective),
    }
}

/// Returns the origin of a setting if it is not obvious: from the stage's code, or overriding it.
fn origin(stage: &AnyStage, setting: &str) -> String {
    match stage.overridden(setting) {
        Some(declared) => format!(" (overrides the class's {})", json(declared)),
        None if stage.source(setting) == Source::Code => " (the class's)".to_owned(),
        None => String::new(),
    }
}
