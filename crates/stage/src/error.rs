//! Errors of stages, tasks, pipelines and their files.

use std::borrow::Cow;
use std::error::Error as StdError;

use envspec::nearest;

use crate::task::TaskId;

/// The error of a stage's own code.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of a stage, a task, a pipeline or its file.
///
/// No variant contains a value of `env_vars` or of a stage's arguments, which may be secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pipeline or a composite stage is empty.
    #[error("{owner} has no stages")]
    NoStages {
        /// The pipeline or composite stage, as ``pipeline `name` ``.
        owner: String,
    },

    /// Two stages of a pipeline, or two children of a composite stage, have one name.
    #[error("{owner} has more than one stage named `{name}`")]
    DuplicateName {
        /// The pipeline or composite stage, as ``pipeline `name` ``.
        owner: String,
        /// The name that occurs twice.
        name: String,
    },

    /// An override of a composite stage names a missing child.
    #[error("composite stage `{composite}` has no stage named `{name}`")]
    UnknownChild {
        /// The composite stage.
        composite: String,
        /// The name that the override is for.
        name: String,
        /// The child that was probably meant.
        nearest: Option<String>,
    },

    /// A name is empty or holds a control character.
    #[error("`{}` is not a name for a {what}", name.escape_debug())]
    Name {
        /// The named thing: `stage`, `pipeline`.
        what: &'static str,
        /// The name as given.
        name: String,
    },

    /// A setting of a stage has an invalid value.
    #[error("stage `{stage}`: `{setting}` {problem}")]
    Setting {
        /// The stage.
        stage: String,
        /// The setting, by its name in a pipeline file.
        setting: &'static str,
        /// The fault in its value.
        problem: String,
    },

    /// An engine option that no engine knows.
    #[error("stage `{stage}`: `{spec}` has no option `{option}`")]
    UnknownOption {
        /// The stage.
        stage: String,
        /// `ray_stage_spec` or `xenna_stage_spec`.
        spec: &'static str,
        /// The option as given.
        option: String,
        /// The option that was probably meant.
        nearest: Option<String>,
    },

    /// An engine option has a value that the engine would refuse.
    #[error("stage `{stage}`: option `{option}` of `{spec}` {problem}")]
    Option {
        /// The stage.
        stage: String,
        /// `ray_stage_spec` or `xenna_stage_spec`.
        spec: &'static str,
        /// The option.
        option: String,
        /// The fault in its value.
        problem: String,
    },

    /// A stage needs a key that no earlier stage declares.
    #[error("stage `{stage}` needs `{input}`, which no stage before it needs or gives")]
    MissingInput {
        /// The stage that needs the key.
        stage: String,
        /// The key.
        input: String,
        /// A declared key that was probably meant.
        nearest: Option<String>,
    },

    /// A task arrived at a stage without the keys that the stage declares as inputs.
    #[error("task `{task}` has no `{}`, which stage `{stage}` needs", missing.join("`, `"))]
    MissingKeys {
        /// The stage.
        stage: String,
        /// The task.
        task: TaskId,
        /// The keys that are missing.
        missing: Vec<String>,
    },

    /// A text is not a task id.
    #[error("`{}` is not a task id", text.escape_debug())]
    TaskId {
        /// The text, cut to 64 characters.
        text: String,
    },

    /// A text does not name Python code.
    #[error("`{}` does not name Python code: {problem}", text.escape_debug())]
    PythonCode {
        /// The text, cut to 200 characters.
        text: String,
        /// The fault in it.
        problem: &'static str,
    },

    /// A batch came back with another number of entries than tasks went in.
    #[error("a batch of {expected} tasks came back with {given} entries")]
    EntryCount {
        /// Tasks in the batch.
        expected: usize,
        /// Entries that came back.
        given: usize,
    },

    /// A task's data has another type than a typed stage takes.
    #[error("the data is no `{expected}`")]
    Input {
        /// The Rust type that the stage takes.
        expected: &'static str,
        /// The cause.
        source: BoxError,
    },

    /// The output of a typed stage cannot be written as JSON.
    #[error("the stage's `{given}` cannot be written as JSON")]
    Output {
        /// The Rust type that the stage returned.
        given: &'static str,
        /// The cause.
        source: serde_json::Error,
    },

    /// A pipeline file cannot be read.
    ///
    /// The parser's own error quotes the line, which may contain a secret, so only its position and
    /// its message are kept.
    #[error("line {line}, column {column}: {}{problem}", in_file(*stage, field))]
    File {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The number of the stage in the file, from 0, if the fault is in one.
        stage: Option<usize>,
        /// The field of that stage, or else of the file, as in `args.n`; empty if it is in none.
        field: String,
        /// The fault there.
        problem: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },

    /// A stage in a pipeline file is invalid.
    #[error("line {line}, column {column}: {source}")]
    At {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The fault there; part of the message.
        source: Box<Self>,
    },

    /// A change to a pipeline file is for a stage that the file does not have.
    #[error("the pipeline has no stage named `{}`", name.escape_debug())]
    UnknownStage {
        /// The name as given.
        name: String,
        /// The stage that was probably meant.
        nearest: Option<String>,
    },

    /// A change to a pipeline file, or its result, is invalid.
    #[error("{}{problem}", in_front(key))]
    Assignment {
        /// The field that the change is for; empty if the text names none.
        key: String,
        /// The fault in it.
        problem: String,
    },

    /// A pipeline cannot be written as a pipeline file.
    #[error("pipeline `{pipeline}` cannot be written as a file")]
    ToFile {
        /// The pipeline.
        pipeline: String,
        /// The cause: a value that TOML lacks, such as `null`.
        source: toml::ser::Error,
    },

    /// A stage is Rust code, where only Python code can be used.
    #[error("stage `{stage}` is Rust code")]
    RustCode {
        /// The stage.
        stage: String,
    },

    /// A stage is Python code, where only Rust code can be used.
    #[error("stage `{stage}` is Python code")]
    PythonOnly {
        /// The stage.
        stage: String,
    },

    /// No Rust stage is registered under a name.
    #[error("no Rust stage is registered as `{name}`")]
    NotRegistered {
        /// The name.
        name: String,
        /// The names that are registered.
        known: Vec<String>,
    },

    /// The constructor of a registered Rust stage refused its arguments.
    #[error("the Rust stage `{name}` cannot be made")]
    Constructor {
        /// The name in the registry.
        name: String,
        /// The constructor's error.
        source: BoxError,
    },

    /// A stage's own code failed.
    #[error("{hook} of stage `{stage}` failed{}", on(task.as_ref()))]
    Stage {
        /// The stage.
        stage: String,
        /// `setup_on_node`, `setup`, `process` or `teardown`.
        hook: &'static str,
        /// The first task of the batch, if the hook had one.
        task: Option<TaskId>,
        /// The code's error.
        source: BoxError,
    },
}

fn in_front(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{}`: ", key.escape_debug()) }
}

/// Returns the beginning of a message about a field of a file, as in "`stage[0].args.n`: ".
fn in_file(stage: Option<usize>, field: &str) -> String {
    match stage {
        None if field.is_empty() => String::new(),
        None => format!("`{field}`: "),
        Some(index) if field.is_empty() => format!("`stage[{index}]`: "),
        Some(index) => format!("`stage[{index}].{field}`: "),
    }
}

fn on(task: Option<&TaskId>) -> String {
    task.map(|task| format!(" on task `{task}`")).unwrap_or_default()
}

impl Error {
    /// Returns the way out, if the message does not already say it.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::UnknownChild { nearest: Some(nearest), .. }
            | Self::UnknownOption { nearest: Some(nearest), .. }
            | Self::MissingInput { nearest: Some(nearest), .. }
            | Self::UnknownStage { nearest: Some(nearest), .. }
            | Self::File { nearest: Some(nearest), .. } => {
                return Some(format!("did you mean `{nearest}`?").into());
            }
            Self::At { source, .. } => return source.hint(),
            Self::Assignment { problem, .. } => {
                let nearest = nearest_field(problem)?;
                return Some(format!("did you mean `{nearest}`?").into());
            }
            Self::NoStages { .. } => "add one with `with_stage`",
            Self::DuplicateName { name, .. } => {
                return Some(
                    format!("give one of them another name, for instance `{name}_2`").into(),
                );
            }
            Self::UnknownChild { .. } => {
                "a renamed stage is known by its new name to later overrides only"
            }
            Self::MissingInput { .. } => {
                "declare it in the outputs of a stage before, or in the \
                 inputs of the first stage if the tasks bring it"
            }
            Self::MissingKeys { .. } => {
                "the stage before gives other keys than it declares, or the input lacks them"
            }
            Self::PythonCode { .. } => "write `file.py:Name` or `package.module:Name`",
            Self::EntryCount { .. } => {
                "return one entry per task, an empty one for a task that \
                 is dropped, or an explicit aggregate"
            }
            Self::RustCode { .. } => "a pipeline file holds Python stages only",
            Self::PythonOnly { .. } => "run it with an executor that has Python workers",
            Self::NotRegistered { name, known } => {
                match nearest(name, known.iter().map(String::as_str)) {
                    Some(nearest) => return Some(format!("did you mean `{nearest}`?").into()),
                    None => "register it with `Registry::with`",
                }
            }
            _ => return None,
        };
        Some(hint.into())
    }

    /// Returns the name of the stage that the error is about, if it is about one.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::Setting { stage, .. }
            | Self::UnknownOption { stage, .. }
            | Self::Option { stage, .. }
            | Self::MissingInput { stage, .. }
            | Self::MissingKeys { stage, .. }
            | Self::RustCode { stage }
            | Self::PythonOnly { stage }
            | Self::Stage { stage, .. } => Some(stage),
            Self::DuplicateName { name, .. } | Self::Name { what: "stage", name } => Some(name),
            Self::At { source, .. } => source.stage(),
            _ => None,
        }
    }

    /// Returns the number of the stage in its file, from 0, for the fault of a stage that could not be
    /// read and so has no name.
    #[must_use]
    pub fn stage_index(&self) -> Option<usize> {
        match self {
            Self::File { stage, .. } => *stage,
            _ => None,
        }
    }

    /// Returns the full text for a person: the message, those of all causes, and the hint.
    #[must_use]
    pub fn report(&self) -> String {
        envspec::report(self, None, self.hint().as_deref())
    }
}

const _: () = {
    const fn ok<T: Send + Sync + 'static>() {}
    ok::<Error>();
};

/// Returns the field that was probably meant, of those that serde lists in "unknown field `a`,
/// expected one of `b`, `c`".
pub(crate) fn nearest_field(message: &str) -> Option<String> {
    let rest = message
        .split_once("unknown field `")
        .or_else(|| message.split_once("unknown variant `"))?
        .1;
    let (unknown, rest) = rest.split_once('`')?;
    let (_, expected) = rest.split_once("expected ")?;
    nearest(unknown, expected.split('`').skip(1).step_by(2)).map(str::to_owned)
}
