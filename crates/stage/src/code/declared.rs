//! The policy for settings that a stage's code declares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The policy for settings that a Python class declares, such as a class variable `runtime_env`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Declared {
    /// They apply if the stage's entry in the pipeline does not set them.
    #[default]
    Use,
    /// They are ignored without a message.
    Ignore,
    /// They end the run with an error that names them.
    Forbid,
}

impl Declared {
    /// Returns its name in a pipeline file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Ignore => "ignore",
            Self::Forbid => "forbid",
        }
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
