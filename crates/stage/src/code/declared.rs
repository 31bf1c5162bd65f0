//! What becomes of what the code of a stage declares about itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What becomes of the settings that a Python class declares about itself, such as a class variable
/// `runtime_env`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Declared {
    /// They hold where the stage's entry in the pipeline sets nothing else.
    #[default]
    Use,
    /// They have no effect, and nothing is told of them.
    Ignore,
    /// They end the run, by an error that names them.
    Forbid,
}

impl Declared {
    /// Its name, as a pipeline file has it.
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
