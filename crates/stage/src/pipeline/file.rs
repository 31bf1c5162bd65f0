//! The pipeline file.

use std::path::PathBuf;

use envspec::RuntimeEnv;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::as_toml::AsToml;
use super::field::Field;
use super::places::{Places, reserved_key};
use super::{Assignment, BaseSpec, BuiltPipeline, Engine, FailurePolicy, Pipeline};
use crate::error::nearest_field;
use crate::settings::Entry;
use crate::task::{Inexact, find_inexact, reserved};
use crate::{AnyStage, Behaviour, Declared, Error, PythonCode, PythonSource, PythonStage};

/// A pipeline file: a pipeline, and its settings for a run.
///
/// TOML and JSON are two forms of the same fields. Fields with their default value may be left out.
///
/// ```
/// use stage::{FailurePolicy, PipelineFile};
///
/// let text = r#"
/// name = "demo"
/// failure_policy = "record"
///
/// [[stage]]
/// python = "stages.py:Clean"
/// runtime_env = { uv = ["packaging==24.0"] }
/// "#;
/// let file = PipelineFile::from_toml(text, "/srv/demo")?;
/// assert_eq!(file.failure_policy(), Some(FailurePolicy::Record));
/// assert_eq!(file.build()?.stages()[0].name(), "Clean");
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PipelineFile {
    written: File,
    dir: PathBuf,
    places: Places,
}

/// A pipeline in written form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "A pipeline of Curator"))]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The pipeline's name.
    name: String,
    /// A short description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The base of all stages' environments: the path of a Python or of a virtualenv's folder, or a
    /// table with `pip` or `uv` for one that is built and kept in the cache. By default, the
    /// virtualenv in `$VIRTUAL_ENV`, else `python3` on PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<BaseSpec>,
    /// The environment of every stage without one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runtime_env: Option<RuntimeEnv>,
    /// The policy for a task that fails: stop (`fail-fast`, the default), or record it and continue
    /// (`record`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure_policy: Option<FailurePolicy>,
    /// The engine that runs it.
    #[serde(default, skip_serializing_if = "is_default")]
    engine: Engine,
    /// The stages, in order.
    #[serde(default)]
    stage: Vec<FileStage>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A stage in written form, with its code parsed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
struct FileStage(PythonStage);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for FileStage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stage".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Entry::json_schema(generator);
        schema.insert("required".to_owned(), serde_json::json!(["python"]));
        schema.insert("description".to_owned(), "One stage: its code and its settings.".into());
        schema
    }
}

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
        let code = code.with_declared(entry.declared.unwrap_or_default());
        let noted = entry.clone();
        let settings = entry
            .into_settings(code.short_name())
            .map_err(|error| WrongStage(error.to_string()))?;
        Ok(Self(PythonStage::new(code, settings).noting(&noted)))
    }
}

impl From<FileStage> for Entry {
    fn from(FileStage(stage): FileStage) -> Self {
        let (code, mut entry) = (stage.behaviour(), stage.to_entry());
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
        entry.declared = Some(code.declared()).filter(|it| *it != Declared::Use);
        entry
    }
}

/// An error of a stage as a whole; it passes through the parser, which adds the position.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongStage(String);

impl PipelineFile {
    /// Reads a pipeline file in TOML. Paths in it are relative to `dir`, its folder.
    ///
    /// Fails with [`Error::File`] at the line and column of the fault.
    pub fn from_toml(text: &str, dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let failed = |field: Field, error: &toml::de::Error| {
            let span = error.span().unwrap_or_default();
            let message = if error.message().contains("overflowed") {
                let number = text.get(span.clone()).unwrap_or_default();
                format!(
                    "{number} is too large an integer for TOML: write it in quotes, or the \
                     pipeline as JSON"
                )
            } else {
                error.message().to_owned()
            };
            wrong(Places::at(text, span.start), field, &message)
        };
        let table = DeTable::parse(text).map_err(|error| failed(Field::default(), &error))?;
        if let Some((start, key)) = reserved_key(table.get_ref()) {
            return Err(wrong(Places::at(text, start), Field::default(), &reserved(&key)));
        }
        let written = serde_path_to_error::deserialize(toml::Deserializer::from(table))
            .map_err(|error| failed(Field::from(error.path()), error.inner()))?;
        Ok(Self { written, dir: dir.into(), places: Places::of_toml(text) })
    }

    /// Reads a pipeline file in JSON: the same fields, as an object.
    ///
    /// Fails with [`Error::File`] at the line and column where the parser noticed the fault, at the
    /// end of a value or after it.
    pub fn from_json(text: &str, dir: impl Into<PathBuf>) -> Result<Self, Error> {
        if let Some(Inexact { start, path, problem }) = find_inexact(text) {
            return Err(wrong(Places::at(text, start), Field::from(path), &problem));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let read = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| (Field::from(error.path()), error.into_inner()))
            .and_then(|written| {
                json.end().map(|()| written).map_err(|error| (Field::default(), error))
            });
        let written = read.map_err(|(field, error)| {
            let message = error.to_string();
            // The error has the position in fields of its own.
            let message = message.split(" at line ").next().unwrap_or_default();
            wrong((error.line().max(1), error.column().max(1)), field, message)
        })?;
        Ok(Self { written, dir: dir.into(), places: Places::default() })
    }

    /// Returns the file with other values for some fields; the last assignment wins.
    ///
    /// Fails with [`Error::UnknownStage`] or [`Error::Assignment`].
    pub fn with_assignments(&self, assignments: &[Assignment]) -> Result<Self, Error> {
        if assignments.is_empty() {
            return Ok(self.clone());
        }
        let stages: Vec<String> =
            self.written.stage.iter().map(|stage| stage.0.name().to_owned()).collect();
        // The file was read from JSON-like data, so it has only JSON's values.
        let mut value = serde_json::to_value(&self.written).unwrap_or_default();
        for assignment in assignments {
            assignment.apply(&mut value)?;
        }
        let read: Result<File, _> = serde_path_to_error::deserialize(&value);
        let written = read.map_err(|error| {
            let path = error.path().to_string();
            let key = assignments.iter().rev().find(|it| it.touches(&path, &stages));
            let keys = || assignments.iter().map(Assignment::key).collect::<Vec<_>>().join(", ");
            let message = without_values(&error.into_inner().to_string());
            Error::Assignment { key: key.map_or_else(keys, Assignment::key), problem: message }
        })?;
        let mut written = written;
        for (before, FileStage(now)) in self.written.stage.iter().zip(&mut written.stage) {
            now.keep_name_of(&before.0);
        }
        // Changed fields have no place in the text.
        Ok(Self { written, dir: self.dir.clone(), places: Places::default() })
    }

    /// Returns the pipeline.
    pub fn pipeline(&self) -> Pipeline {
        let (file, dir) = (&self.written, &self.dir);
        let mut pipeline = Pipeline::new(&file.name).with_dir(dir);
        pipeline.description.clone_from(&file.description);
        pipeline.runtime_env.clone_from(&file.runtime_env);
        pipeline.base = file.base.as_ref().map(|base| match base {
            BaseSpec::Python(path) => BaseSpec::Python(dir.join(path)),
            BaseSpec::Managed(env) => BaseSpec::Managed(env.clone()),
        });
        let stages = file.stage.iter().map(|FileStage(stage)| stage.clone().within(dir));
        pipeline.with_stages(stages)
    }

    /// Checks the pipeline like [`Pipeline::build`]. For a file in TOML, an error of a stage has
    /// its position ([`Error::At`]).
    pub fn build(&self) -> Result<BuiltPipeline, Error> {
        self.pipeline().build().map_err(|error| {
            self.places.locate(error, |name| {
                self.written.stage.iter().rposition(|stage| stage.0.name() == name)
            })
        })
    }

    /// Returns the policy for a task that fails, if the file sets it.
    #[must_use]
    pub fn failure_policy(&self) -> Option<FailurePolicy> {
        self.written.failure_policy
    }

    /// Returns the engine that runs it, and its options.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.written.engine
    }

    /// Returns the JSON Schema of a pipeline file, for editors.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(File).to_value()
    }
}

impl Pipeline {
    /// Reads the pipeline of a pipeline file in TOML, without the file's settings for a run, which
    /// [`PipelineFile`] also has.
    ///
    /// Fails with [`Error::File`] at the line and column of what is wrong.
    pub fn from_toml(text: &str, dir: impl Into<PathBuf>) -> Result<Self, Error> {
        PipelineFile::from_toml(text, dir).map(|file| file.pipeline())
    }

    /// Returns the pipeline as a pipeline file in TOML, including values of `env_vars` and
    /// arguments, which may be secret.
    ///
    /// The file has the stages of composite stages in their place, and leaves out the pipeline's
    /// folder. Fails as [`build`](Self::build) does, with [`Error::RustCode`] for a stage in Rust,
    /// with [`Error::Setting`] for code without a text form (a path that is not Unicode), and with
    /// [`Error::ToFile`] for values that TOML lacks (`null` within arguments).
    pub fn to_toml(&self) -> Result<String, Error> {
        write(self)
    }
}

fn write(pipeline: &Pipeline) -> Result<String, Error> {
    let built = pipeline.build()?;
    let file = File {
        name: pipeline.name.clone(),
        description: pipeline.description.clone(),
        base: pipeline.base.clone(),
        runtime_env: pipeline.runtime_env.clone(),
        failure_policy: None,
        engine: Engine::default(),
        stage: built.stages().iter().map(to_file).collect::<Result<_, _>>()?,
    };
    let value = serde_json::to_value(&file).map_err(toml::ser::Error::custom);
    value
        .and_then(|value| toml::to_string(&AsToml(&value)))
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
    Ok(FileStage(stage.clone().with_behaviour(code.clone())))
}

/// Returns whether the text form means the same code. It does not for a module `py` of a package:
/// `a.py` is a file.
fn reads_back(code: &PythonCode) -> bool {
    let read = code.to_string().parse::<PythonCode>();
    read.is_ok_and(|read| {
        read.with_args(code.args().clone()).with_declared(code.declared()) == *code
    })
}

/// Returns the error for a fault that a parser found, without the text that the parser quotes.
fn wrong((line, column): (usize, usize), field: Field, message: &str) -> Error {
    let problem = without_values(message);
    let nearest = nearest_field(&problem);
    let Field { stage, field } = field;
    Error::File { line, column, stage, field, problem, nearest }
}

/// Cuts the text out of "invalid type: string "…", expected …", since it may be secret.
fn without_values(message: &str) -> String {
    let message = envspec::redact(message);
    let Some((before, text)) = message.split_once(": string \"") else {
        return without_types(&message);
    };
    let expected = text.rfind("\", expected ").map_or("", |end| &text[end + 1..]);
    without_types(&format!("{before}: string{expected}"))
}

/// Says in words what is expected, in place of serde's names of Rust types.
fn without_types(message: &str) -> String {
    let Some((before, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "usize" | "u64" | "u32" => "a whole number from 0 on",
        "f64" => "a number",
        "struct RuntimeEnv" => "a table",
        other => other,
    };
    format!("{before}, expected {expected}")
}
