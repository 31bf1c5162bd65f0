//! How much the cache may hold once environments have been built.

use std::sync::atomic::Ordering;

use venv_cache::Budget;

use super::provisioner::Provisioner;
use crate::run::{Error, Event};

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
}

impl Provisioner {
    pub(crate) fn evict_after_build(&self) {
        self.has_built.store(true, Ordering::Relaxed);
        self.evict();
    }

    /// Prunes the cache once more, now that what was built is no longer in use.
    pub(crate) fn settle(&self) {
        if self.has_built.load(Ordering::Relaxed) {
            self.evict();
        }
    }

    /// Prunes the cache to the budget. It never fails a run: what goes wrong is a warning.
    fn evict(&self) {
        let budget = match &self.eviction {
            Eviction::Never => return,
            Eviction::To(budget) => Ok(budget.clone()),
            Eviction::FromEnv => Budget::from_env(),
        };
        let pruned = budget.and_then(|budget| self.cache.prune(&budget));
        match pruned {
            Ok(report) => {
                tracing::debug!(removed = report.removed.len(), kept = report.kept, "pruned");
            }
            Err(error) => {
                tracing::warn!(%error, "the cache was not pruned");
                let message = format!("the cache was not pruned: {}", Error::cache(error).chain());
                self.observer.on_event(&Event::Warning { stage: None, message });
            }
        }
    }
}
