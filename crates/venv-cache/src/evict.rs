//! Eviction: least recently used environments first, never one in use or needed.
//!
//! An evictor holds `eviction.lock` exclusively while it chooses environments and takes them out of
//! the store, so that no build can commit an environment that needs one of them. It never waits for
//! an environment: one whose lock is held stays. It deletes the files last, holding no lock that
//! others wait for.

use std::collections::{HashMap, HashSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use files::Patience;

use crate::cache::{Content, Listed};
use crate::error::IoResultExt;
use crate::layout::Entry;
use crate::left::Left;
use crate::lock::ExclusiveLock;
use crate::trash::{Trash, Trashed};
use crate::{Cache, Error, Key, Result};

/// The default budget in bytes: 10 GiB.
const DEFAULT_MAX_BYTES: u64 = 10 << 30;
const MAX_BYTES_VARIABLE: &str = "CURATOR_CACHE_MAX_BYTES";

/// Maximum wait for builders that commit and for other evictors.
const PATIENCE: Duration = Duration::from_mins(1);

/// Limits on the cache's contents. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Budget {
    max_bytes: Option<u64>,
    older_than: Option<Duration>,
    all: bool,
    dry_run: bool,
}

impl Budget {
    /// Sets the limit to `$CURATOR_CACHE_MAX_BYTES` bytes, or 10 GiB if it is unset or empty.
    ///
    /// Fails if the variable is not a whole number.
    pub fn from_env() -> Result<Self> {
        let max_bytes = max_bytes_from(env::var_os(MAX_BYTES_VARIABLE).as_deref())?;
        Ok(Self::default().with_max_bytes(max_bytes))
    }

    /// Sets the maximum of bytes that all environments together may have of their own, as recorded
    /// when they were built; the least recently used go first. Default: no limit.
    pub fn with_max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Sets the maximum time since an environment's last use. Default: no limit.
    pub fn with_older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Removes every environment, also those of newer versions of this crate. Default: only those
    /// beyond the limits.
    pub fn with_all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Returns a copy that only reports what would be removed. Default: removes it.
    pub fn with_dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Returns whether anything of this age should go, whatever its size.
    pub(crate) fn is_past(&self, age: Duration) -> bool {
        self.all || self.older_than.is_some_and(|limit| age > limit)
    }

    /// Returns whether an environment should go while the store has this many bytes.
    fn removes(&self, listed: &Listed, total: u64, now: SystemTime) -> bool {
        self.exceeds(listed.last_used, total, now)
    }

    /// Returns whether anything that was last used then should go while the store has this many bytes.
    pub(crate) fn exceeds(&self, last_used: SystemTime, total: u64, now: SystemTime) -> bool {
        // If the clock went back, treat a last use in the future as now.
        let age = now.duration_since(last_used).unwrap_or_default();
        self.is_past(age) || self.max_bytes.is_some_and(|limit| total > limit)
    }
}

/// The result of [`Cache::prune`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// The environments that were removed, or would be, in that order.
    pub removed: Vec<Removed>,
    /// Environments beyond the limits that are in use.
    pub in_use: Vec<Key>,
    /// Environments beyond the limits that this user may not remove.
    pub refused: Vec<Key>,
    /// Environments' folders beyond the limits, whole or not, that cannot be removed since something
    /// is mounted there.
    pub mounted: Vec<PathBuf>,
    /// Links and files among the environments' folders, which are left alone.
    pub foreign: Vec<PathBuf>,
    /// The number of half-built or damaged environments that were removed, or would be.
    pub leftovers: usize,
    /// Files of environments that were removed, by this call or an earlier one, and that could not be
    /// deleted.
    pub left: Vec<Left>,
    /// The number of environments that stay.
    pub kept: usize,
    /// The bytes that the kept environments have of their own.
    pub kept_bytes: u64,
    /// The bytes of the bytecode of bases that was removed, or would be.
    pub bytecode_bytes: u64,
    /// The number of kept answers ([`Memo`](crate::Memo)) that were deleted, or would be.
    pub memos: usize,
    /// Their size on disk, in bytes.
    pub memo_bytes: u64,
}

/// A removed environment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Its key.
    pub key: Key,
    /// The bytes it had of its own, as recorded when it was built.
    pub bytes: u64,
}

impl PruneReport {
    /// Returns the bytes that the removed environments had of their own, less what is left of them,
    /// and those of the removed bytecode.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        let removed: u64 = self.removed.iter().map(|removed| removed.bytes).sum();
        let removed = removed + self.bytecode_bytes;
        removed.saturating_sub(
            self.left.iter().filter(|left| left.key.is_some()).map(|left| left.bytes).sum(),
        )
    }
}

impl Cache {
    /// Removes environments down to a budget, least recently used first.
    ///
    /// Keeps environments in use, and those that a kept one needs. Always removes half-built and
    /// damaged environments without a running build, and what crashes left in the trash. Of the
    /// kept answers ([`Memo`](crate::Memo)), deletes those that are too many, older than the budget
    /// allows, or older than 180 days. Safe beside builds, uses and other evictions. Never removes
    /// bootstrapped tools.
    pub fn prune(&self, budget: &Budget) -> Result<PruneReport> {
        let trash = self.trash();
        let (mut report, trashed) = {
            let lock = self.lock_eviction()?;
            self.choose(&trash, budget, &lock)?
        };
        report.left = delete(&trash, trashed);
        (report.memos, report.memo_bytes) = self.prune_memos(budget, SystemTime::now())?;
        // With it the locks, or no sweep would begin.
        drop(trash);
        if !budget.dry_run {
            for (dir, left) in self.trash().sweep() {
                if !report.left.iter().any(|told| told.dir == dir) {
                    report.left.extend(Left::of(None, &dir, &left.source));
                }
            }
            self.sweep_locks();
        }
        Ok(report)
    }

    /// Removes one environment. Returns false if it does not exist.
    ///
    /// Fails with [`Error::InUse`] while it is in use or being built, with [`Error::Needed`] while
    /// another environment needs it, and with [`Error::Left`] if it was removed but some of its
    /// files were not.
    pub fn remove(&self, key: &Key) -> Result<bool> {
        let trash = self.trash();
        // The pauses come without the eviction lock: builders could never commit beside evictors that
        // do nothing but try.
        let taken = Patience::LONG.attempt(|| unless_in_use(self.take(&trash, key)))?;
        let Some(trashed) = taken else { return Err(Error::InUse { key: *key }) };
        let was_there = trashed.is_some();
        let left = delete(&trash, trashed.map(|tree| (*key, tree)).into_iter().collect());
        self.sweep_lock(key);
        match left.into_iter().next() {
            Some(left) => Err(Error::Left(left)),
            None => Ok(was_there),
        }
    }

    /// Takes one environment out of the store; `None` if it does not exist.
    fn take(&self, trash: &Trash<'_>, key: &Key) -> Result<Option<Trashed>> {
        let lock = self.lock_eviction()?;
        let dir = self.layout().entry(key).dir;
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context("read", &dir)?,
        };
        let needs = |listed: &Listed| listed.manifest.needs.iter().any(|n| n.key == *key);
        if let Some(listed) = self.list()?.into_iter().find(needs) {
            return Err(Error::Needed { key: *key, by: listed.key });
        }
        self.evict(trash, key, &lock)
    }

    /// Removes the lock files of removed environments.
    fn sweep_locks(&self) {
        let dir = self.layout().locks_dir();
        let names = match self.layout().open(&dir).map(|folder| folder.names()) {
            Ok(Ok(names)) => names,
            Ok(Err(error)) => return tracing::warn!(%error, "the lock files were not swept"),
            Err(error) => return tracing::warn!(%error, "the lock files were not swept"),
        };
        let key = |name: OsString| name.to_str()?.strip_suffix(".lock")?.parse::<Key>().ok();
        for key in names.into_iter().filter_map(key) {
            self.sweep_lock(&key);
        }
    }

    /// Removes the lock file of a removed environment, unless a build of it is about to begin.
    fn sweep_lock(&self, key: &Key) {
        let Entry { dir, lock_file } = self.layout().entry(key);
        let is_gone = |path: &Path| matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound);
        if !is_gone(&dir) || is_gone(&lock_file) {
            return;
        }
        let swept = || {
            let Some(lock) = ExclusiveLock::try_acquire(&lock_file, self.access())? else {
                return Ok(());
            };
            if !is_gone(&dir) {
                return Ok(());
            }
            let folder = self.layout().open(&self.layout().locks_dir())?;
            lock.unlink(&folder, &lock_file).context("remove", &lock_file)
        };
        if let Err::<(), Error>(error) = swept() {
            tracing::debug!(%key, %error, "the lock file stays");
        }
    }

    fn lock_eviction(&self) -> Result<ExclusiveLock> {
        // Do not create a lock for a link.
        self.layout().open(&self.layout().locks_dir())?;
        let path = self.layout().eviction_lock_file();
        ExclusiveLock::acquire(&path, self.access(), Some(PATIENCE))
    }

    fn choose(
        &self,
        trash: &Trash<'_>,
        budget: &Budget,
        lock: &ExclusiveLock,
    ) -> Result<(PruneReport, Vec<(Key, Trashed)>)> {
        let mut report = PruneReport::default();
        let mut trashed = Vec::new();
        let mut kept = Vec::new();
        for content in self.contents()? {
            match content {
                Content::Whole(listed) => kept.push(*listed),
                Content::Newer(_) if !budget.all => {}
                Content::Foreign(key) => report.foreign.push(self.layout().entry(&key).dir),
                Content::Newer(key) | Content::Leftover(key) => {
                    match self.try_evict(trash, &key, budget, lock)? {
                        Eviction::Done(tree) => {
                            report.leftovers += 1;
                            trashed.extend(tree.map(|tree| (key, tree)));
                        }
                        Eviction::Mounted(dir) => report.mounted.push(dir),
                        Eviction::InUse | Eviction::Refused => {}
                    }
                }
            }
        }
        kept.sort_by_key(|listed| (listed.last_used, listed.key));

        let now = SystemTime::now();
        let environments: u64 = kept.iter().map(|listed| listed.manifest.own_bytes).sum();
        report.bytecode_bytes =
            self.choose_bytecode(trash, budget, environments, now, &mut trashed)?;
        // No environment goes for bytecode that is still in use.
        let mut total = environments;
        let mut needed = Needed::by(&kept);
        let mut passed_over = HashSet::new();
        // Removing an environment may release one that it needed and that was skipped before.
        while let Some(index) = kept.iter().position(|listed| {
            budget.removes(listed, total, now)
                && !passed_over.contains(&listed.key)
                && !needed.contains(&listed.key)
        }) {
            let key = kept[index].key;
            match self.try_evict(trash, &key, budget, lock)? {
                Eviction::InUse => {
                    passed_over.insert(key);
                    report.in_use.push(key);
                }
                Eviction::Refused => {
                    passed_over.insert(key);
                    report.refused.push(key);
                }
                Eviction::Mounted(dir) => {
                    passed_over.insert(key);
                    report.mounted.push(dir);
                }
                Eviction::Done(tree) => {
                    let listed = kept.remove(index);
                    let bytes = listed.manifest.own_bytes;
                    total -= bytes;
                    needed.forget(&listed);
                    report.removed.push(Removed { key, bytes });
                    trashed.extend(tree.map(|tree| (key, tree)));
                }
            }
        }
        report.kept = kept.len();
        report.kept_bytes = total;
        Ok((report, trashed))
    }

    fn try_evict(
        &self,
        trash: &Trash<'_>,
        key: &Key,
        budget: &Budget,
        lock: &ExclusiveLock,
    ) -> Result<Eviction> {
        if budget.dry_run {
            let dir = self.layout().entry(key).dir;
            return Ok(if self.is_in_use(key)? {
                Eviction::InUse
            } else if self.is_mount(&dir)? {
                Eviction::Mounted(dir)
            } else {
                Eviction::Done(None)
            });
        }
        match Patience::BRIEF.attempt(|| unless_in_use(self.evict(trash, key, lock))) {
            Ok(Some(trashed)) => Ok(Eviction::Done(trashed)),
            Ok(None) => Ok(Eviction::InUse),
            Err(error @ Error::NotAFolder { .. }) => {
                tracing::warn!(%key, %error, "not removed");
                Ok(Eviction::Refused)
            }
            Err(Error::Mounted { dir }) => {
                tracing::warn!(%key, dir = %dir.display(), "a mount was not removed");
                Ok(Eviction::Mounted(dir))
            }
            // One failure must not prevent the removal of the others.
            Err(error) if error.is_refusal() => {
                tracing::warn!(%key, %error, "not removed");
                Ok(Eviction::Refused)
            }
            Err(error) => Err(error),
        }
    }

    fn is_mount(&self, dir: &Path) -> Result<bool> {
        let Some(above) = self.layout().open_above(dir)? else { return Ok(false) };
        match above.is_mount(dir.file_name().unwrap_or_default()) {
            // It is gone, or is no folder.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Ok(false),
            other => other.context("open", dir),
        }
    }

    /// Takes an environment out of the store in one step: where that is refused, it stays whole.
    fn evict(
        &self,
        trash: &Trash<'_>,
        key: &Key,
        _eviction: &ExclusiveLock,
    ) -> Result<Option<Trashed>> {
        let entry = self.layout().entry(key);
        let Some(lock) = ExclusiveLock::try_once(&entry.lock_file, self.access())? else {
            return Err(Error::InUse { key: *key });
        };
        let mut trashed = trash.take(&entry.dir)?;
        if let Some(trashed) = trashed.as_mut().filter(|it| it.is_in_place(self.layout())) {
            trashed.keep_out_others(lock);
        }
        Ok(trashed)
    }
}

/// Returns what was taken; `None` where the environment is in use.
fn unless_in_use<T>(taken: Result<T>) -> Result<Option<T>> {
    match taken {
        Err(Error::InUse { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// Deletes the trees of these environments, and returns what could not be deleted.
fn delete(trash: &Trash<'_>, trashed: Vec<(Key, Trashed)>) -> Vec<Left> {
    let (keys, trees): (Vec<_>, Vec<_>) = trashed.into_iter().unzip();
    let resisting = trash.delete(&trees);
    let tree_of = |path: &Path| trees.iter().position(|tree| path.starts_with(&tree.path));
    let left = resisting.iter().filter_map(|left| {
        let number = tree_of(&left.path)?;
        Left::of(Some(keys[number]), &trees[number].path, &left.source)
    });
    left.collect()
}

/// The end of an eviction.
pub(crate) enum Eviction {
    InUse,
    Refused,
    /// Something is mounted on this folder.
    Mounted(PathBuf),
    Done(Option<Trashed>),
}

/// Counts the kept environments that need each key.
struct Needed(HashMap<Key, usize>);

impl Needed {
    fn by(kept: &[Listed]) -> Self {
        let mut counts = HashMap::new();
        for need in kept.iter().flat_map(|listed| &listed.manifest.needs) {
            *counts.entry(need.key).or_default() += 1;
        }
        Self(counts)
    }

    fn contains(&self, key: &Key) -> bool {
        self.0.get(key).is_some_and(|&count| count > 0)
    }

    fn forget(&mut self, removed: &Listed) {
        for need in &removed.manifest.needs {
            if let Some(count) = self.0.get_mut(&need.key) {
                *count -= 1;
            }
        }
    }
}

/// Implements [`Budget::from_env`].
fn max_bytes_from(value: Option<&OsStr>) -> Result<u64> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(DEFAULT_MAX_BYTES);
    };
    value.to_str().and_then(|text| text.trim().parse().ok()).ok_or_else(|| Error::Setting {
        name: MAX_BYTES_VARIABLE,
        value: value.to_string_lossy().into_owned(),
        expected: "a whole number of bytes",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_budget_is_ten_gibibytes_and_nonsense_is_refused() {
        let parse = |text: &str| max_bytes_from(Some(OsStr::new(text)));
        assert_eq!(max_bytes_from(None).unwrap(), 10 * 1024 * 1024 * 1024);
        assert_eq!(parse("").unwrap(), DEFAULT_MAX_BYTES);
        assert_eq!(parse("5").unwrap(), 5);
        assert!(matches!(parse("5 GB"), Err(Error::Setting { .. })));
    }
}
