//! `uv.toml` files, merged into one table of the settings in force.

use std::path::{Path, PathBuf};

use envspec::Tool;
use envspec::settings::{self, Effect, Setting};
use toml::{Table, Value};

use super::files::Contents;
use super::ini::{is_absent, refused as broken};
use super::words::{refused, unknown};
use crate::error::Error;

/// Merges files, the earlier winning, without settings that are never in force. `None` if there is
/// no file.
pub(super) fn merged(
    files: &[PathBuf],
    dir: &Path,
    known: &mut Contents,
    told: &mut Vec<String>,
) -> Result<Option<Table>, Error> {
    let mut all: Option<Table> = None;
    for file in files {
        let text = match files::read_file_text(file, files::MOST_TEXT) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => continue,
            Err(source) => return Err(Error::Io { action: "read", path: file.clone(), source }),
        };
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            broken(file, None, &envspec::redact(error.message()))
        })?;
        let mut filter = Filter { file, dir, known: &mut *known, told: &mut *told };
        let table = filter.table(table, "");
        match &mut all {
            Some(all) => combine(all, table),
            None => all = Some(table),
        }
    }
    Ok(all)
}

struct Filter<'a> {
    file: &'a Path,
    /// The caller's folder.
    dir: &'a Path,
    known: &'a mut Contents,
    told: &'a mut Vec<String>,
}

impl Filter<'_> {
    fn table(&mut self, table: Table, within: &str) -> Table {
        let mut kept = Table::new();
        for (key, value) in table {
            if let (true, Value::Table(inner)) = (within.is_empty() && key == "pip", &value) {
                kept.insert(key, Value::Table(self.table(inner.clone(), "pip.")));
                continue;
            }
            let name = format!("{within}{key}");
            let place = format!("`{}`", self.file.display());
            let Some(setting) = settings::by_name(Tool::Uv, &key) else {
                self.told.push(unknown(Tool::Uv, &name, &place));
                continue;
            };
            match setting.effect {
                Effect::Ours => {}
                // `system = false` matches what is done anyway.
                Effect::Refused if value == Value::Boolean(false) => {}
                Effect::Refused => self.told.push(refused(&name, &place)),
                Effect::Counts | Effect::Quiet => {
                    kept.insert(key, self.value(setting, value));
                }
            }
        }
        kept
    }

    /// Makes the paths in a value absolute.
    fn value(&mut self, setting: &Setting, value: Value) -> Value {
        match value {
            Value::String(text) => {
                let own = self.file.parent().unwrap_or(Path::new("/"));
                let dir = if setting.value == settings::Value::Path { self.dir } else { own };
                let (text, named) = setting.value.absolute(&text, None, dir);
                self.known.note(&text, "", &named);
                Value::String(text)
            }
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.value(setting, item)).collect())
            }
            Value::Table(mut index) if setting.name == "index" => {
                if let Some(url) = index.remove("url") {
                    index.insert("url".to_owned(), self.value(setting, url));
                }
                Value::Table(index)
            }
            other => other,
        }
    }
}

/// Merges another file, as uv does: lists are joined, tables are merged, and otherwise the first
/// value stays.
fn combine(all: &mut Table, other: Table) {
    for (key, value) in other {
        match (all.get_mut(&key), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (Some(Value::Table(table)), Value::Table(more)) => combine(table, more),
            (Some(_), _) => {}
            (None, value) => {
                all.insert(key, value);
            }
        }
    }
}

/// Returns the part of the table that affects the installed packages, with contents in place of
/// paths.
pub(super) fn counting(table: &Table, known: &Contents) -> Table {
    let mut kept = Table::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if key == "pip" => {
                let inner = counting(inner, known);
                if !inner.is_empty() {
                    kept.insert(key.clone(), Value::Table(inner));
                }
            }
            _ => {
                let setting = settings::by_name(Tool::Uv, key);
                if setting.is_some_and(|setting| setting.effect == Effect::Counts) {
                    kept.insert(key.clone(), by_contents(value, known));
                }
            }
        }
    }
    kept
}

fn by_contents(value: &Value, known: &Contents) -> Value {
    match value {
        Value::String(text) => Value::String(known.told(text).unwrap_or_else(|| text.clone())),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| by_contents(item, known)).collect())
        }
        Value::Table(table) => {
            let inner = table.iter().map(|(key, item)| (key.clone(), by_contents(item, known)));
            Value::Table(inner.collect())
        }
        other => other.clone(),
    }
}
