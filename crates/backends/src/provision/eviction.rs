//! How much the cache may hold once environments have been built.

use venv_cache::{Budget, Cache};

use crate::run::{Error, Event, Observer};

/// To what the cache is pruned after a build.
#[derive(Clone, Debug, Default)]
pub(crate) enum Eviction {
    /// What [`Budget::from_env`] says then.
    #[default]
    FromEnv,
    To(Budget),
    Never,
}

impl Eviction {
    /// To a budget, or never.
    pub(crate) fn of(budget: Option<Budget>) -> Self {
        budget.map_or(Self::Never, Self::To)
    }

    /// Prunes a cache. It never fails a run: what goes wrong is a warning.
    pub(crate) fn prune(&self, cache: &Cache, observer: &dyn Observer) {
        let budget = match self {
            Self::Never => return,
            Self::To(budget) => Ok(budget.clone()),
            Self::FromEnv => Budget::from_env(),
        };
        let pruned = budget.and_then(|budget| cache.prune(&budget));
        match pruned {
            Ok(report) => {
                tracing::debug!(removed = report.removed.len(), kept = report.kept, "pruned");
            }
            Err(error) => {
                tracing::warn!(%error, "the cache was not pruned");
                let message = format!("the cache was not pruned: {}", Error::cache(error).chain());
                observer.on_event(&Event::Warning { stage: None, message });
            }
        }
    }
}
