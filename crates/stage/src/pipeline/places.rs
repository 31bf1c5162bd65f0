//! Positions in a pipeline file: of the stages' fields, so that errors found after reading have a
//! line number, and of keys that would not be read as such.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::Error;
use crate::task::is_reserved;

/// The lines and columns of the stages' fields, by the stages' order. A stage itself has the empty
/// name.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<BTreeMap<String, (usize, usize)>>);

impl Places {
    /// Returns the positions in a text.
    pub(super) fn of_toml(text: &str) -> Self {
        let Ok(table) = DeTable::parse(text) else { return Self::default() };
        let Some(DeValue::Array(stages)) = table.get_ref().get("stage").map(toml::Spanned::get_ref)
        else {
            return Self::default();
        };
        let mut places = vec![BTreeMap::new(); stages.len()];
        // In the order of the text, so that one pass is enough.
        let mut starts = Vec::new();
        for (index, stage) in stages.iter().enumerate() {
            starts.push((stage.span().start, index, String::new()));
            if let DeValue::Table(fields) = stage.get_ref() {
                let names = fields.iter().map(|(name, _)| name);
                starts.extend(names.map(|it| (it.span().start, index, it.get_ref().to_string())));
            }
        }
        starts.sort_unstable();
        let (mut line, mut column, mut done) = (1, 1, 0);
        for (start, index, name) in starts {
            for letter in text.get(done..start).unwrap_or_default().chars() {
                (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            done = start.max(done);
            places[index].insert(name, (line, column));
        }
        Self(places)
    }

    /// Returns the line and the column of a byte, both from 1.
    pub(super) fn at(text: &str, start: usize) -> (usize, usize) {
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Adds the position to an error of a stage; `index` returns a stage's place by its name.
    pub(super) fn locate(&self, error: Error, index: impl Fn(&str) -> Option<usize>) -> Error {
        let (stage, field) = match &error {
            Error::Setting { stage, setting, .. } => (stage, *setting),
            Error::UnknownOption { stage, spec, .. } | Error::Option { stage, spec, .. } => {
                (stage, *spec)
            }
            Error::MissingInput { stage, .. } => (stage, "inputs"),
            Error::DuplicateName { name, .. } | Error::Name { what: "stage", name } => {
                (name, "name")
            }
            _ => return error,
        };
        let places = index(stage).and_then(|index| self.0.get(index));
        let Some(&(line, column)) = places.and_then(|it| it.get(field).or_else(|| it.get("")))
        else {
            return error;
        };
        Error::At { line, column, source: Box::new(error) }
    }
}

/// Returns the first key that would not be read as a key, with its place.
pub(super) fn reserved_key(table: &DeTable<'_>) -> Option<(usize, String)> {
    table.iter().find_map(|(key, value)| {
        if is_reserved(key.get_ref()) {
            return Some((key.span().start, key.get_ref().to_string()));
        }
        reserved_key_in(value.get_ref())
    })
}

fn reserved_key_in(value: &DeValue<'_>) -> Option<(usize, String)> {
    match value {
        DeValue::Table(table) => reserved_key(table),
        DeValue::Array(items) => items.iter().find_map(|item| reserved_key_in(item.get_ref())),
        _ => None,
    }
}
