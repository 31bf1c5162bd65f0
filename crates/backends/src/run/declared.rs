//! Compares the declarations of a stage's code with the plan: the plan decides, and no difference
//! passes silently.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use envspec::{Digest, Install, LoadedEnv, RuntimeEnv};
use serde_json::{Map, Value, json};
use stage::{Declared, Resources, Settings, Workers, redacted};

use super::DiskSource;
use super::error::Error;
use crate::worker::wire::{Found, Loaded};

/// Maximum length of a shown value, in characters.
const LONGEST: usize = 400;

/// The plan's settings for a stage, from before a lock or an engine changed them.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSettings {
    /// The policy for declarations.
    pub(crate) declared: Declared,
    /// The settings that the stage's own entry in the pipeline sets.
    pub(crate) given: BTreeSet<String>,
    /// What the code said when the run was planned, but for the `runtime_env`.
    pub(crate) read: Map<String, Value>,
    /// The digest of the `runtime_env` that the plan has from the code, which may hold credentials.
    pub(crate) read_env: Option<String>,
    /// The pipeline's default.
    pub(crate) default: RuntimeEnv,
    /// The stage's spec over the default.
    pub(crate) effective: RuntimeEnv,
    /// The same spec, loaded.
    pub(crate) env: LoadedEnv,
    /// The folder that relative paths start at.
    pub(crate) dir: PathBuf,
    pub(crate) resources: Resources,
    pub(crate) workers: Workers,
}

/// What comes of the declarations of a stage's code.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) warnings: Vec<String>,
    /// The settings that the stage's entry has in place of the code's, as a pipeline file has them.
    pub(crate) overrides: Map<String, Value>,
    /// Whether the code said something else when the run was planned.
    pub(crate) is_outdated: bool,
}

impl PlannedSettings {
    /// Compares the declarations of a stage's code. A `runtime_env` that differs from the stage's is
    /// an error, unless the stage's entry has set that one.
    pub(crate) fn check(&self, settings: &Settings, declared: &Loaded) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        if self.declared == Declared::Ignore {
            return Ok(checked);
        }
        let when = declared.when.as_deref().map(short);
        let late = when.map(|when| format!(" in `{when}`, after the plan was made"));
        let late = late.unwrap_or_default();
        // The pipeline decides about names if two stages would have the same one.
        for (name, found) in declared.settings.iter().filter(|(name, _)| *name != "name") {
            if self.declared == Declared::Forbid {
                return Err(Error::forbidden(&settings.name, name, found));
            }
            let warning = if name == "runtime_env" {
                self.check_env(&settings.name, found, &late)?
            } else {
                self.check_setting(settings, name, found, &late)
            };
            let is_known = matches!(found, Found::Value(_));
            if warning.is_some() && is_known && self.given.contains(name) {
                checked.overrides.insert(name.clone(), self.value(settings, name));
            }
            checked.is_outdated |=
                declared.when.is_none() && self.said_before(name, found).is_some();
            checked.warnings.extend(warning);
        }
        checked.warnings.extend(declared.near.iter().map(|(name, setting)| {
            let name = short(name);
            format!(
                "its code has `{name}`, which is no setting and no hook: `{setting}` is the nearest"
            )
        }));
        Ok(checked)
    }

    /// Returns what the code said of a setting when the run was planned, if it says another thing now.
    fn said_before(&self, name: &str, found: &Found) -> Option<&Value> {
        let before = self.read.get(name)?;
        matches!(found, Found::Value(now) if now != before).then_some(before)
    }

    /// Returns the value that a stage runs with; null where it has the engine's default.
    fn value(&self, settings: &Settings, name: &str) -> Value {
        match name {
            "runtime_env" => json!(self.effective),
            "resources" => json!(self.resources),
            "num_workers" => match self.workers {
                Workers::Fixed(number) => json!(number),
                _ => Value::Null,
            },
            "num_workers_per_node" => match self.workers {
                Workers::PerNode(number) => json!(number),
                _ => Value::Null,
            },
            _ => json!(settings).get_mut(name).map(Value::take).unwrap_or_default(),
        }
    }

    fn check_env(&self, stage: &str, found: &Found, late: &str) -> Result<Option<String>, Error> {
        let declared = match found {
            Found::Value(value) if self.is_env(value) => return Ok(None),
            Found::Value(value) => shown(value) + late,
            Found::Unread(why) => format!("one that cannot be read ({}){late}", short(why)),
        };
        let planned = if self.effective.is_empty() {
            "{}, the base environment".to_owned()
        } else {
            shown(&serde_json::to_value(&self.effective).unwrap_or_default())
        };
        if self.given.contains("runtime_env") {
            return Ok(Some(format!(
                "its entry in the pipeline overrides the runtime_env that its code declares: it \
                 runs with {planned}, and the code has {declared}"
            )));
        }
        Err(Error::DeclaredEnv { stage: stage.to_owned(), declared, planned })
    }

    /// Returns whether a declared `runtime_env` means the one of the plan.
    fn is_env(&self, declared: &Value) -> bool {
        if self.read_env.as_ref() == Some(&digest_of(declared)) {
            return true;
        }
        let Ok(declared) = RuntimeEnv::from_value(declared.clone()) else { return false };
        // Equal texts need no reading of files, which may be missing here.
        declared == self.effective
            || self.loads_to_it(&declared)
            || !declared.is_empty() && self.loads_to_it(&declared.over(&self.default))
    }

    fn loads_to_it(&self, env: &RuntimeEnv) -> bool {
        let parts = |env: &LoadedEnv| {
            let mut rest = env.clone();
            // The time limit of the set-up does not change an environment.
            (rest.install, rest.setup_timeout) = (None, None);
            (env.install.as_ref().map(Install::digest), rest)
        };
        let loaded = env.load(&DiskSource, &self.dir);
        loaded.is_ok_and(|loaded| parts(&loaded) == parts(&self.env))
    }

    fn check_setting(
        &self,
        settings: &Settings,
        name: &str,
        found: &Found,
        late: &str,
    ) -> Option<String> {
        let name = short(name);
        let value = match found {
            Found::Value(value) => value,
            Found::Unread(why) => {
                let why = short(why);
                return Some(format!(
                    "its code declares `{name}`{late}, which cannot be read: {why}"
                ));
            }
        };
        let amount = |planned: Option<f64>| {
            let planned = planned.map_or(Value::Null, Value::from);
            (value.as_f64() != planned.as_f64()).then(|| or_none(&planned))
        };
        #[expect(clippy::cast_precision_loss, reason = "no amount is that large")]
        let count = |planned: Option<u64>| {
            let differs = value.as_f64() != planned.map(|planned| planned as f64);
            differs.then(|| planned.map_or_else(|| "none".to_owned(), |count| count.to_string()))
        };
        let planned = match name.as_str() {
            "batch_size" => count(Some(settings.batch_size.unwrap_or(1) as u64)),
            "resources" => (!self.has(value)).then(|| {
                let Resources { cpus, gpus, gpu_memory_gb } = self.resources;
                let amounts = [("cpus", cpus), ("gpus", gpus), ("gpu_memory_gb", gpu_memory_gb)];
                amounts.iter().fold(String::new(), |mut text, (name, amount)| {
                    let comma = if text.is_empty() { "" } else { ", " };
                    // Writing to a string does not fail.
                    _ = write!(text, "{comma}{name} {amount}");
                    text
                })
            }),
            "num_workers" => match self.workers {
                Workers::Fixed(number) => count(Some(number as u64)),
                _ => count(None),
            },
            "num_workers_per_node" => amount(match self.workers {
                Workers::PerNode(number) => Some(number),
                _ => None,
            }),
            _ => planned(settings, &name, value),
        }?;
        let declared = shown(value) + late;
        if self.given.contains(&name) {
            return Some(format!(
                "its entry in the pipeline overrides the class's `{name}` {declared}: it runs with \
                 {planned}"
            ));
        }
        if let Some(before) = self.said_before(&name, found) {
            let before = shown(before);
            return Some(format!(
                "its code declares `{name}` {declared}, and said {before} when the run was planned, \
                 which is what it runs with: the next run asks it again"
            ));
        }
        Some(format!(
            "its code declares `{name}` {declared}, and the pipeline has {planned}, which is what it \
             runs with: set it in the stage's entry, or take it out of the code"
        ))
    }

    /// Returns whether these are the resources of the plan; classes for other engines have more
    /// amounts.
    fn has(&self, value: &Value) -> bool {
        let Value::Object(amounts) = value else { return false };
        let Resources { cpus, gpus, gpu_memory_gb } = self.resources;
        let default = Resources::default();
        let is_known = [
            ("cpus", cpus, default.cpus),
            ("gpus", gpus, default.gpus),
            ("gpu_memory_gb", gpu_memory_gb, default.gpu_memory_gb),
        ];
        is_known.iter().all(|(name, planned, default)| {
            let declared = amounts.get(*name).map_or(Some(*default), Value::as_f64);
            declared.is_some_and(|declared| (declared - planned).abs() < 1e-9)
        }) && amounts.iter().all(|(name, amount)| {
            is_known.iter().any(|(known, ..)| known == name)
                || matches!(amount, Value::Null | Value::Bool(false))
                || amount.as_f64() == Some(0.0)
        })
    }
}

/// Returns the digest that distinguishes declared values.
pub(crate) fn digest_of(value: &Value) -> String {
    Digest::of(value.to_string().as_bytes()).to_string()
}

impl Error {
    /// Returns the error for a declaration that the pipeline forbids.
    pub(crate) fn forbidden(stage: &str, setting: &str, found: &Found) -> Self {
        let declared = match found {
            Found::Value(value) => shown(value),
            Found::Unread(why) => format!("(not to be read: {})", short(why)),
        };
        let (stage, setting) = (stage.to_owned(), short(setting));
        Self::ForbiddenDeclaration { stage, setting, declared }
    }
}

/// Returns the plan's value for a setting, if it is not what the code declares. Numbers are
/// compared as such, and keys in any order.
fn planned(settings: &Settings, name: &str, declared: &Value) -> Option<String> {
    let settings = serde_json::to_value(settings).unwrap_or_default();
    let planned = settings.get(name).unwrap_or(&Value::Null);
    let keys = |value: &Value| -> BTreeSet<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let is_same = match declared {
        // Further modules may be imported, too.
        Value::Array(_) if name == "preload" => keys(declared).is_subset(&keys(planned)),
        Value::Array(_) => keys(declared) == keys(planned),
        Value::Number(_) => declared.as_f64() == planned.as_f64(),
        Value::Object(options) if options.is_empty() => planned.is_null(),
        _ => declared == planned,
    };
    (!is_same).then(|| or_none(planned))
}

fn or_none(value: &Value) -> String {
    if value.is_null() { "none".to_owned() } else { shown(value) }
}

/// Returns a value as people see it, without parts that look secret.
fn shown(value: &Value) -> String {
    short(&redacted(value).to_string())
}

fn short(text: &str) -> String {
    let text = envspec::redact(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
