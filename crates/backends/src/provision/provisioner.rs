//! One base and one cache, and their environments.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use envspec::{Install, LoadedEnv, RuntimeEnv};
use installer::{Deadline, Importer, Limit, Settings, Tools};
use stage::Isolation;
use venv_cache::{BuildOptions, Built, Cache, CachedEnv, Interpreter, Key, Site, State, Strategy};

use super::base::{OpenBase, current_dir};
use super::build::{Amount, Build};
use super::bytecode::{BytecodeOffer, Compiling};
use super::environment::{Core, Environment};
use super::eviction::Eviction;
use super::key;
use crate::run::{BuildPhase, DiskSource, EnvState, Error, Event, Observer, Owner, PlannedBase};
use crate::sync::Mutex;
use crate::worker::Shims;

/// Poll interval while other processes build.
const LOOK: Duration = Duration::from_millis(250);

/// Makes environments: one base, one cache.
///
/// Threads may share it. Different environments are built in parallel, and each is built once.
///
/// ```no_run
/// use backends::Provisioner;
/// use envspec::RuntimeEnv;
///
/// # fn main() -> Result<(), backends::Report> {
/// let provisioner = Provisioner::builder().open()?;
/// let environment = provisioner.environment(&RuntimeEnv::uv(["packaging==24.0"]))?;
/// let python = environment.python();
/// # let _ = python;
/// # Ok(())
/// # }
/// ```
pub struct Provisioner {
    pub(super) cache: Cache,
    pub(super) tools: Tools,
    pub(super) shims: Arc<Shims>,
    /// The origin of the base; none to discover it.
    pub(super) choice: Option<PlannedBase>,
    pub(super) base: Mutex<Option<Arc<OpenBase>>>,
    pub(super) strategy: Option<Strategy>,
    pub(super) eviction: Eviction,
    pub(super) observer: Arc<dyn Observer>,
    /// Cancels builds, and waits for those of others, soon after it becomes true.
    pub(super) stop: Arc<AtomicBool>,
    /// Whether it has built an environment, so that the cache may need pruning.
    pub(super) has_built: AtomicBool,
    /// Programs whose imports are compiled before the rest of the base.
    pub(super) importers: Vec<Importer>,
    pub(super) compiling: Compiling,
}

impl Provisioner {
    /// Returns the cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the folder for the Python side of workers.
    pub(crate) fn shims(&self) -> &Arc<Shims> {
        &self.shims
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Returns the requested base.
    pub(crate) fn choice(&self) -> Option<&PlannedBase> {
        self.choice.as_ref()
    }

    /// Returns the provisioner over another base, which may be open already.
    pub(crate) fn with_base(self, choice: PlannedBase, open: Option<Arc<OpenBase>>) -> Self {
        Self { choice: Some(choice), base: Mutex::new(open), ..self }
    }

    /// Returns the base environment itself, with the variables and folders of `env`.
    pub fn base_environment(&self, env: &LoadedEnv) -> Result<Environment, Error> {
        self.check(env)?;
        let open = self.open_base()?;
        Environment::new(open.core.clone(), env, &self.shims)
    }

    /// Returns the environment for a spec whose files lie in the current folder. It is looked up,
    /// and built if missing.
    ///
    /// [`prepare`](Self::prepare) takes a spec that was loaded from another folder, and the
    /// isolation.
    pub fn environment(&self, spec: &RuntimeEnv) -> Result<Environment, Error> {
        let env = spec.load(&DiskSource, &current_dir()?).map_err(|source| {
            let owner = Owner::Other("the environment".to_owned());
            Error::Spec { owner, source: Box::new(source) }
        })?;
        self.prepare(&env, Isolation::Shared)
    }

    /// Returns the environment for a loaded spec. It is looked up, and built if missing.
    ///
    /// A spec without packages is the base environment with its own variables; a spec with an
    /// interpreter is that interpreter.
    pub fn prepare(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Environment, Error> {
        let core = self.prepare_core(env, isolation)?;
        Environment::new(core, env, &self.shims)
    }

    pub(crate) fn prepare_core(
        &self,
        env: &LoadedEnv,
        isolation: Isolation,
    ) -> Result<Arc<Core>, Error> {
        self.check(env)?;
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
        let settings = self.settings(&open, install)?;
        let (key, isolation) = self.key_with(&open, install, isolation, &settings);
        let build = |build: &Build<'_>, site: &Site<'_>| {
            build.over(&open.base, open.managed.as_ref(), isolation, site)
        };
        if let Some(bytecode) = &open.bytecode {
            bytecode.begin(&self.cache, &open.base, &self.importers, &self.compiling);
        }
        let cached = self.get_or_build(&key, install, &settings, env.setup_timeout, build)?;
        let dir = cached.dir().to_owned();
        let mut core = Core::cached(cached, begun.elapsed());
        if let Some(bytecode) = &open.bytecode {
            let interpreter = open.base.interpreter();
            core = core.with_bytecode(BytecodeOffer::to_environment(bytecode, interpreter, &dir));
        }
        if core.state == EnvState::Built {
            self.evict_after_build();
        }
        Ok(Arc::new(core))
    }

    pub(crate) fn evict_after_build(&self) {
        self.has_built.store(true, Ordering::Relaxed);
        self.eviction.prune(&self.cache, &*self.observer);
    }

    /// Prunes the cache again after the built environments are no longer in use.
    pub(crate) fn settle(&self) {
        self.compiling.end();
        if self.has_built.load(Ordering::Relaxed) {
            self.eviction.prune(&self.cache, &*self.observer);
        }
    }

    /// Returns the key of an environment over the base.
    pub(crate) fn key_of(
        &self,
        open: &OpenBase,
        install: &Install,
        isolation: Isolation,
    ) -> Result<Key, Error> {
        let settings = self.settings(open, install)?;
        Ok(self.key_with(open, install, isolation, &settings).0)
    }

    /// Returns the key, and the actual isolation from the base.
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
        (key::environment_key(&open.base, install, isolation, strategy, settings), isolation)
    }

    /// Returns the key of a spec's environment, whether it exists or not; none if nothing is built
    /// for it. Builds a managed base if needed.
    ///
    /// The key is a digest over everything that decides the contents: the spec with the contents of
    /// the files that it names, the base with its fingerprint, the interpreter's build and
    /// platform, the isolation, a requested strategy, and the settings of pip or uv that are in
    /// force by variables and configuration files (`UV_CONSTRAINT`, `pip.conf`).
    pub fn key(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Option<Key>, Error> {
        self.check(env)?;
        if env.python.is_some() || env.py_executable.is_some() {
            return Ok(None);
        }
        let Some(install) = &env.install else { return Ok(None) };
        self.key_of(&*self.open_base()?, install, isolation).map(Some)
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
        let records = &self.cache.interpreters_dir();
        let context = Build { tools, install, settings, limit, records, strategy, on_phase };
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            // The wait for another process's build is cut into pieces, with checks in between.
            let wait = LOOK.min(patience.saturating_sub(begun.elapsed()));
            let options = BuildOptions::default().with_wait(wait);
            let closure = |site: &Site<'_>| {
                let _building = self.compiling.building();
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
