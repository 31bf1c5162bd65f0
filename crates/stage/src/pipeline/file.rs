//! The pipeline file.

use std::path::Path;

use envspec::RuntimeEnv;
use serde::{Deserialize, Serialize};

use super::{Base, Pipeline};
use crate::settings::Entry;
use crate::{AnyStage, Behaviour, Error, PythonCode, PythonSource, PythonStage};
use envspec::nearest;

/// A pipeline as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Base>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runtime_env: Option<RuntimeEnv>,
    #[serde(default)]
    stage: Vec<FileStage>,
}

/// A stage as it is written, with its code understood.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
struct FileStage(PythonStage);

impl TryFrom<Entry> for FileStage {
    type Error = WrongStage;

    fn try_from(mut entry: Entry) -> Result<Self, WrongStage> {
        let code = match (entry.python.take(), entry.source.take()) {
            (None, _) => return Err(WrongStage("missing field `python`".to_owned())),
            (Some(text), None) => text.parse().map_err(|error: Error| {
                let hint = error.hint().unwrap_or_default();
                WrongStage(format!("{error} ({hint})"))
            })?,
            (Some(name), Some(source)) => PythonCode::from_source(source, name),
        };
        let code = code.with_args(std::mem::take(&mut entry.args));
        let settings = entry
            .into_settings(code.short_name())
            .map_err(|error| WrongStage(error.to_string()))?;
        Ok(Self(PythonStage::new(code, settings)))
    }
}

impl From<FileStage> for Entry {
    fn from(FileStage(stage): FileStage) -> Self {
        let (code, mut entry) = (stage.behaviour(), Self::from(stage.settings().clone()));
        match code.source() {
            PythonSource::File(_) | PythonSource::Module(_) => {
                entry.python = Some(code.to_string());
            }
            PythonSource::Inline(text) => {
                entry.python = Some(code.name().to_owned());
                entry.source = Some(text.clone());
            }
        }
        entry.args = code.args().clone();
        entry
    }
}

/// What is wrong with a stage as a whole; it reaches the user through the parser, which knows
/// where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongStage(String);

pub(super) fn parse(text: &str, dir: &Path) -> Result<Pipeline, Error> {
    let file: File = toml::from_str(text).map_err(|error| located(text, &error))?;
    let mut pipeline = Pipeline::new(file.name).with_dir(dir);
    pipeline.description = file.description;
    pipeline.runtime_env = file.runtime_env;
    pipeline.base = file.base.map(|base| match base {
        Base::Python(path) => Base::Python(dir.join(path)),
        Base::Managed(env) => Base::Managed(env),
    });
    let stages = file.stage.into_iter().map(|FileStage(stage)| {
        let code = stage.behaviour().clone().within(dir);
        PythonStage::new(code, stage.settings().clone())
    });
    Ok(pipeline.with_stages(stages))
}

pub(super) fn write(pipeline: &Pipeline) -> Result<String, Error> {
    let built = pipeline.build()?;
    let file = File {
        name: pipeline.name.clone(),
        description: pipeline.description.clone(),
        base: pipeline.base.clone(),
        runtime_env: pipeline.runtime_env.clone(),
        stage: built.stages().iter().map(to_file).collect::<Result<_, _>>()?,
    };
    toml::to_string(&file)
        .map_err(|source| Error::ToFile { pipeline: pipeline.name.clone(), source })
}

fn to_file(stage: &AnyStage) -> Result<FileStage, Error> {
    let name = || stage.name().to_owned();
    let Behaviour::Python(code) = stage.behaviour() else {
        return Err(Error::RustCode { stage: name() });
    };
    if !matches!(code.source(), PythonSource::Inline(_)) && !reads_back(code) {
        let problem = "is not what its text form says: the path is not Unicode, or the module is \
             named as a file is";
        return Err(Error::Setting { stage: name(), setting: "python", problem: problem.into() });
    }
    Ok(FileStage(PythonStage::new(code.clone(), stage.settings().clone())))
}

/// Whether the text form means the same code. It does not for a module `py` of a package: `a.py` is
/// a file.
fn reads_back(code: &PythonCode) -> bool {
    let read = code.to_string().parse::<PythonCode>();
    read.is_ok_and(|read| read.with_args(code.args().clone()) == *code)
}

/// The parser's error without the line that it quotes.
fn located(text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let message = without_values(error.message());
    Error::File {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        nearest: nearest_field(&message),
        message,
    }
}

/// Cuts the text out of "invalid type: string "…", expected …", since it may be secret.
fn without_values(message: &str) -> String {
    let message = envspec::redact(message);
    let Some((before, text)) = message.split_once(": string \"") else {
        return message.into_owned();
    };
    let expected = text.rfind("\", expected ").map_or("", |end| &text[end + 1..]);
    format!("{before}: string{expected}")
}

/// The nearest of the fields that serde lists in "unknown field `a`, expected one of `b`, `c`".
fn nearest_field(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let (_, expected) = rest.split_once("expected ")?;
    nearest(unknown, expected.split('`').skip(1).step_by(2)).map(str::to_owned)
}
