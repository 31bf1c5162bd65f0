//! The package managers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The package manager that a spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// pip.
    Pip,
    /// uv.
    Uv,
}

impl Tool {
    /// Returns `pip` or `uv`: the name of the field, the distribution and the program.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Uv => "uv",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
