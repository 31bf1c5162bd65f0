//! A pipeline as text for people.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use envspec::RuntimeEnv;
use serde::Serialize;
use serde_json::{Map, Value};

use super::composite::expand_all;
use super::{Base, Pipeline, PipelineStage};
use crate::{AnyStage, Behaviour, Declared, Error, Resources, Settings, Source, secret};

/// The longest a name or a text within arguments is shown, in characters: a stage may carry
/// megabytes of them.
const LONGEST: usize = 400;

pub(super) fn describe(pipeline: &Pipeline) -> String {
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
        let Settings {
            name,
            resources,
            batch_size,
            workers,
            runtime_env,
            inputs,
            outputs,
            ray_options,
            xenna_options,
            task_timeout,
            isolation,
            max_attempts,
            recycle_after,
            preload,
        } = stage.settings();
        writeln!(self.text, "\n{number}. {}", shown(name))?;
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
        let from = |setting| origin(stage, setting);
        let env = stage_env(runtime_env.as_ref(), pipeline, stage);
        self.line("runtime_env", env + &from("runtime_env"))?;
        self.line("isolation", or(isolation.as_ref(), "as the cache is set"))?;
        self.line("resources", amounts(resources) + &from("resources"))?;
        self.line(
            "batch_size",
            or(batch_size.as_ref(), "the engine's choice") + &from("batch_size"),
        )?;
        self.line("workers", workers.to_string() + &from("num_workers"))?;
        self.line("inputs", keys(inputs) + &from("inputs"))?;
        self.line("outputs", keys(outputs) + &from("outputs"))?;
        let timeout = task_timeout.map_or("none".into(), |time| format!("{time:?}"));
        self.line("task_timeout", timeout + &from("task_timeout_seconds"))?;
        self.line("max_attempts", or(max_attempts.as_ref(), "2 if its worker dies, else 1"))?;
        let recycled = recycle_after.map_or("never".into(), |n| format!("{n} tasks"));
        self.line("recycle_after", recycled + &from("recycle_after_tasks"))?;
        let preloaded = or(preload.as_ref(), "what its file imports first");
        self.line("preload", shown(&preloaded))?;
        self.line("ray_stage_spec", options(ray_options) + &from("ray_stage_spec"))?;
        self.line("xenna_stage_spec", options(xenna_options) + &from("xenna_stage_spec"))
    }

    /// The stages by name, where a composite stage cannot be expanded.
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

/// A text on one line, cut where it is too long, without credentials.
fn shown(text: &str) -> String {
    one_line(&cut(&envspec::redact(text)))
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_value(value).map_or("not to be shown".to_owned(), |value| {
        one_line(&cut_texts(secret::redacted(&value)).to_string())
    })
}

/// The same value with its long texts cut. Lists stay whole: people look for their packages here.
fn cut_texts(value: Value) -> Value {
    match value {
        Value::String(text) => cut(&text).into(),
        Value::Array(items) => items.into_iter().map(cut_texts).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, cut_texts(value))).collect()
        }
        other => other,
    }
}

fn env(env: &RuntimeEnv) -> String {
    if env.is_empty() { "the base environment".to_owned() } else { json(env) }
}

fn base(base: &Base) -> String {
    match base {
        Base::Python(path) => shown(&path.display().to_string()),
        Base::Managed(env) => format!("managed {}", json(env)),
    }
}

fn stage_env(own: Option<&RuntimeEnv>, pipeline: &Pipeline, stage: &AnyStage) -> String {
    let effective = pipeline.effective_runtime_env(stage);
    match own {
        None if pipeline.runtime_env.is_some() => format!("{} (the pipeline's)", env(&effective)),
        Some(own) if *own != effective => format!("{} (with the pipeline's)", env(&effective)),
        _ => env(&effective),
    }
}

/// Where a setting comes from, where that is not plain: from the stage's code, or in place of what
/// that declares.
fn origin(stage: &AnyStage, setting: &str) -> String {
    match stage.overridden(setting) {
        Some(declared) => format!(" (overrides the class's {})", json(declared)),
        None if stage.source(setting) == Source::Code => " (the class's)".to_owned(),
        None => String::new(),
    }
}

fn amounts(resources: &Resources) -> String {
    let Resources { cpus, gpus, gpu_memory_gb } = resources;
    let mut text = format!("{cpus} cpus");
    if *gpus != 0.0 {
        _ = write!(text, ", {gpus} gpus");
    }
    if *gpu_memory_gb != 0.0 {
        _ = write!(text, ", {gpu_memory_gb} GB of one gpu");
    }
    text
}

fn keys(keys: &[String]) -> String {
    if keys.is_empty() { "none declared".to_owned() } else { shown(&keys.join(", ")) }
}

fn options(options: &Map<String, Value>) -> String {
    if options.is_empty() { "none".to_owned() } else { json(options) }
}

fn or(value: Option<&impl ToString>, default: &str) -> String {
    value.map_or_else(|| default.to_owned(), ToString::to_string)
}
