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
        /// The settings of a stage: all that it has besides its code.
        ///
        /// Plain data, free to create and change. Building a pipeline refuses values that make no
        /// sense. The JSON form has the names of a pipeline file, without settings at their
        /// defaults. Debug output hides secrets.
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Settings {
            /// The stage's name, unique in its pipeline.
            pub name: String,
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Settings {
            /// Creates settings with this name and default values.
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
    /// Fails for a task that lacks a key which the stage declares as an input. Executors call it
    /// for each task that enters the stage.
    ///
    /// Keys are those of a JSON object or the columns of a table. Other data has none.
    pub fn check_task(&self, task: &TaskId, data: &Data) -> Result<(), Error> {
        let missing: Vec<String> =
            self.inputs.iter().filter(|key| !data.has(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::MissingKeys { stage: self.name.clone(), task: task.clone(), missing })
    }

    /// Returns the keys that the stage declares as outputs and that this output's data lacks.
    #[must_use]
    pub fn lacking_outputs(&self, data: &Data) -> Vec<&str> {
        self.outputs.iter().map(String::as_str).filter(|key| !data.has(key)).collect()
    }
}
