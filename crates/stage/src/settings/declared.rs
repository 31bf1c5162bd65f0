//! Settings that the code of a stage declares, and their effect.

use envspec::RuntimeEnv;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::check::check_name;
use super::configured::AnyStage;
use super::entry::Entry;
use super::origins::Source;
use super::plain::Settings;
use super::row::{Row, declarable};
use crate::{Error, redacted};

/// A setting that the code of a stage declares, and its effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeclaredSetting {
    /// The stage.
    pub stage: String,
    /// The setting, by its name in a pipeline file.
    pub setting: &'static str,
    /// The declared value, with secrets hidden.
    pub declared: Value,
    /// The value that the stage runs with, with secrets hidden; null for the engine's default.
    pub value: Value,
    /// Whether the stage's entry in the pipeline overrides it.
    pub is_overridden: bool,
}

impl AnyStage {
    /// Returns the origin of a setting, by the setting's name in a pipeline file.
    #[must_use]
    pub fn source(&self, setting: &str) -> Source {
        self.origins.source(setting)
    }

    /// Returns the value that the code declares for a setting, if the entry overrides it.
    #[must_use]
    pub fn overridden(&self, setting: &str) -> Option<&Value> {
        self.origins.overridden.get(setting)
    }

    /// Returns all known declarations of its code, each with its effect.
    #[must_use]
    pub fn declared_settings(&self) -> Vec<DeclaredSetting> {
        let mut settings = serde_json::to_value(&self.settings).unwrap_or_default();
        // A file leaves the default out.
        settings["resources"] = json!(self.settings.resources);
        let one = |setting: &'static str| {
            let overridden = self.overridden(setting);
            let value = match (overridden, self.origins.taken.contains(setting)) {
                (Some(value), _) => value,
                (None, true) => &settings[setting],
                (None, false) => return None,
            };
            let (stage, is_overridden) = (self.settings.name.clone(), overridden.is_some());
            let (declared, value) = (redacted(value), redacted(&settings[setting]));
            Some(DeclaredSetting { stage, setting, declared, value, is_overridden })
        };
        declarable().filter_map(one).collect()
    }

    /// Returns a copy with the settings that its code declares, by their names in a pipeline file.
    /// Settings of its entry stay as they are. Values that are invalid for their setting are
    /// ignored.
    ///
    /// Fails with [`Error::Setting`] if a `runtime_env` that would apply is invalid, since no other
    /// environment could replace it.
    pub fn with_declared_settings(&self, declared: &Map<String, Value>) -> Result<Self, Error> {
        let mut copy = self.clone();
        for setting in declarable() {
            let Some(value) = declared.get(setting).filter(|value| !value.is_null()) else {
                continue;
            };
            if self.origins.gives(setting) {
                copy.origins.overridden.insert(setting, value.clone());
            } else if copy.settings.take(setting, value)? {
                copy.origins.note_taken(setting);
            }
        }
        Ok(copy)
    }
}

impl Settings {
    /// Sets a declared value; returns false if it is invalid for that setting.
    fn take(&mut self, setting: &'static str, value: &Value) -> Result<bool, Error> {
        if setting == "name" {
            let name = value.as_str().filter(|name| check_name("stage", name).is_ok());
            if let Some(name) = name {
                name.clone_into(&mut self.name);
            }
            return Ok(name.is_some());
        }
        if setting == "runtime_env" {
            let env = RuntimeEnv::from_value(value.clone()).map_err(|error| Error::Setting {
                stage: self.name.clone(),
                setting,
                problem: format!("as its code declares it, makes no sense: {error}"),
            })?;
            self.runtime_env = Some(env);
            return Ok(true);
        }
        let value = if setting == "resources" { known_amounts(value) } else { value.clone() };
        let Ok(entry) = serde_json::from_value::<Entry>(json!({ setting: value })) else {
            return Ok(false);
        };
        let Ok(read) = entry.into_settings(&self.name) else { return Ok(false) };
        let Some(row) = Row::of(setting) else {
            return Ok(false);
        };
        // Of two numbers of workers the first holds.
        if row.names.len() > 1 && !(row.is_default)(self) {
            return Ok(false);
        }
        (row.take)(self, read);
        Ok(true)
    }
}

/// Returns the amounts that this project knows. Classes for other engines may declare more; the
/// worker reports those that ask for something.
fn known_amounts(value: &Value) -> Value {
    let Value::Object(amounts) = value else { return value.clone() };
    let known = ["cpus", "gpus", "gpu_memory_gb"];
    let kept =
        amounts.iter().filter(|(name, amount)| known.contains(&name.as_str()) && !amount.is_null());
    kept.map(|(name, amount)| (name.clone(), amount.clone())).collect()
}
