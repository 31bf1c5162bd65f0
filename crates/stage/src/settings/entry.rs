//! The written form of a stage: one table of a pipeline file, or its settings alone.

use envspec::{RuntimeEnv, json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::plain::Settings;
use super::resources::Resources;
use super::scalars::{Isolation, Preload};
use super::table::table;
use super::written::{Seconds, TwoWorkers, Written, object};
use crate::Declared;

macro_rules! entry {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty {
            file {
                $(#[$attribute:meta])* $written:ident: $form:ty
                $(; $(#[$more_attribute:meta])* $more:ident: $more_form:ty)*
            }
            change $change:tt
            check $check:tt
            show $show:tt
        }
    )*) => {
        /// A stage in written form. Both uses share one struct, since `flatten` and strict fields
        /// exclude each other.
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Entry {
            /// The stage's name, unique in its pipeline. By default, the last part of what `python` names.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) name: Option<String>,
            /// Its code: `file.py:Name` or `package.module:Name`; with `source`, the name alone.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) python: Option<String>,
            /// The text of the module that holds the code, in place of a file.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) source: Option<String>,
            /// Arguments for the class: a table of keyword arguments, or a list of positional ones.
            #[serde(skip_serializing_if = "Value::is_null", deserialize_with = "json::value")]
            #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Args>"))]
            pub(crate) args: Value,
            /// What becomes of what the class declares about itself, such as a class variable `runtime_env`:
            /// `use`, where this entry sets nothing else (the default), `ignore`, or `forbid`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(crate) declared: Option<Declared>,
            $(
                $(#[$doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                $(#[$attribute])*
                pub(super) $written: $form,
                $(
                    #[serde(skip_serializing_if = "Option::is_none")]
                    $(#[$more_attribute])*
                    pub(super) $more: $more_form,
                )*
            )*
        }

        impl Entry {
            /// Creates the entry for settings. It leaves out defaults, except for settings of which
            /// `is_given` is true.
            pub(super) fn new(settings: Settings, is_given: impl Fn(&str) -> bool) -> Self {
                let mut entry = Self { name: Some(settings.name), ..Self::default() };
                $((entry.$written, $(entry.$more)*) =
                    settings.$field.write(is_given(stringify!($written)));)*
                entry
            }

            /// Reads the settings; `name` is the stage's name if the entry gives none.
            pub(crate) fn into_settings(self, name: &str) -> Result<Settings, TwoWorkers> {
                let mut settings = Settings::new(self.name.as_deref().unwrap_or(name));
                $(settings.$field = Written::read((self.$written, $(self.$more)*))?;)*
                Ok(settings)
            }
        }
    };
}

table!(entry);

/// The fault of an entry that should hold a stage's settings and nothing else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSettings {
    #[error("missing field `name`")]
    NoName,
    #[error("settings hold no code: `{0}`")]
    Code(&'static str),
    #[error(transparent)]
    TwoWorkers(#[from] TwoWorkers),
}

impl TryFrom<Entry> for Settings {
    type Error = NotSettings;

    fn try_from(entry: Entry) -> Result<Self, NotSettings> {
        if entry.python.is_some() {
            return Err(NotSettings::Code("python"));
        }
        if entry.source.is_some() {
            return Err(NotSettings::Code("source"));
        }
        if !entry.args.is_null() {
            return Err(NotSettings::Code("args"));
        }
        if entry.declared.is_some() {
            return Err(NotSettings::Code("declared"));
        }
        if entry.name.is_none() {
            return Err(NotSettings::NoName);
        }
        Ok(entry.into_settings("")?)
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Entry::new(self.clone(), |_| false).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(Entry::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
