//! Which environment the others add to.

use std::path::{Path, PathBuf};

use envspec::{LoadedEnv, RuntimeEnv};

use crate::disk_source::DiskSource;
use crate::error::Error;
use crate::plan::{Plan, PlannedBase};

/// The environment that the stages' environments add to.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum BaseChoice {
    /// What the pipeline asks for; if it asks for nothing, the virtualenv that `$VIRTUAL_ENV`
    /// names, else `python3` on `PATH`.
    #[default]
    Default,
    /// An interpreter, or the folder of a virtualenv.
    Python(PathBuf),
    /// A managed base: made from a bare interpreter and these packages, and kept in the cache.
    Managed(RuntimeEnv),
}

impl From<RuntimeEnv> for BaseChoice {
    fn from(env: RuntimeEnv) -> Self {
        Self::Managed(env)
    }
}

impl From<PathBuf> for BaseChoice {
    fn from(python: PathBuf) -> Self {
        Self::Python(python)
    }
}

impl From<&Path> for BaseChoice {
    fn from(python: &Path) -> Self {
        Self::Python(python.to_owned())
    }
}

/// A choice with everything read that it refers to.
#[derive(Clone, Debug)]
pub(crate) enum ResolvedBase {
    Discovered,
    Python(PathBuf),
    Managed(Box<LoadedEnv>),
}

impl BaseChoice {
    /// The base for a plan: this choice, else the plan's own.
    pub(crate) fn resolve(&self, plan: Option<&Plan>) -> Result<ResolvedBase, Error> {
        match (self, plan.and_then(Plan::base)) {
            (Self::Default, None) => Ok(ResolvedBase::Discovered),
            (Self::Default, Some(PlannedBase::Python(python))) => {
                Ok(ResolvedBase::Python(python.clone()))
            }
            (Self::Default, Some(PlannedBase::Managed(env))) => {
                Ok(ResolvedBase::Managed(env.clone()))
            }
            (Self::Python(python), _) => Ok(ResolvedBase::Python(python.clone())),
            (Self::Managed(env), _) => {
                let dir = std::env::current_dir().map_err(|source| {
                    Error::io("find the current folder for", "the base", source)
                })?;
                let loaded = env.load(&DiskSource, &dir).map_err(|source| Error::Spec {
                    owner: "the base".to_owned(),
                    source: Box::new(source),
                })?;
                Ok(ResolvedBase::Managed(Box::new(loaded)))
            }
        }
    }
}
