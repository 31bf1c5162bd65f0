//! Reading a spec from a value, with Ray's types and better errors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::packages::{Fields, PackageList, Packages};
use crate::redact::redact;
use crate::runtime_env::{Config, ENGINE_FIELDS, RuntimeEnv, SetupTimeout};
use crate::suggest::nearest;
use crate::tool::Tool;
use crate::{json, name};

/// The fields that this crate models.
pub(crate) const FIELDS: [&str; 13] = [
    "pip",
    "uv",
    "python",
    "py_executable",
    "env_vars",
    "working_dir",
    "py_modules",
    "excludes",
    "constraints",
    "overrides",
    "keep",
    "config",
    "conda",
];

pub(crate) const CONFIG_FIELDS: [&str; 4] =
    ["setup_timeout_seconds", "eager_install", "log_files", "build_env"];

impl RuntimeEnv {
    /// Reads JSON in the shape of Ray's `runtime_env`. Fails for a repeated key.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let mut read = serde_json::Deserializer::from_str(text);
        let value = json::value(&mut read).and_then(|value| read.end().map(|()| value));
        Self::from_value(value.map_err(|source| Error::Json { source })?)
    }

    /// Reads TOML in the shape of Ray's `runtime_env`.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let read = toml::Deserializer::parse(text).map_err(|mut source| {
            // The parser would quote the line that it failed on, with the credentials in it.
            source.set_input(None);
            Error::Toml { source: Box::new(source) }
        })?;
        let mut track = serde_path_to_error::Track::new();
        let value = json::value(serde_path_to_error::Deserializer::new(read, &mut track));
        Self::from_value(value.map_err(|error| Error::NotJson {
            field: match track.path().to_string().as_str() {
                "." => "runtime_env".to_owned(),
                path => path.to_owned(),
            },
            problem: error.message().to_owned(),
        })?)
    }

    /// Reads a JSON value in the shape of Ray's `runtime_env`.
    pub fn from_value(value: Value) -> Result<Self, Error> {
        runtime_env(value)
    }
}

fn runtime_env(value: Value) -> Result<RuntimeEnv, Error> {
    let table = table("runtime_env", value)?;
    let mut spec = RuntimeEnv::default();
    let mut other_packages = None;
    for (field, value) in table {
        // In Ray, a field that is None is absent.
        if value.is_null() {
            continue;
        }
        let name = field.as_str();
        match name {
            "pip" => spec.packages = packages(Tool::Pip, value)?,
            "uv" => other_packages = packages(Tool::Uv, value)?,
            "python" => spec.python = Some(PathBuf::from(filled(name, value)?)),
            "py_executable" => spec.py_executable = Some(filled(name, value)?),
            "env_vars" => spec.env_vars = env_vars(value)?,
            "working_dir" => spec.working_dir = Some(filled(name, value)?),
            "py_modules" => spec.py_modules = texts(name, value)?,
            "excludes" => spec.excludes = texts(name, value)?,
            "constraints" => spec.constraints = list(name, value)?,
            "overrides" => spec.overrides = list(name, value)?,
            "keep" => spec.keep = names(name, value)?,
            "config" => spec.config = config(value)?,
            _ if ENGINE_FIELDS.contains(&name) => {
                spec.engine_fields.insert(field, value);
            }
            _ => return Err(unknown(name, "", &FIELDS)),
        }
    }
    spec.packages = match (spec.packages.take(), other_packages) {
        (Some(_), Some(_)) => return Err(Error::Conflict { first: "pip", second: "uv" }),
        (pip, uv) => pip.or(uv),
    };
    spec.check_conda()?;
    Ok(spec)
}

impl RuntimeEnv {
    /// Fails for `conda` beside `pip` or `uv`, since Ray takes only one of them.
    pub(crate) fn check_conda(&self) -> Result<(), Error> {
        match &self.packages {
            Some(packages) if self.engine_fields.contains_key("conda") => {
                Err(Error::Conflict { first: packages.tool.as_str(), second: "conda" })
            }
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for RuntimeEnv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = json::value(deserializer)?;
        runtime_env(value).map_err(|error| de::Error::custom(error.chain()))
    }
}

/// Returns the error for an unknown field. It also suggests fields that only Ray serves.
pub(crate) fn unknown(field: &str, prefix: &str, known: &[&'static str]) -> Error {
    let mut known = known.to_vec();
    if prefix.is_empty() {
        known.extend(ENGINE_FIELDS.iter().filter(|name| !name.starts_with('_')));
    }
    let nearest = nearest(field, known.iter().copied());
    Error::UnknownField { field: format!("{prefix}{}", excerpt(field)), nearest }
}

fn packages(tool: Tool, value: Value) -> Result<Option<Packages>, Error> {
    const EXPECTED: &str = "a list of requirements, the path of a requirements file, or a table";
    let name = tool.as_str();
    let packages = match value {
        Value::String(_) | Value::Array(_) => Packages::new(tool, list(name, value)?),
        Value::Object(table) => packages_table(tool, table)?,
        other => return Err(wrong_type(name, EXPECTED, &other)),
    };
    Ok((!packages.list.is_empty()).then_some(packages))
}

/// Reads the table form. In Ray, only `pip` takes a path under `packages`; here `uv` does, too.
fn packages_table(tool: Tool, table: Map<String, Value>) -> Result<Packages, Error> {
    let name = tool.as_str();
    let fields = Fields::of(tool);
    let mut packages = Packages::new(tool, PackageList::default());
    let mut is_given = false;
    for (key, value) in table {
        let field = format!("{name}.{key}");
        if key == "packages" {
            packages.list = list(&field, value)?;
            is_given = true;
        } else if value.is_null() && fields.all.contains(&key.as_str()) {
            // Like an absent field.
        } else if key == fields.check {
            packages.check = flag(&field, &value)?;
        } else if key == fields.version {
            packages.version = Some(filled(&field, value)?);
        } else if key == fields.options {
            packages.options = Some(texts(&field, value)?);
        } else {
            return Err(unknown(&key, &format!("{name}."), &fields.all));
        }
    }
    if is_given {
        Ok(packages)
    } else {
        Err(Error::MissingField { field: format!("{name}.packages") })
    }
}

fn list(field: &str, value: Value) -> Result<PackageList, Error> {
    match value {
        Value::String(path) if path.trim().is_empty() => Err(empty(field)),
        Value::String(path) => Ok(PackageList::File(PathBuf::from(path))),
        Value::Array(_) => Ok(PackageList::Lines(texts(field, value)?)),
        other => Err(wrong_type(
            field,
            "a list of requirements or the path of a requirements file",
            &other,
        )),
    }
}

fn config(value: Value) -> Result<Config, Error> {
    let mut config = Config::default();
    for (key, value) in table("config", value)? {
        if value.is_null() && CONFIG_FIELDS.contains(&key.as_str()) {
            continue;
        }
        let field = format!("config.{key}");
        match key.as_str() {
            "setup_timeout_seconds" => config.setup_timeout = setup_timeout(&field, &value)?,
            "eager_install" => config.eager_install = Some(flag(&field, &value)?),
            "log_files" => config.log_files = texts(&field, value)?,
            "build_env" => config.build_env = texts(&field, value)?,
            _ => return Err(unknown(&key, "config.", &CONFIG_FIELDS)),
        }
    }
    Ok(config)
}

fn setup_timeout(field: &str, value: &Value) -> Result<SetupTimeout, Error> {
    const EXPECTED: &str = "a whole number of seconds";
    let Value::Number(number) = value else {
        return Err(wrong_type(field, EXPECTED, value));
    };
    if number.is_f64() {
        return Err(wrong_type(field, EXPECTED, value));
    }
    match number.as_i64() {
        Some(-1) => Ok(SetupTimeout::Never),
        Some(seconds) if seconds > 0 => Ok(SetupTimeout::Seconds(seconds.unsigned_abs())),
        _ => Err(Error::InvalidValue {
            field: field.to_owned(),
            value: number.to_string(),
            reason: "it is neither a positive number of seconds nor -1 for no limit",
        }),
    }
}

fn env_vars(value: Value) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    for (name, value) in table("env_vars", value)? {
        match value {
            Value::String(value) => {
                check_variable(&name, &value)?;
                variables.insert(name, value);
            }
            // The value may be a credential, so the error names its kind only.
            other => {
                return Err(Error::WrongType {
                    field: format!("env_vars.{}", excerpt(&name)),
                    expected: "text",
                    found: kind(&other).to_owned(),
                });
            }
        }
    }
    Ok(variables)
}

/// Fails for names and values that no process can have as an environment variable.
pub(crate) fn check_variable(name: &str, value: &str) -> Result<(), Error> {
    let invalid = |shown: String, reason| Error::InvalidValue {
        field: format!("env_vars.{}", excerpt(name)),
        value: shown,
        reason,
    };
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(invalid(excerpt(name), "it is no name of an environment variable"));
    }
    if value.contains('\0') {
        return Err(invalid("…".to_owned(), "it holds a zero byte"));
    }
    Ok(())
}

fn names(field: &str, value: Value) -> Result<Vec<String>, Error> {
    let names = texts(field, value)?;
    match names.iter().position(|name| !name::is_name(name)) {
        Some(index) => Err(Error::InvalidValue {
            field: format!("{field}[{index}]"),
            value: excerpt(&names[index]),
            reason: "it is no name of a package",
        }),
        None => Ok(names),
    }
}

fn table(field: &str, value: Value) -> Result<Map<String, Value>, Error> {
    match value {
        Value::Object(table) => Ok(table),
        other => Err(wrong_type(field, "a table", &other)),
    }
}

fn flag(field: &str, value: &Value) -> Result<bool, Error> {
    value.as_bool().ok_or_else(|| wrong_type(field, "true or false", value))
}

fn text(field: &str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(field, "text", &other)),
    }
}

/// Reads a text that is not blank.
fn filled(field: &str, value: Value) -> Result<String, Error> {
    let text = text(field, value)?;
    if text.trim().is_empty() { Err(empty(field)) } else { Ok(text) }
}

fn empty(field: &str) -> Error {
    Error::InvalidValue { field: field.to_owned(), value: String::new(), reason: "it is empty" }
}

fn texts(field: &str, value: Value) -> Result<Vec<String>, Error> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| text(&format!("{field}[{index}]"), item))
            .collect(),
        other => Err(wrong_type(field, "a list of texts", &other)),
    }
}

fn wrong_type(field: &str, expected: &'static str, value: &Value) -> Error {
    let found = match value {
        Value::Null | Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("{} `{value}`", kind(value)),
        Value::String(text) => format!("the text `{}`", excerpt(text)),
    };
    Error::WrongType { field: field.to_owned(), expected, found }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "the truth value",
        Value::Number(_) => "the number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// Returns the start of a text, without credentials, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    const LENGTH: usize = 120;
    let text = redact(text);
    let mut excerpt: String =
        text.chars().take(LENGTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LENGTH).is_some() {
        excerpt.push('…');
    }
    excerpt
}
