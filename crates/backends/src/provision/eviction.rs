//! The size of the cache after builds.

use venv_cache::{Budget, Cache};

use crate::run::{Error, Event, Observer};

/// The budget that the cache is pruned to after a build.
#[derive(Clone, Debug, Default)]
pub(crate) enum Eviction {
    /// The budget of [`Budget::from_env`] at that time.
    #[default]
    FromEnv,
    To(Budget),
    Never,
}

impl Eviction {
    /// Returns a budget, or never.
    pub(crate) fn of(budget: Option<Budget>) -> Self {
        budget.map_or(Self::Never, Self::To)
    }

    /// Prunes a cache. A failure is only a warning, and never fails a run.
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
