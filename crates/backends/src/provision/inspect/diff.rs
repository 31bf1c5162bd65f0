//! Differences between two environments.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::details::EnvDetails;

/// The differences between two environments; `left` and `right` in the order of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diff {
    /// Packages that only one of them has, or that differ in version, by name.
    pub packages: Vec<Change>,
    /// Requirements, constraints (`-c …`), overrides (`--override …`) of the left one only.
    pub only_left: Vec<String>,
    /// Those of the right one only.
    pub only_right: Vec<String>,
    /// Other differences: the field, and the two values in words.
    pub settings: Vec<Change>,
}

/// A difference between two environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The package or setting.
    pub name: String,
    /// Its version or value in the left one, if it has it.
    pub left: Option<String>,
    /// Its version or value in the right one, if it has it.
    pub right: Option<String>,
}

impl EnvDetails {
    /// Returns the differences between this environment, the left one, and another.
    #[must_use]
    pub fn diff(&self, right: &Self) -> Diff {
        let names: BTreeSet<&String> = self.packages.keys().chain(right.packages.keys()).collect();
        let change = |name: &str, left: Option<&String>, right: Option<&String>| {
            (left != right).then(|| Change {
                name: name.to_owned(),
                left: left.cloned(),
                right: right.cloned(),
            })
        };
        let packages = names
            .into_iter()
            .filter_map(|name| change(name, self.packages.get(name), right.packages.get(name)));
        let (ours, theirs) = (self.asked(), right.asked());
        let (ours_set, theirs_set) = (self.settings(), right.settings());
        let fields: BTreeSet<&String> = ours_set.keys().chain(theirs_set.keys()).collect();
        let settings = fields
            .into_iter()
            .filter_map(|field| change(field, ours_set.get(field), theirs_set.get(field)));
        Diff {
            packages: packages.collect(),
            only_left: ours.difference(&theirs).cloned().collect(),
            only_right: theirs.difference(&ours).cloned().collect(),
            settings: settings.collect(),
        }
    }

    /// Returns the requirements of the spec, as lines.
    fn asked(&self) -> BTreeSet<String> {
        let list = |field: &str, option: &'static str| {
            let items = self.spec.get(field).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(move |line| format!("{option}{line}"))
        };
        list("requirements", "")
            .chain(list("constraints", "-c "))
            .chain(list("overrides", "--override "))
            .chain(list("keep", "--keep "))
            .collect()
    }

    /// Returns all other differences between environments, in words.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::from([
            ("strategy".to_owned(), self.strategy.clone()),
            ("tool".to_owned(), format!("{} {}", self.tool, self.tool_version)),
        ]);
        if let Some(base) = &self.base {
            settings.insert("base".to_owned(), base.python.clone());
            settings.insert("base fingerprint".to_owned(), base.fingerprint.clone());
        }
        for field in ["tool_version", "index", "tool_options", "check", "build_env", "contents"] {
            if let Some(value) = self.spec.get(field).filter(|value| !is_empty(value)) {
                let name = if field == "tool_version" { "wanted tool version" } else { field };
                settings.insert(name.to_owned(), value.to_string());
            }
        }
        settings
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Number(_) | Value::String(_) => false,
    }
}
