//! One base and one cache, and the environments that they make together.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use envspec::{Install, LoadedEnv};
use installer::{Ambient, Deadline, Limit, Settings, Tools};
use stage::{Base, Isolation};
use venv_cache::{
    Budget, BuildOptions, Built, Cache, CachedEnv, Interpreter, Key, Site, State, Strategy,
};

use super::build::{Amount, Build};
use super::environment::{Core, EnvState, Environment};
use super::key;
use crate::run::{BuildPhase, Error, Event, Observer, Plan, PlannedBase};
use crate::worker::Shims;

/// How often it looks around while others build.
const LOOK: Duration = Duration::from_millis(250);

/// Makes environments: one base, one cache.
///
/// It may be shared by threads; distinct environments are built side by side, and the same one is
/// built once.
pub struct Provisioner {
    cache: Cache,
    tools: Tools,
    shims: Arc<Shims>,
    /// Where the base comes from; if nobody says, it is discovered.
    choice: Option<PlannedBase>,
    base: Mutex<Option<Arc<OpenBase>>>,
    strategy: Option<Strategy>,
    eviction: Eviction,
    observer: Arc<dyn Observer>,
    /// Ends builds, and waits for those of others, soon after it becomes true.
    stop: Arc<AtomicBool>,
    /// Whether it has built an environment, so that there may be too much in the cache.
    has_built: AtomicBool,
}

/// To what the cache is pruned after a build.
#[derive(Clone, Debug, Default)]
pub(crate) enum Eviction {
    /// What [`Budget::from_env`] says then.
    #[default]
    FromEnv,
    To(Budget),
    Never,
}

/// A base that was opened, or built.
#[derive(Debug)]
pub(crate) struct OpenBase {
    pub(crate) base: venv_cache::Base,
    /// The environment of the cache that it is, if it is a managed one.
    pub(crate) managed: Option<CachedEnv>,
    pub(crate) core: Arc<Core>,
}

/// A managed base that is to be, or is.
pub(crate) struct Managed<'e> {
    /// The bare interpreter.
    pub(crate) interpreter: Interpreter,
    pub(crate) key: Key,
    pub(crate) install: &'e Install,
    pub(crate) settings: Settings,
}

impl Eviction {
    /// To a budget, or never.
    pub(crate) fn of(budget: Option<Budget>) -> Self {
        budget.map_or(Self::Never, Self::To)
    }
}

impl Provisioner {
    /// Opens the cache; the base is opened, or built, when it is first needed.
    ///
    /// `base` is by default the virtualenv that `$VIRTUAL_ENV` names, else `python3` on `PATH`;
    /// relative paths in it are relative to the current folder. `cache_dir` is by default
    /// `$CURATOR_CACHE_DIR`, else `curator` in the user's cache folder.
    pub fn new(base: Option<&Base>, cache_dir: Option<&Path>) -> Result<Self, Error> {
        let dir = std::env::current_dir()
            .map_err(|source| Error::io("find", "the current folder", source))?;
        let choice = base.map(|base| PlannedBase::load(base, &dir)).transpose()?;
        Self::open(choice, cache_dir)
    }

    /// The same with the base that a plan asks for.
    pub fn of_plan(plan: &Plan, cache_dir: Option<&Path>) -> Result<Self, Error> {
        Self::open(plan.base().cloned(), cache_dir)
    }

    fn open(choice: Option<PlannedBase>, cache_dir: Option<&Path>) -> Result<Self, Error> {
        let cache = match cache_dir {
            Some(dir) => Cache::open(dir),
            None => Cache::from_env(),
        }
        .map_err(Error::cache)?;
        let tools = Tools::new(cache.tools_dir());
        let shims = Arc::new(Shims::new(cache.shims_dir()));
        Ok(Self {
            cache,
            tools,
            shims,
            choice,
            base: Mutex::new(None),
            strategy: None,
            eviction: Eviction::FromEnv,
            observer: Arc::new(()),
            stop: Arc::default(),
            has_built: AtomicBool::new(false),
        })
    }

    /// Has environments add to their base in this way, and by no other if it cannot be done.
    ///
    /// Such environments have keys of their own. Under full isolation every file is copied, whatever
    /// is asked for here; to ask for [`Strategy::Copy`] is to ask for full isolation. By default,
    /// the way is chosen by probing the file systems.
    #[must_use]
    pub fn with_strategy(self, strategy: Strategy) -> Self {
        Self { strategy: Some(strategy), ..self }
    }

    /// Has the cache pruned to this budget after each build, or never.
    ///
    /// By default, it is pruned to [`Budget::from_env`]. What is in use stays in any case.
    #[must_use]
    pub fn with_budget(self, budget: Option<Budget>) -> Self {
        self.with_eviction(Eviction::of(budget))
    }

    pub(crate) fn with_eviction(self, eviction: Eviction) -> Self {
        Self { eviction, ..self }
    }

    /// Has somebody told of the phases of builds ([`Event::EnvironmentBuilding`]) and of evictions
    /// that failed ([`Event::Warning`]). By default, nobody is.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Sets a flag that ends builds under way soon after it becomes true; nothing of them stays. What
    /// is asked for then fails with [`Error::Stopped`]. By default, there is none.
    #[must_use]
    pub fn with_stop(self, stop: Arc<AtomicBool>) -> Self {
        Self { stop, ..self }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Where the Python side of workers is written.
    pub(crate) fn shims(&self) -> &Arc<Shims> {
        &self.shims
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The base that was asked for.
    pub(crate) fn choice(&self) -> Option<&PlannedBase> {
        self.choice.as_ref()
    }

    /// Over another base, which may be open already.
    pub(crate) fn with_base(self, choice: PlannedBase, open: Option<Arc<OpenBase>>) -> Self {
        Self { choice: Some(choice), base: Mutex::new(open), ..self }
    }

    /// Lets go of the base, which is opened again, or built, when it is next needed.
    pub(crate) fn close_base(&self) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The base environment itself, with the variables and folders of `env`.
    pub fn base_environment(&self, env: &LoadedEnv) -> Result<Environment, Error> {
        let open = self.open_base()?;
        Environment::new(open.core.clone(), env, &self.shims)
    }

    /// The environment for a spec: looked up, and built if it is not there.
    ///
    /// A spec that asks for no packages is the base environment with its own variables; one that
    /// names an interpreter is that.
    pub fn prepare(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Environment, Error> {
        let core = self.prepare_core(env, isolation)?;
        Environment::new(core, env, &self.shims)
    }

    /// Fails if the files that a spec names are for other Pythons than the base's. A managed base is
    /// not built for this.
    pub(crate) fn check_python(&self, env: &LoadedEnv) -> Result<(), Error> {
        if env.requires_python.is_empty() {
            return Ok(());
        }
        match &self.choice {
            Some(PlannedBase::Managed(base)) => has_python(env, &self.managed(base)?.interpreter),
            _ => has_python(env, self.open_base()?.base.interpreter()),
        }
    }

    pub(crate) fn prepare_core(
        &self,
        env: &LoadedEnv,
        isolation: Isolation,
    ) -> Result<Arc<Core>, Error> {
        self.check_python(env)?;
        if let Some(python) = &env.python {
            let records = self.cache.interpreters_dir();
            let interpreter =
                Interpreter::describe(python, Some(&records)).map_err(Error::cache)?;
            return Ok(Arc::new(Core::prebuilt(&interpreter, env.install.as_ref())));
        }
        if let Some(command) = &env.py_executable {
            let words =
                shlex::split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
                    Error::PyExecutable { command: envspec::redact(command).into_owned() }
                })?;
            return Ok(Arc::new(Core::command(words)));
        }
        let open = self.open_base()?;
        let Some(install) = &env.install else { return Ok(open.core.clone()) };
        let begun = Instant::now();
        let settings = open.settings(install)?;
        let (key, isolation) = self.key_with(&open, install, isolation, &settings);
        let build = |build: &Build<'_>, site: &Site<'_>| {
            build.over(&open.base, open.managed.as_ref(), isolation, site)
        };
        let cached = self.get_or_build(&key, install, &settings, env.setup_timeout, build)?;
        let core = Core::cached(cached, begun.elapsed());
        if core.state == EnvState::Built {
            self.evict_after_build();
        }
        Ok(Arc::new(core))
    }

    pub(crate) fn evict_after_build(&self) {
        self.has_built.store(true, Ordering::Relaxed);
        self.evict();
    }

    /// The key of an environment over the base.
    pub(crate) fn key_of(
        &self,
        open: &OpenBase,
        install: &Install,
        isolation: Isolation,
    ) -> Result<Key, Error> {
        let settings = open.settings(install)?;
        Ok(self.key_with(open, install, isolation, &settings).0)
    }

    /// The same, and how far it is really kept apart from the base.
    fn key_with(
        &self,
        open: &OpenBase,
        install: &Install,
        isolation: Isolation,
        settings: &Settings,
    ) -> (Key, Isolation) {
        let (isolation, strategy) = match (isolation, self.strategy) {
            (Isolation::Full, _) | (_, Some(Strategy::Copy)) => (Isolation::Full, None),
            (Isolation::Shared, strategy) => (Isolation::Shared, strategy),
        };
        (key::environment(&open.base, install, isolation, strategy, settings), isolation)
    }

    /// The key under which the environment for a spec is, or would be; none where nothing is built
    /// for it. A managed base is built for this if need be.
    pub fn key(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Option<Key>, Error> {
        if env.python.is_some() || env.py_executable.is_some() {
            return Ok(None);
        }
        let Some(install) = &env.install else { return Ok(None) };
        self.key_of(&*self.open_base()?, install, isolation).map(Some)
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

    pub(crate) fn get_or_build(
        &self,
        key: &Key,
        install: &Install,
        settings: &Settings,
        timeout: Option<Duration>,
        build: impl Fn(&Build<'_>, &Site<'_>) -> Result<Built, Error>,
    ) -> Result<CachedEnv, Error> {
        let begun = Instant::now();
        let patience = timeout.unwrap_or(Duration::MAX);
        let deadline = timeout.map_or(Deadline::NEVER, Deadline::after);
        let limit = &Limit::from(deadline).with_stop(self.stop.clone());
        let text = key.to_string();
        let on_phase = |phase: BuildPhase, amount: Amount| {
            let (key, Amount { packages, done, bytes, total_bytes }) = (text.clone(), amount);
            self.observer.on_event(&Event::EnvironmentBuilding {
                key,
                phase,
                packages,
                done,
                bytes,
                total_bytes,
            });
        };
        let (tools, strategy, stop) = (&self.tools, self.strategy, &self.stop);
        let on_phase = &on_phase;
        let context = Build { tools, install, settings, limit, strategy, on_phase };
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            // The wait for somebody else's build is cut into pieces, to look around in between.
            let wait = LOOK.min(patience.saturating_sub(begun.elapsed()));
            let options = BuildOptions::default().with_wait(wait);
            let closure = |site: &Site<'_>| {
                for told in settings.told() {
                    let message = told.clone();
                    self.observer.on_event(&Event::Warning { stage: None, message });
                }
                build(&context, site)
            };
            match self.cache.get_or_build(key, &options, closure) {
                Ok(cached) => {
                    if cached.state() == State::Built {
                        self.observer.on_event(&Event::EnvironmentBuilt {
                            key: text.clone(),
                            own_bytes: cached.manifest().own_bytes,
                            duration: begun.elapsed(),
                        });
                    }
                    return Ok(cached);
                }
                Err(venv_cache::Error::Timeout { .. }) if begun.elapsed() < patience => {}
                Err(venv_cache::Error::Build { .. }) if stop.load(Ordering::Relaxed) => {
                    return Err(Error::Stopped);
                }
                Err(error) => return Err(error.into_build_error().unwrap_or_else(Error::cache)),
            }
        }
    }

    /// Opens the base, or builds it; again only if it has changed.
    pub(crate) fn open_base(&self) -> Result<Arc<OpenBase>, Error> {
        let mut slot = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = slot.as_ref().filter(|open| !open.base.may_have_changed()) {
            return Ok(open.clone());
        }
        let open = Arc::new(self.make_base()?);
        *slot = Some(open.clone());
        Ok(open)
    }

    fn make_base(&self) -> Result<OpenBase, Error> {
        let records = self.cache.interpreters_dir();
        let records = Some(records.as_path());
        let begun = Instant::now();
        match &self.choice {
            None => {
                let base = venv_cache::Base::discover(records).map_err(Error::cache)?;
                Ok(OpenBase::found(base, begun.elapsed()))
            }
            Some(PlannedBase::Python(python)) => {
                let base = venv_cache::Base::open(python, records).map_err(Error::cache)?;
                Ok(OpenBase::found(base, begun.elapsed()))
            }
            Some(PlannedBase::Managed(env)) => {
                let Managed { interpreter, key, install, settings } = self.managed(env)?;
                let build = |build: &Build<'_>, site: &Site<'_>| build.bare(&interpreter, site);
                let cached =
                    self.get_or_build(&key, install, &settings, env.setup_timeout, build)?;
                OpenBase::managed(cached, records, begun.elapsed())
            }
        }
    }

    pub(crate) fn managed<'e>(&self, env: &'e LoadedEnv) -> Result<Managed<'e>, Error> {
        let install = env.install.as_ref().ok_or(Error::EmptyManagedBase)?;
        let records = self.cache.interpreters_dir();
        let interpreter = match &env.python {
            Some(python) => Interpreter::describe(python, Some(&records)).map_err(Error::cache)?,
            None => venv_cache::Base::discover(Some(&records))
                .map_err(Error::cache)?
                .interpreter()
                .clone(),
        };
        has_python(env, &interpreter)?;
        let settings =
            Settings::read(install, None, &Ambient::from_env()).map_err(Error::install)?;
        let key = key::managed_base(&interpreter, install, &settings);
        Ok(Managed { interpreter, key, install, settings })
    }

    /// The base as far as it is there already: a managed one that is not built is not built now.
    pub(crate) fn peek_base(&self) -> Result<Option<Arc<OpenBase>>, Error> {
        if let Some(PlannedBase::Managed(env)) = &self.choice {
            let key = self.managed(env)?.key;
            if self.cache.get(&key).map_err(Error::cache)?.is_none() {
                return Ok(None);
            }
        }
        self.open_base().map(Some)
    }
}

/// Fails if the files that a spec names are for other Pythons.
fn has_python(env: &LoadedEnv, interpreter: &Interpreter) -> Result<(), Error> {
    let version = interpreter.version();
    match env.requires_python.iter().find(|required| !required.accepts(version)) {
        None => Ok(()),
        Some(required) => Err(Error::RequiresPython {
            file: required.file.clone(),
            versions: required.versions.clone(),
            python: interpreter.executable().to_owned(),
            version: version.to_owned(),
        }),
    }
}

impl OpenBase {
    /// The package manager's settings that are in force for an environment over the base.
    pub(crate) fn settings(&self, install: &Install) -> Result<Settings, Error> {
        // A managed base is ours, and has no file of its own.
        let own = self.managed.is_none().then(|| self.base.interpreter().prefix());
        Settings::read(install, own, &Ambient::from_env()).map_err(Error::install)
    }

    fn found(base: venv_cache::Base, duration: Duration) -> Self {
        let core = Arc::new(Core::base(base.interpreter(), None, duration));
        Self { base, managed: None, core }
    }
}

impl fmt::Debug for Provisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, tools, choice, base, strategy, eviction, .. } = self;
        f.debug_struct("Provisioner")
            .field("cache", cache)
            .field("tools", tools)
            .field("choice", choice)
            .field("base", base)
            .field("strategy", strategy)
            .field("eviction", eviction)
            .finish_non_exhaustive()
    }
}
