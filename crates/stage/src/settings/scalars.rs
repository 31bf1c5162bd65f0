//! The small choices among a stage's settings.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of workers of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Workers {
    /// As many as the executor finds useful.
    #[default]
    Auto,
    /// Exactly that many, at least one.
    Fixed(usize),
    /// That many per node, more than 0; over all nodes the number is rounded up (1.5 on 3 nodes:
    /// 5).
    PerNode(f64),
}

impl Workers {
    pub(crate) fn problem(self) -> Option<&'static str> {
        match self {
            Self::Fixed(0) => Some("is 0, which leaves no worker for the tasks"),
            Self::PerNode(number) if !number.is_finite() || number <= 0.0 => {
                Some("is no number above 0")
            }
            Self::Auto | Self::Fixed(_) | Self::PerNode(_) => None,
        }
    }

    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Auto | Self::Fixed(_) => "num_workers",
            Self::PerNode(_) => "num_workers_per_node",
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(number) => write!(f, "{number}"),
            Self::PerNode(number) => write!(f, "{number} per node"),
        }
    }
}

/// The modules that are imported before workers of a stage are forked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "`false`, or a list of modules")]
pub enum Preload {
    /// With `false`, no worker is forked; `true` is the default.
    Flag(bool),
    /// These modules, and then what the stage's file imports first.
    Modules(Vec<String>),
}

impl Preload {
    /// Returns whether workers may be forked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Flag(false))
    }

    /// Returns the modules that it names.
    #[must_use]
    pub fn modules(&self) -> &[String] {
        match self {
            Self::Flag(_) => &[],
            Self::Modules(modules) => modules,
        }
    }
}

impl From<bool> for Preload {
    fn from(is_on: bool) -> Self {
        Self::Flag(is_on)
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Preload {
    fn from(modules: [S; N]) -> Self {
        Self::Modules(modules.into_iter().map(Into::into).collect())
    }
}

impl From<Vec<String>> for Preload {
    fn from(modules: Vec<String>) -> Self {
        Self::Modules(modules)
    }
}

impl fmt::Display for Preload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(false) => f.write_str("nothing, and no worker is forked"),
            Self::Flag(true) => f.write_str("what its file imports first"),
            Self::Modules(modules) => {
                write!(f, "{}, and what its file imports first", modules.join(", "))
            }
        }
    }
}

/// The degree to which a stage's environment is kept apart from its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Files may be linked to the base's: installers and normal use change nothing of the base, a
    /// program that edits an installed file in place does.
    Shared,
    /// Every file is the environment's own.
    Full,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Full => "full",
        })
    }
}
