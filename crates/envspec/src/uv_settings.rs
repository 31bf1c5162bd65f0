//! uv's settings in a `pyproject.toml` or in a script's block, as options of its command line. They
//! say where the packages that the file names come from.

use std::path::Path;

use toml::{Table, Value};

use crate::location;
use crate::settings::{self, Effect, Setting, Value as Kind};
use crate::tool::Tool;

/// The settings that are in force.
#[derive(Debug, Default)]
pub(crate) struct UvSettings {
    /// Options.
    pub(crate) words: Vec<String>,
    /// `constraint-dependencies`
    pub(crate) constraints: Vec<String>,
    /// `override-dependencies`
    pub(crate) overrides: Vec<String>,
}

/// Settings for access to an index, which are also options.
const REACH: [&str; 4] = ["allow-insecure-host", "keyring-provider", "native-tls", "system-certs"];

/// Tables and lists among the settings that affect builds and for which `uv pip install` has no
/// options.
const NO_OPTIONS: [&str; 7] = [
    "build-constraint-dependencies",
    "config-settings-package",
    "dependency-metadata",
    "exclude-dependencies",
    "exclude-newer-package",
    "extra-build-dependencies",
    "extra-build-variables",
];

/// Reads the table `tool.uv` of a file in the folder `dir`. The error is the fault, in words.
pub(crate) fn read(table: &Table, dir: &Path) -> Result<UvSettings, String> {
    let mut all = table.clone();
    // What is said of uv's `pip` alone comes first.
    if let Some(Value::Table(of_pip)) = all.remove("pip") {
        all.extend(of_pip);
    }
    let mut found = UvSettings::default();
    for (key, value) in &all {
        if key == "sources" || key == "dependency-groups" {
            continue;
        }
        match (key.as_str(), value) {
            ("constraint-dependencies", _) => found.constraints = texts(key, value)?,
            ("override-dependencies", _) => found.overrides = texts(key, value)?,
            ("index", Value::Array(indexes)) => {
                for index in indexes {
                    found.words.extend(index_word(index, dir)?);
                }
            }
            _ => option(key, value, dir, &mut found.words)?,
        }
    }
    Ok(found)
}

fn option(key: &str, value: &Value, dir: &Path, words: &mut Vec<String>) -> Result<(), String> {
    let Some(setting) = settings::by_name(Tool::Uv, key) else {
        return Err(format!("`tool.uv.{key}` in it is no setting that uv is known to have"));
    };
    let counts = setting.effect == Effect::Counts || REACH.contains(&key);
    if !counts {
        return Ok(());
    }
    let wrong = || {
        format!(
            "`tool.uv.{key}` in it decides what is installed, and is not read here: keep it in a \
             `uv.toml`, which `UV_CONFIG_FILE` names"
        )
    };
    if NO_OPTIONS.contains(&key) {
        return Err(wrong());
    }
    if let ("config-settings", Value::Table(table)) = (key, value) {
        for (name, value) in table {
            let value = value.as_str().ok_or_else(wrong)?;
            words.push(format!("--{key}={name}={value}"));
        }
        return Ok(());
    }
    // In uv's own table, and not in that of its `pip`, this is said of all packages.
    if let ("no-binary", Value::Boolean(is_on)) = (key, value) {
        words.extend(is_on.then(|| format!("--{key}=:all:")));
        return Ok(());
    }
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for value in values {
        words.extend(match value {
            Value::Boolean(true) => Some(format!("--{key}")),
            Value::Boolean(false) => None,
            Value::String(text) => Some(format!("--{key}={}", placed(setting, text, dir))),
            Value::Integer(number) => Some(format!("--{key}={number}")),
            Value::Datetime(time) => Some(format!("--{key}={time}")),
            _ => return Err(wrong()),
        });
    }
    Ok(())
}

/// Returns the option for an index; none for one that is `explicit`, which only `tool.uv.sources`
/// uses.
fn index_word(index: &Value, dir: &Path) -> Result<Option<String>, String> {
    let flag = |key| index.get(key).and_then(Value::as_bool).unwrap_or_default();
    let text = |key| index.get(key).and_then(Value::as_str);
    if flag("explicit") {
        return Ok(None);
    }
    let url = text("url").ok_or("an index of `tool.uv.index` in it has no `url`")?;
    let url = absolute(url, dir);
    if text("format") == Some("flat") {
        return Ok(Some(format!("--find-links={url}")));
    }
    let option = if flag("default") { "default-index" } else { "index" };
    let name = text("name").map(|name| format!("{name}=")).unwrap_or_default();
    Ok(Some(format!("--{option}={name}{url}")))
}

fn placed(setting: &Setting, text: &str, dir: &Path) -> String {
    match setting.value {
        Kind::Flag | Kind::Text => text.to_owned(),
        Kind::Path | Kind::Files | Kind::Links | Kind::Indexes => absolute(text, dir),
    }
}

fn absolute(text: &str, dir: &Path) -> String {
    if location::scheme(text).is_some() {
        return text.to_owned();
    }
    location::absolute(dir, text).to_string_lossy().into_owned()
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    let texts: Option<Vec<String>> = texts;
    texts.filter(|_| value.is_array()).ok_or(format!("`tool.uv.{key}` in it is no list of texts"))
}
