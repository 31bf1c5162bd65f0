//! How a pipeline is to be run, as a pipeline file says it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a run does about a task that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// Stop at the first task that fails for good; the run's result is that failure.
    #[default]
    FailFast,
    /// Record it, go on with the others, and leave it to the reader of the report.
    Record,
}

/// The engine that runs a pipeline, and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Engine {
    /// Which one. By default, `local`.
    pub backend: Backend,
    /// How many cores it shares out among the stages. By default, what the machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub cpus: Option<usize>,
    /// The devices that it shares out, by the names that `CUDA_VISIBLE_DEVICES` takes. By default,
    /// those that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<String>>,
}

/// What runs the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// This machine: processes and threads of the program itself.
    #[default]
    Local,
}

impl Backend {
    /// All there are.
    pub const ALL: [Self; 1] = [Self::Local];

    /// Its name, as a pipeline file has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is the name of no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such backend; there {}", names())]
pub struct UnknownBackend;

fn names() -> String {
    let names: Vec<String> = Backend::ALL.iter().map(|it| format!("`{it}`")).collect();
    format!("{} {}", if names.len() == 1 { "is" } else { "are" }, names.join(", "))
}

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        Self::ALL.into_iter().find(|it| it.as_str() == text).ok_or(UnknownBackend)
    }
}
