//! Errors in a spec.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::tool::Tool;

/// Why a spec was refused.
///
/// Messages name the field and the value, never a credential; [`Error::hint`] returns the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not JSON.
    #[error("the runtime_env is not valid JSON")]
    Json {
        /// The parser's own words.
        source: serde_json::Error,
    },
    /// The text is not TOML.
    #[error("the runtime_env is not valid TOML")]
    Toml {
        /// The parser's own words.
        source: Box<toml::de::Error>,
    },
    /// A value that TOML has and JSON lacks: a date, or a number that is not finite.
    #[error("`{field}`: {problem}")]
    NotJson {
        /// The field, with the fields around it and the position (`conda.channels[2]`).
        field: String,
        /// Why it is refused.
        problem: String,
    },
    /// A field that neither Ray nor this crate knows.
    #[error("`{field}` is no field of a runtime_env")]
    UnknownField {
        /// The field, with the fields around it (`config.setup_timeout`).
        field: String,
        /// The known field whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// A field holds a value of another type.
    #[error("`{field}` takes {expected}, not {found}")]
    WrongType {
        /// The field, with the fields around it and the position (`pip.packages[2]`).
        field: String,
        /// The types that the field takes.
        expected: &'static str,
        /// The value or type that was found.
        found: String,
    },
    /// A field has a value of the right type that is not allowed.
    #[error("`{field}` cannot be `{value}`: {reason}")]
    InvalidValue {
        /// The field.
        field: String,
        /// The value, without credentials.
        value: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A table lacks a field that it needs.
    #[error("`{field}` is missing")]
    MissingField {
        /// The field.
        field: String,
    },
    /// Two fields that exclude each other are both set.
    #[error("`{first}` and `{second}` cannot both be set")]
    Conflict {
        /// One of the fields.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// A text is not a requirement.
    #[error("`{text}` is no requirement: {reason}")]
    Requirement {
        /// The text, without credentials.
        text: String,
        /// The fault in the text.
        reason: String,
    },
    /// A requirement in a place that allows only a name with versions.
    #[error("`{text}` cannot be {role}: {reason}")]
    Role {
        /// The requirement, without credentials.
        text: String,
        /// The purpose that it was given for (`a constraint`).
        role: &'static str,
        /// Why that is not possible.
        reason: &'static str,
    },
    /// An option line that is not understood.
    #[error("the option `{option}` is not understood in requirements")]
    UnknownOption {
        /// The option as written, without its value.
        option: String,
        /// The known option whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// An option that the package manager is not known to have.
    #[error("the option `{option}` is none that {tool} is known to have")]
    UnknownToolOption {
        /// The package manager.
        tool: Tool,
        /// The option, without its value.
        option: String,
        /// The known option whose name is nearest, without dashes, if one is near.
        nearest: Option<&'static str>,
    },
    /// A shortened name that several options begin with.
    #[error("the option `{option}` may be one of {}", candidates.join(", "))]
    AmbiguousOption {
        /// The option, without its value.
        option: String,
        /// The options that it may mean.
        candidates: Vec<String>,
    },
    /// An option line lacks its value, or has one that it does not take.
    #[error("the option `{option}` {reason}")]
    OptionValue {
        /// The option.
        option: String,
        /// The fault.
        reason: &'static str,
    },
    /// An option that says where packages go, for which Python, or whether any are installed.
    #[error(
        "the option `{option}` is refused: a spec does not say where packages go, or whether they are installed"
    )]
    ForbiddenOption {
        /// The option.
        option: String,
    },
    /// An option that contradicts a fixed setting of every environment.
    #[error("the option `{option}` is refused: {reason}")]
    OverriddenOption {
        /// The option.
        option: String,
        /// The fixed setting.
        reason: &'static str,
    },
    /// `${NAME}` in a place where no variable is expanded.
    #[error("`{text}` uses the variable `{variable}`, which is not expanded here")]
    Variable {
        /// The name between the braces.
        variable: String,
        /// The text, without credentials.
        text: String,
    },
    /// Lines give two addresses of the first index to a package manager that takes one.
    #[error("`--index-url` is `{first}` and `{second}`, and uv takes one")]
    TwoIndexes {
        /// The address that came first, without credentials.
        first: String,
        /// The other one, without credentials.
        second: String,
    },
    /// A fault in a line of a requirements file.
    #[error("line {line} of `{}` cannot be used", file.display())]
    InFile {
        /// The requirements file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The fault in the line.
        source: Box<Error>,
    },
    /// A fault in an item of a field.
    #[error("`{field}` cannot be used")]
    InField {
        /// The field, with its position (`pip[2]`).
        field: String,
        /// The fault in the item.
        source: Box<Error>,
    },
    /// A file that the spec refers to could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The source's error.
        source: io::Error,
    },
    /// A folder that the spec refers to could not be listed.
    #[error("failed to list `{}`", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The source's error.
        source: io::Error,
    },
    /// The package manager cannot read the text of a requirements file.
    #[error("`{}` is no text that {tool} reads: {reason}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The package manager.
        tool: Tool,
        /// Why it cannot.
        reason: String,
    },
    /// A file of another kind, or with a fault, is named as a requirements file.
    #[error("`{}` cannot be read as requirements: {reason}", path.display())]
    NoRequirements {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
        /// The way out.
        hint: Option<String>,
    },
    /// A requirements file includes itself, perhaps by way of others.
    #[error("`{}` includes itself", path.display())]
    Cycle {
        /// The file.
        path: PathBuf,
    },
    /// Requirements files include each other too deeply.
    #[error("`{}` is nested more than {limit} files deep", path.display())]
    TooDeep {
        /// The first file that was not read.
        path: PathBuf,
        /// The maximum depth.
        limit: usize,
    },
    /// An editable has no file that says how to build it.
    #[error("`{}` holds no pyproject.toml, setup.py or setup.cfg", path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
    },
    /// A project asks git for its version, and the repository cannot be read here.
    #[error("the repository in `{}` tells a version and cannot be read: {reason}", path.display())]
    Repository {
        /// The work tree.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// A project is built from a copy of its folder, and refers to another project in a way that
    /// breaks in a copy.
    #[error("`{field}` of `{}` names `{name}` by its place, and {reason}", project.display())]
    Place {
        /// The project's folder.
        project: PathBuf,
        /// The field that names the other project.
        field: String,
        /// The other project.
        name: String,
        /// Why the reference breaks.
        reason: &'static str,
        /// The way out.
        hint: String,
    },
    /// The folder that relative paths start from is relative itself.
    #[error("the folder `{}` is not absolute", path.display())]
    RelativeFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A text is not a digest.
    #[error("`{text}` is no digest")]
    Digest {
        /// The text.
        text: String,
    },
}

const _: () = {
    const fn ok<T: Send + Sync + 'static>() {}
    ok::<Error>();
};

impl Error {
    /// Returns the way out, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::UnknownField { nearest: Some(nearest), .. }
            | Self::UnknownOption { nearest: Some(nearest), .. } => {
                return Some(format!("did you mean `{nearest}`?").into());
            }
            Self::UnknownToolOption { nearest: Some(nearest), .. } => {
                return Some(format!("did you mean `--{nearest}`?").into());
            }
            Self::UnknownToolOption { nearest: None, .. } => {
                "leave it out, or spell it as the package manager's own `--help` does"
            }
            Self::AmbiguousOption { .. } => "write the whole name",
            Self::UnknownOption { nearest: None, .. } => {
                "give options of the package manager in `pip_install_options` or \
                 `uv_pip_install_options`"
            }
            Self::WrongType { expected: "text", found, .. } if found.starts_with("the number") => {
                "put the value in quotes"
            }
            Self::MissingField { field } => {
                return Some(
                    format!("add `{field}`, or give the list in place of the table").into(),
                );
            }
            Self::Conflict { first: "pip" | "uv", second: "pip" | "uv" } => {
                "keep one of them; an empty list counts as not set"
            }
            Self::Conflict { .. } => {
                "keep one of them: a prebuilt interpreter or image is used as it is, and nothing is \
                 installed into it"
            }
            Self::Role { .. } => "write `name==version`, or another name with versions",
            Self::ForbiddenOption { .. } => {
                "leave it out; packages are always installed into the stage's own environment"
            }
            Self::OverriddenOption { .. } => "leave it out of the spec",
            Self::Variable { .. } => {
                "write the value; variables are expanded only in the user, the password and the \
                 tokens of a URL (these from `env_vars` alone), besides \
                 `${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}`"
            }
            Self::TwoIndexes { .. } => {
                "keep one of them, and give the other as `--extra-index-url`, which uv asks first"
            }
            Self::Read { source, path } if source.kind() == io::ErrorKind::IsADirectory => {
                let path = path.display();
                let hint = format!(
                    "a text names a requirements file; to install the project in a folder, write a \
                     list: [\"{path}\"]"
                );
                return Some(hint.into());
            }
            Self::Read { source, path } | Self::List { source, path }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                let path = path.display();
                let hint = format!(
                    "create `{path}`, or correct the path: a relative one starts at the folder of \
                     the file that names it"
                );
                return Some(hint.into());
            }
            Self::List { source, .. } if source.kind() == io::ErrorKind::Unsupported => {
                "load the spec with a `Source` that lists folders"
            }
            Self::NoRequirements { hint, .. } => return hint.as_deref().map(Cow::Borrowed),
            Self::Place { hint, .. } => return Some(Cow::Borrowed(hint)),
            Self::NotText { .. } => "save the file as UTF-8",
            Self::Cycle { .. } => "move what both files need into a third one",
            Self::NoProject { .. } => "an editable is the folder of a Python project",
            Self::Repository { .. } => {
                "name the repository as `name @ git+file:///folder@tag` (with pip also `hg+file:`), \
                 build a wheel and name that, or install the project in place (`-e`)"
            }
            Self::RelativeFolder { .. } => "make it absolute before loading the spec",
            Self::InFile { source, .. } | Self::InField { source, .. } => return source.hint(),
            _ => return None,
        };
        Some(hint.into())
    }

    /// Returns the full text for a person: the message, those of all causes, and the hint.
    #[must_use]
    pub fn report(&self) -> String {
        crate::report(self, None, self.hint().as_deref())
    }

    /// Returns the message and those of all causes in one text, since serde's errors hold one text.
    pub(crate) fn chain(&self) -> String {
        let mut text = crate::messages(self).join(": ");
        if let Some(hint) = self.hint() {
            text.push_str(" (");
            text.push_str(&hint);
            text.push(')');
        }
        text
    }

    pub(crate) fn in_field(self, field: impl Into<String>) -> Self {
        Self::InField { field: field.into(), source: Box::new(self) }
    }
}
