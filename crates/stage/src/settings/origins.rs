//! The origin of each setting of a stage: the declaration of its code, or its entry.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Changes;
use super::entry::Entry;
use super::overrides::Overrides;
use super::plain::Settings;
use super::row::{ROWS, Row};

/// The origin of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Source {
    /// Nothing sets it: it is the pipeline's default, else the engine's.
    Default,
    /// The stage's code declares it.
    Code,
    /// The stage's entry in the pipeline sets it: a field of the file, a `with_…`, or `--set`.
    Entry,
}

/// The known origins of the settings of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origins {
    /// The settings that the entry sets.
    given: BTreeSet<&'static str>,
    /// The settings whose values are the code's declarations.
    pub(super) taken: BTreeSet<&'static str>,
    /// The values that the code declares and the entry overrides, by setting.
    pub(super) overridden: BTreeMap<&'static str, Value>,
}

/// Returns the name under which a setting is noted: one for both forms of the number of workers,
/// which replace each other.
fn slot(setting: &str) -> &str {
    Row::of(setting).map_or(setting, |row| row.name())
}

impl Origins {
    /// Returns the origins of settings without known origins: the entry set those that differ from
    /// their defaults.
    pub(super) fn of_settings(settings: &Settings) -> Self {
        let mut origins = Self::default();
        origins.note("name", true);
        for row in ROWS {
            origins.note(row.name(), !(row.is_default)(settings));
        }
        origins
    }

    /// Notes which settings an entry sets, including those that it sets to their defaults.
    pub(super) fn note_entry(&mut self, entry: &Entry) {
        self.note("name", entry.name.is_some());
        for row in ROWS {
            self.note(row.name(), (row.is_written)(entry));
        }
    }

    /// Notes which settings come from the stage's entry once these changes are made.
    pub(super) fn note_changes(&mut self, changes: &Overrides) {
        let rows = ROWS.iter().map(|row| (row.name(), (row.gives)(changes)));
        for (setting, gives) in [("name", changes.name.gives())].into_iter().chain(rows) {
            if let Some(is_given) = gives {
                self.note(setting, is_given);
            }
        }
    }

    /// Notes that a setting is as the code declares it.
    pub(super) fn note_taken(&mut self, setting: &'static str) {
        self.taken.insert(slot(setting));
    }

    pub(super) fn gives(&self, setting: &str) -> bool {
        self.given.contains(slot(setting))
    }

    /// Notes that the entry sets a setting, or no longer does.
    pub(super) fn note(&mut self, setting: &'static str, is_given: bool) {
        if is_given {
            self.given.insert(setting);
        } else {
            self.given.remove(setting);
        }
        self.taken.remove(setting);
    }

    /// Returns a copy without the name, which a written file always sets.
    pub(super) fn without_name(&self) -> Self {
        let mut copy = self.clone();
        copy.note("name", false);
        copy
    }

    pub(super) fn source(&self, setting: &str) -> Source {
        let setting = slot(setting);
        match (self.taken.contains(setting), self.given.contains(setting)) {
            (true, _) => Source::Code,
            (_, true) => Source::Entry,
            _ => Source::Default,
        }
    }
}
