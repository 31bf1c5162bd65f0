//! A row of the table of settings, as a value, for code that treats all settings alike.

use std::borrow::Cow;
use std::time::Duration;

use envspec::RuntimeEnv;
use serde_json::{Map, Value};

use super::change::Changes;
use super::entry::Entry;
use super::overrides::Overrides;
use super::plain::Settings;
use super::resources::Resources;
use super::scalars::{Isolation, Preload, Workers};
use super::table::table;
use crate::code::is_dotted_name;
use crate::shown;

/// One setting.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its names in a pipeline file, the first of which stands for it.
    pub(super) names: &'static [&'static str],
    /// Returns whether it is at its default.
    pub(super) is_default: fn(&Settings) -> bool,
    /// Returns whether an entry sets it, even to its default.
    pub(super) is_written: fn(&Entry) -> bool,
    /// Returns whether changes set it; `None` if they leave it as it is.
    pub(super) gives: fn(&Overrides) -> Option<bool>,
    /// Copies its value from other settings.
    pub(super) take: fn(&mut Settings, Settings),
    /// Returns the fault of its value, if the value alone shows one.
    pub(super) problem: fn(&Settings) -> Option<Cow<'static, str>>,
    /// Its label in a description.
    pub(crate) label: &'static str,
    /// Returns its value as text for a description.
    pub(crate) text: fn(&Settings) -> String,
}

impl Row {
    /// Returns the row of a setting, by any of its names in a pipeline file.
    pub(super) fn of(setting: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.names.contains(&setting))
    }

    /// Returns its name in a pipeline file.
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

macro_rules! rows {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty {
            file {
                $(#[$attribute:meta])* $written:ident: $form:ty
                $(; $(#[$more_attribute:meta])* $more:ident: $more_form:ty)*
            }
            change $change:tt
            check { $($problem:expr)? }
            show { $label:literal $text:expr }
        }
    )*) => {
        /// All settings but the name, in the order of a pipeline file.
        pub(crate) const ROWS: &[Row] = &[$(
            Row {
                names: &[stringify!($written), $(stringify!($more)),*],
                is_default: |settings| settings.$field == <$type>::default(),
                is_written: |entry| entry.$written.is_some() $(|| entry.$more.is_some())*,
                gives: |changes| changes.$field.gives(),
                take: |settings, other| settings.$field = other.$field,
                problem: |settings| problem!(&settings.$field, $type $(, $problem)?),
                label: $label,
                text: |settings| {
                    let text: fn(&$type) -> String = $text;
                    text(&settings.$field)
                },
            },
        )*];
    };
}

macro_rules! problem {
    ($value:expr, $type:ty) => {{
        let _: &$type = $value;
        None
    }};
    ($value:expr, $type:ty, $problem:expr) => {{
        let problem: fn(&$type) -> Option<_> = $problem;
        problem($value).map(Cow::from)
    }};
}

table!(rows);

/// Returns all settings that code may declare, by their names in a pipeline file, `name` first.
pub fn declarable() -> impl Iterator<Item = &'static str> {
    ["name"].into_iter().chain(ROWS.iter().flat_map(|row| row.names.iter().copied()))
}

fn empty_key(keys: &[String]) -> Option<&'static str> {
    keys.iter().any(String::is_empty).then_some("holds an empty key")
}

fn or(value: Option<&impl ToString>, default: &str) -> String {
    value.map_or_else(|| default.to_owned(), ToString::to_string)
}

fn keys(keys: &[String]) -> String {
    if keys.is_empty() { "none declared".to_owned() } else { shown::text(&keys.join(", ")) }
}

fn options(options: &Map<String, Value>) -> String {
    if options.is_empty() { "none".to_owned() } else { shown::json(options) }
}
