//! A stage's settings as plain data.

use std::fmt;
use std::time::Duration;

use envspec::RuntimeEnv;
use serde_json::{Map, Value};

use super::change::Kind as _;
use super::resources::Resources;
use super::scalars::{Isolation, Preload, Workers};
use super::table::table;
use crate::{Data, Error, TaskId};

macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty { file $file:tt change $change:tt check $check:tt show $show:tt }
    )*) => {
        /// What a stage is besides its code.
        ///
        /// Plain data, free to build and change; a value that makes no sense is refused when a
        /// pipeline is built. As JSON it has the names of a pipeline file, and what is at its default
        /// is left out. Debug output hides what looks secret.
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Settings {
            /// The stage's name, unique in its pipeline.
            pub name: String,
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Settings {
            /// Creates the settings of a stage of that name, everything else at its default.
            #[must_use]
            pub fn new(name: impl Into<String>) -> Self {
                Self { name: name.into(), $($field: <$type>::default(),)* }
            }
        }

        impl fmt::Debug for Settings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Settings")
                    .field("name", &self.name)
                    $(.field(stringify!($field), &self.$field.shown()))*
                    .finish()
            }
        }
    };
}

table!(settings);

impl Settings {
    /// Refuses a task that lacks a key which the stage declares as an input. Executors do it at the
    /// stage's door.
    ///
    /// Keys are those of a JSON object: other data has none.
    pub fn check_task(&self, task: &TaskId, data: &Data) -> Result<(), Error> {
        let missing: Vec<String> =
            self.inputs.iter().filter(|key| !data.has(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::MissingKeys { stage: self.name.clone(), task: task.clone(), missing })
    }

    /// The keys among the stage's outputs that this data of an output has not.
    #[must_use]
    pub fn lacking_outputs(&self, data: &Data) -> Vec<&str> {
        self.outputs.iter().map(String::as_str).filter(|key| !data.has(key)).collect()
    }
}
