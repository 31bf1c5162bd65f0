//! Lookup and building of environments: once, whole or not at all.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use files::{Access, Draft};

use crate::built::Built;
use crate::cache::Cache;
use crate::error::{BoxError, IoResultExt};
use crate::inventory::{Inventory, Sizes, current_boot};
use crate::layout::{Entry, MAX_SIZES, SIZES};
use crate::lease::{CachedEnv, State};
use crate::lock::{self, ExclusiveLock, SharedLock};
use crate::manifest::{Manifest, Need, stays_inside};
use crate::unusable::Unusable;
use crate::{Error, Key, Result, durable};

/// Maximum depth of needed environments. An environment needs a base, which rarely needs another; a
/// longer chain is damaged or a cycle.
const MAX_DEPTH: usize = 8;

/// Maximum wait of `get` for a lock that others hold only for an instant.
const INSTANT: Duration = Duration::from_secs(10);

/// Pause between two tries for such a lock.
const PAUSE: Duration = Duration::from_millis(1);

/// Maximum wait of a builder for evictors, which hold their lock only while they choose.
const EVICTION: Duration = Duration::from_mins(1);

/// Options of a build.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct BuildOptions {
    wait: Option<Duration>,
}

impl BuildOptions {
    /// Sets the maximum wait for another caller's build, after which the call fails with
    /// [`Error::Timeout`].
    ///
    /// The caller's own build is not limited. Default: no limit.
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }
}

/// The place where an environment is built: its folder, which is its final place, and the lock that keeps
/// others away from it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    dir: &'a Path,
    lock: &'a File,
}

impl Site<'_> {
    /// Returns the environment's folder, which does not exist yet; its parent does.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir
    }

    /// Returns the open lock file, held exclusively.
    ///
    /// A duplicate of the descriptor also holds the lock. Pass one to every process that writes
    /// into the folder: otherwise such a process could outlive a killed builder and write into the
    /// next build. The file is empty, so it can be the process's standard input.
    #[must_use]
    pub fn lock(&self) -> &File {
        self.lock
    }
}

impl Deref for Site<'_> {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.dir
    }
}

/// What was found under a key, or why it is of no use.
type Sought<T> = std::result::Result<T, Unusable>;

/// A usable environment, found while its lock is held.
struct Found {
    manifest: Manifest,
    access: Access,
    needs: Vec<CachedEnv>,
}

impl Cache {
    /// Returns the environment with this key, if it exists and is whole.
    ///
    /// Takes the environment's shared lock, and records the use. Does not wait for a build: an
    /// environment that is being built does not exist yet.
    pub fn get(&self, key: &Key) -> Result<Option<CachedEnv>> {
        Ok(self.get_at(key, 0)?.ok())
    }

    /// Returns why [`get`](Self::get) gives no environment with this key; none if it gives one.
    pub fn unusable(&self, key: &Key) -> Result<Option<Unusable>> {
        Ok(self.get_at(key, 0)?.err())
    }

    /// Returns the environment with this key, and builds it with the closure if it does not exist.
    ///
    /// However many threads and processes ask at once, one closure runs and the others wait for it.
    /// The closure gets the [`Site`]: the environment's folder, which does not exist yet, in one
    /// that does. The folder is final, so paths into it may be written anywhere. When the closure
    /// returns, its result becomes visible in one step. If it fails or panics, or the process dies,
    /// nothing becomes visible; the remains are removed at once or by the next call.
    ///
    /// A waiter whose predecessor failed runs its own closure. The closure must not ask the cache
    /// for its own key.
    ///
    /// # Errors
    ///
    /// [`Error::Build`] with what the closure returned, which [`Error::into_build_error`] gives back
    /// under its type.
    pub fn get_or_build<F, E>(
        &self,
        key: &Key,
        options: &BuildOptions,
        build: F,
    ) -> Result<CachedEnv>
    where
        F: FnOnce(&Site<'_>) -> Result<Built, E>,
        E: Into<BoxError>,
    {
        let entry = self.layout().entry(key);
        let mut build = Some(build);
        // No eviction may happen between commit and lease; see `evict`.
        let mut hand_over = None;
        loop {
            let state = if build.is_some() { State::Hit } else { State::Built };
            let shared = self.lock_shared(&entry, options)?;
            if let Ok(found) = self.examine(key, &entry, 0)? {
                return Ok(Self::lease(entry, found, shared, state));
            }
            drop(shared);
            drop(hand_over.take());
            let Some(run) = build.take() else { return Err(Error::Vanished { dir: entry.dir }) };

            let exclusive = ExclusiveLock::acquire(&entry.lock_file, self.access(), options.wait)?;
            if self.examine(key, &entry, 0)?.is_ok() {
                // Built while we waited.
                build = Some(run);
                continue;
            }
            hand_over = Some(self.build(key, &entry, &exclusive, run)?);
        }
    }

    fn lock_shared(&self, entry: &Entry, options: &BuildOptions) -> Result<SharedLock> {
        match self.wait_shared(entry, options) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                // A clean-up removed the folder of locks.
                self.prepare()?;
                self.wait_shared(entry, options)
            }
            other => other,
        }
    }

    /// Waits for a build for as long as the options allow. If the environment exists all the time,
    /// no build is running, and a lock held for longer than an instant would never be released:
    /// then the wait ends early.
    fn wait_shared(&self, entry: &Entry, options: &BuildOptions) -> Result<SharedLock> {
        let start = Instant::now();
        while entry.manifest_file().exists() {
            if let Some(lock) = SharedLock::try_acquire(&entry.lock_file, self.access())? {
                return Ok(lock);
            }
            if start.elapsed() > INSTANT {
                return Err(lock::held(&entry.lock_file, start.elapsed()));
            }
            thread::sleep(PAUSE);
        }
        SharedLock::acquire(&entry.lock_file, self.access(), options.wait)
    }

    fn lease(entry: Entry, found: Found, lock: SharedLock, state: State) -> CachedEnv {
        lock.touch(&entry.lock_file);
        let Found { manifest, access, needs } = found;
        CachedEnv::new(entry, manifest, access, needs, lock, state)
    }

    fn get_at(&self, key: &Key, depth: usize) -> Result<Sought<CachedEnv>> {
        let entry = self.layout().entry(key);
        let manifest_file = entry.manifest_file();
        let start = Instant::now();
        loop {
            // A key that was never built makes no lock file.
            match fs::symlink_metadata(&manifest_file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Err(Unusable::Absent));
                }
                other => other.context("read", &manifest_file)?,
            };
            if let Some(lock) = SharedLock::try_acquire(&entry.lock_file, self.access())? {
                let found = self.examine(key, &entry, depth)?;
                return Ok(found.map(|found| Self::lease(entry, found, lock, State::Hit)));
            }
            // The manifest exists, and another process reads or removes it, which is quick.
            if start.elapsed() > INSTANT {
                return Err(lock::held(&entry.lock_file, start.elapsed()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Returns whether a usable environment lies here. The caller holds its lock, in either mode.
    fn examine(&self, key: &Key, entry: &Entry, depth: usize) -> Result<Sought<Found>> {
        match fs::symlink_metadata(&entry.dir) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::NotAFolder { path: entry.dir.clone() });
            }
            _ => {}
        }
        let path = entry.manifest_file();
        let access = self.enter_envs()?;
        let access = match access.enter(&entry.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(Unusable::Absent));
            }
            entered => entered.context("read", &entry.dir)?,
        };
        let manifest = match Manifest::read(&path, key, access).context("read", &path)? {
            Some(Ok(manifest)) => manifest,
            Some(Err(fault)) => {
                tracing::warn!(%key, ?fault, "the manifest cannot be used");
                return Ok(Err(Unusable::Record));
            }
            None => return Ok(Err(Unusable::Absent)),
        };
        if !manifest.is_of(&entry.dir) {
            tracing::warn!(%key, place = ?manifest.place, "it was built in another place");
            let place = manifest.place.unwrap_or_default().into();
            return Ok(Err(Unusable::Moved { place }));
        }
        // The folders' modes guard all other files: only trusted users may write there.
        let python = entry.dir.join(&manifest.python);
        let scripts = python.parent().unwrap_or(&entry.dir);
        let checked = access.enter(scripts).and_then(|access| access.check_program(&python));
        match checked.context("read", &python) {
            Err(Error::Io { source, .. }) if !files::is_refusal(&source) => {
                tracing::warn!(%key, python = %python.display(), %source, "the interpreter is gone");
                return Ok(Err(Unusable::Interpreter { python }));
            }
            checked => checked?,
        }
        let manifest = match self.check_after_boot(entry, manifest, access)? {
            Ok(manifest) => manifest,
            Err(unusable) => return Ok(Err(unusable)),
        };
        Ok(self.lease_needs(&manifest.needs, depth)?.map(|needs| Found { manifest, access, needs }))
    }

    /// Compares the files' sizes once after every boot, since the machine may have lost power
    /// before everything was on disk.
    fn check_after_boot(
        &self,
        entry: &Entry,
        manifest: Manifest,
        access: Access,
    ) -> Result<Sought<Manifest>> {
        let damaged = |path| Ok(Err(Unusable::Damaged { path }));
        let boot = current_boot();
        if manifest.is_checked_under(boot) {
            return Ok(Ok(manifest));
        }
        let sizes = access
            .read(&entry.sizes_file(), MAX_SIZES)
            .and_then(|bytes| Ok(serde_json::from_slice::<Sizes>(&bytes)?));
        let differences = match sizes.and_then(|sizes| sizes.differences(&entry.dir)) {
            Ok(differences) => differences,
            Err(error) => {
                tracing::warn!(dir = %entry.dir.display(), %error, "the sizes cannot be checked");
                return damaged(entry.sizes_file());
            }
        };
        for difference in differences {
            if !difference.is_bytecode() {
                let path = entry.dir.join(&difference.path);
                tracing::warn!(path = %path.display(), "damaged since the last boot");
                return damaged(path);
            }
            if difference.found.is_some() {
                // Python writes it anew; cut short, it would fail every import of its module.
                let path = entry.dir.join(&difference.path);
                // Another holder of the shared lock may be quicker.
                let name = difference.path.file_name().unwrap_or_default();
                let folder = self.layout().open(path.parent().unwrap_or(&entry.dir))?;
                match folder.unlink(name) {
                    // Another user's bytecode, cut short, in a shared cache: built anew it is whole.
                    Err(error) if files::is_refusal(&error) => {
                        tracing::warn!(path = %path.display(), %error, "damaged");
                        return damaged(path);
                    }
                    removed => removed.map(drop).context("remove", &path)?,
                }
            }
        }
        let manifest = manifest.checked_under(boot);
        // Holders of the shared lock may do this at the same time: they write the same contents.
        match self.write_manifest(entry, &manifest) {
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "checked, which could not be recorded"),
        }
        Ok(Ok(manifest))
    }

    /// Leases the environments that this one needs, if none of them has changed.
    fn lease_needs(&self, needs: &[Need], depth: usize) -> Result<Sought<Vec<CachedEnv>>> {
        let mut leased = Vec::with_capacity(needs.len());
        for need in needs {
            let found =
                if depth >= MAX_DEPTH { None } else { self.get_at(&need.key, depth + 1)?.ok() };
            match found {
                Some(env) if env.manifest().build == need.build => leased.push(env),
                _ => {
                    tracing::warn!(key = %need.key, "an environment that another one needs is gone");
                    return Ok(Err(Unusable::Lacks { key: need.key }));
                }
            }
        }
        Ok(Ok(leased))
    }

    /// Runs the closure and commits what it made. Returns what keeps evictors away.
    fn build<F, E>(
        &self,
        key: &Key,
        entry: &Entry,
        lock: &ExclusiveLock,
        run: F,
    ) -> Result<SharedLock>
    where
        F: FnOnce(&Site<'_>) -> Result<Built, E>,
        E: Into<BoxError>,
    {
        self.prepare()?;
        self.discard(&entry.dir)?;
        let unfinished = Unfinished { cache: self, dir: &entry.dir };

        let start = Instant::now();
        let site = Site { dir: &entry.dir, lock: lock.file() };
        let built = run(&site).map_err(|error| Error::Build { key: *key, source: error.into() })?;
        let build_millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);

        let python = python_inside(entry, &built.python)?;
        // Held until the manifest, which protects them from then on, is there.
        let needs = self.lease_new_needs(key, &built.needs)?;
        let inventory = Inventory::take(&entry.dir, self.access()).context("list", &entry.dir)?;
        self.write_sizes(entry, &inventory.sizes)?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let manifest = Manifest {
            format: Manifest::FORMAT,
            key: *key,
            build: format!("{:x}-{:x}", created.as_nanos(), std::process::id()),
            place: entry.dir.to_str().map(str::to_owned),
            python,
            strategy: built.strategy,
            base: built.base,
            needs: needs
                .iter()
                .map(|env| Need { key: *env.key(), build: env.manifest().build.clone() })
                .collect(),
            created: created.as_secs(),
            boot: current_boot().map(str::to_owned),
            other_boots: Vec::new(),
            build_millis,
            files: inventory.files,
            bytes: inventory.bytes,
            own_files: inventory.own_files,
            own_bytes: inventory.own_bytes,
            details: built.details,
        };
        let eviction_lock = self.layout().eviction_lock_file();
        let hand_over = SharedLock::acquire(&eviction_lock, self.access(), Some(EVICTION))?;
        self.write_manifest(entry, &manifest)?;
        unfinished.finish();
        Ok(hand_over)
    }

    fn lease_new_needs(&self, key: &Key, needs: &[Key]) -> Result<Vec<CachedEnv>> {
        let missing = |need: &Key| Error::NeedMissing { key: *key, need: *need };
        let lease = |need: &Key| {
            if need == key {
                return Err(missing(need));
            }
            self.get_at(need, 1)?.map_err(|_| missing(need))
        };
        needs.iter().map(lease).collect()
    }

    /// Writes the sizes without a sync: if a power cut loses them, the environment is built again.
    ///
    /// Replaces a file of that name from the build instead of writing into it, since it may be
    /// linked elsewhere.
    fn write_sizes(&self, entry: &Entry, sizes: &Sizes) -> Result<()> {
        let path = entry.sizes_file();
        let bytes = serde_json::to_vec(sizes).map_err(io::Error::from).context("write", &path)?;
        let share = |file: &File| self.access().share(file);
        let draft = Draft::default().with_mode(self.access().file_mode()).before(&share);
        draft.write_in(&self.layout().open(&entry.dir)?, SIZES, &bytes).context("write", &path)
    }

    fn write_manifest(&self, entry: &Entry, manifest: &Manifest) -> Result<()> {
        let path = entry.manifest_file();
        let bytes = manifest.to_bytes().context("write", &path)?;
        durable::write(&path, &bytes, self.access())
    }

    /// Removes an environment's folder in one step, then its files.
    fn discard(&self, dir: &Path) -> Result<()> {
        let trash = self.trash();
        let Some(trashed) = trash.take(dir)? else { return Ok(()) };
        let in_place = trashed.is_in_place(self.layout());
        match trash.delete(&[trashed]).pop() {
            // It is where the next build would be.
            Some(left) if in_place => {
                Err(Error::Io { action: "remove", path: left.path, source: left.source })
            }
            _ => Ok(()),
        }
    }
}

/// Removes an unfinished build on drop, also when the closure panics.
struct Unfinished<'a> {
    cache: &'a Cache,
    dir: &'a Path,
}

impl Unfinished<'_> {
    fn finish(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cache.discard(self.dir) {
            tracing::warn!(dir = %self.dir.display(), %error, "a failed build was not removed");
        }
    }
}

/// Returns the interpreter's path relative to the environment's folder, if it lies in it.
fn python_inside(entry: &Entry, python: &Path) -> Result<String> {
    let misbuilt = |problem| Error::Misbuilt { dir: entry.dir.clone(), problem };
    if !fs::symlink_metadata(&entry.dir).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(misbuilt("it is no folder"));
    }
    let relative = if python.is_absolute() {
        python
            .strip_prefix(&entry.dir)
            .map_err(|_| misbuilt("its interpreter lies outside of it"))?
    } else {
        python
    };
    if !stays_inside(relative) {
        return Err(misbuilt("its interpreter lies outside of it"));
    }
    if fs::metadata(entry.dir.join(relative)).is_err() {
        return Err(misbuilt("its interpreter is not there"));
    }
    let relative = relative.to_str().ok_or_else(|| misbuilt("its interpreter's path is not UTF-8"));
    relative.map(str::to_owned)
}
