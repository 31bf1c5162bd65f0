//! Changes to a pipeline file from outside: `stage.NAME.batch_size=8`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Number, Value};
use toml::de::DeTable;

use super::places::reserved_key;
use crate::Error;
use crate::task::{find_inexact, reserved};
use envspec::{json, nearest};

/// A field of a pipeline file, and a new value for it.
///
/// Its text form is `KEY=VALUE`, both as in TOML. The parts of the key are the fields on the path,
/// and for a stage its name: `failure_policy="record"`, `engine.cpus=2`,
/// `stage.clean.batch_size=8`, `stage."v2.0".args.depth=3`.
///
/// ```
/// use stage::{Assignment, PipelineFile};
///
/// let file = PipelineFile::from_toml("name = 'p'\n[[stage]]\npython = 'a.py:Clean'", "/dir")?;
/// let changed = file.with_assignments(&["stage.Clean.batch_size=8".parse()?])?;
/// assert_eq!(changed.pipeline().build()?.stages()[0].settings().batch_size, Some(8));
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Assignment {
    /// At least one.
    path: Vec<String>,
    value: Value,
}

/// Fields of which a stage has at most one: setting one removes the other.
const EITHER: [&str; 2] = ["num_workers", "num_workers_per_node"];

impl Assignment {
    /// Returns the key, as given except for quotes and spaces.
    #[must_use]
    pub fn key(&self) -> String {
        self.path.join(".")
    }

    /// Puts the value in its place in a pipeline file that was read.
    pub(super) fn apply(&self, file: &mut Value) -> Result<(), Error> {
        let mut place = file;
        let mut path = self.path.as_slice();
        if let ["stage", name, ..] = path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            place = find(place, name)
                .map_err(|nearest| Error::UnknownStage { name: name.to_owned(), nearest })?;
            path = &path[2..];
        }
        let Some((last, tables)) = path.split_last() else {
            return Err(self.wrong("a field of the stage has to follow its name"));
        };
        if path.len() == self.path.len() && last == "stage" {
            return Err(self.wrong("a stage's name and field have to follow `stage`"));
        }
        for table in tables {
            let fields = place.as_object_mut().ok_or_else(|| self.wrong(NO_TABLE))?;
            place = fields.entry(table).or_insert_with(|| Value::Object(Map::new()));
        }
        let fields = place.as_object_mut().ok_or_else(|| self.wrong(NO_TABLE))?;
        if EITHER.contains(&last.as_str()) && tables.is_empty() {
            fields.retain(|field, _| !EITHER.contains(&field.as_str()));
        }
        fields.insert(last.clone(), self.value.clone());
        Ok(())
    }

    fn wrong(&self, problem: &'static str) -> Error {
        Error::Assignment { key: self.key(), problem: problem.to_owned() }
    }

    /// Returns whether a faulty field is this one, is within it, or contains it. `path` has a
    /// stage's place instead of the name in the key, so `stages` lists the names.
    pub(super) fn touches(&self, path: &str, stages: &[String]) -> bool {
        let mut key = self.path.clone();
        if let Some(index) = (key.len() > 1 && key[0] == "stage")
            .then(|| stages.iter().position(|name| *name == key[1]))
            .flatten()
        {
            key.splice(..2, [format!("stage[{index}]")]);
        }
        let key = key.join(".");
        key.starts_with(path) || path.starts_with(&key)
    }
}

const NO_TABLE: &str = "what it is a field of is no table";

/// Returns the stage of that name; if there is none, the nearest name.
fn find<'a>(file: &'a mut Value, name: &str) -> Result<&'a mut Value, Option<String>> {
    let stages = file["stage"].as_array_mut().ok_or(None)?;
    if let Some(position) = stages.iter().position(|stage| stage["name"] == name) {
        return Ok(&mut stages[position]);
    }
    let names = stages.iter().filter_map(|stage| stage["name"].as_str());
    Err(nearest(name, names).map(str::to_owned))
}

impl FromStr for Assignment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |key: &str, problem: &str| Error::Assignment {
            key: key.trim().chars().take(200).collect(),
            problem: problem.to_owned(),
        };
        let Some((key, value)) = split(text) else {
            // The text may be a secret.
            return Err(wrong("", "there is no `=` between key and value"));
        };
        let path = path(key).ok_or_else(|| wrong(key, "is no key, as TOML writes it"))?;
        let value = value_of(value).map_err(|problem| wrong(key, &problem))?;
        Ok(Self { path, value })
    }
}

/// Splits at the first `=` outside of quotes.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (place, letter) in text.char_indices() {
        match (letter, quote) {
            ('=', None) => return Some((&text[..place], &text[place + 1..])),
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            _ => {}
        }
    }
    None
}

fn path(key: &str) -> Option<Vec<String>> {
    let mut table: toml::Table = toml::from_str(&format!("{key} = 0")).ok()?;
    let mut path = Vec::new();
    loop {
        let (name, value) = table.into_iter().next()?;
        path.push(name);
        match value {
            toml::Value::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    #[serde(deserialize_with = "json::value")]
    value: Value,
}

fn value_of(text: &str) -> Result<Value, Cow<'static, str>> {
    let text = text.trim();
    let line = format!("value = {text}");
    let table = DeTable::parse(&line).ok();
    if let Some((_, key)) = table.as_ref().and_then(|table| reserved_key(table.get_ref())) {
        return Err(reserved(&key).into());
    }
    let problem = match toml::from_str::<Only>(&line) {
        Ok(only) => return Ok(only.value),
        Err(error) => error.message().to_owned(),
    };
    // TOML limits integers; JSON does not.
    if let Ok(number) = text.parse::<Number>() {
        return match find_inexact(text) {
            Some(inexact) => Err(inexact.problem.into()),
            None => Ok(Value::Number(number)),
        };
    }
    Err(if problem.starts_with("JSON has no ") {
        problem.into()
    } else if text.starts_with(|letter: char| letter.is_alphabetic() || letter == '/') {
        "has no value that TOML knows: text stands in quotes, as in 'KEY=\"text\"'".into()
    } else {
        "has no value that TOML and JSON know".into()
    })
}

/// Leaves out the value, which may be secret.
impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assignment({} = …)", self.key())
    }
}
