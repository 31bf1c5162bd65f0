//! The memos of a cache, counted and pruned.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::error::IoResultExt;
use crate::memo::{self, Found, MOST};
use crate::{Budget, Cache, Result};

/// The age at which a memo is deleted at the next pruning, whatever the budget: half a year.
const OLDEST: Duration = Duration::from_hours(24 * 180);

/// The age at which a file that a crash left during a write is deleted. No write takes that long.
const STALE: Duration = Duration::from_hours(24);

impl Cache {
    /// Returns the size of all memos on disk, in bytes.
    pub(crate) fn memo_bytes(&self) -> Result<u64> {
        Ok(self.found_memos()?.iter().map(|found| found.bytes).sum())
    }

    /// Deletes the memos that are too old or too many. Returns how many, and their bytes.
    pub(crate) fn prune_memos(&self, budget: &Budget, now: SystemTime) -> Result<(usize, u64)> {
        let found = self.found_memos()?;
        let mut excess: HashMap<Option<String>, usize> = HashMap::new();
        for found in &found {
            *excess.entry(found.kind.clone()).or_default() += 1;
        }
        for count in excess.values_mut() {
            *count = count.saturating_sub(MOST);
        }
        let (mut count, mut bytes) = (0, 0);
        for found in found {
            let age = now.duration_since(found.written).unwrap_or_default();
            let goes = match (&found.kind, excess.get_mut(&found.kind)) {
                (None, _) => age > STALE,
                (_, Some(excess)) if *excess > 0 => {
                    *excess -= 1;
                    true
                }
                _ => age > OLDEST || budget.is_past(age),
            };
            if goes && (budget.is_dry_run() || self.delete_memo(&found)?) {
                count += 1;
                bytes += found.bytes;
            }
        }
        Ok((count, bytes))
    }

    /// Deletes a memo. Returns false if it is gone already, or is not this user's to delete.
    fn delete_memo(&self, found: &Found) -> Result<bool> {
        let folder = self.layout().open(&self.layout().interpreters_dir())?;
        match folder.unlink(found.path.file_name().unwrap_or_default()) {
            Err(error) if files::is_refusal(&error) => {
                tracing::debug!(%error, path = %found.path.display(), "not deleted");
                Ok(false)
            }
            deleted => deleted.context("remove", &found.path),
        }
    }

    fn found_memos(&self) -> Result<Vec<Found>> {
        let dir = self.layout().interpreters_dir();
        let Some(_) = self.layout().open_above(&dir)? else { return Ok(Vec::new()) };
        let folder = self.layout().open(&dir)?;
        memo::list(&dir, &folder).context("list", &dir)
    }
}
