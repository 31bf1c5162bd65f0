//! One base and one cache, and the environments that they make together.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use envspec::{Install, LoadedEnv};
use installer::{Deadline, Tools};
use stage::{Base, Isolation};
use venv_cache::{
    BoxError, BuildOptions, Built, Cache, CachedEnv, Fingerprint, Interpreter, Key, Site,
};

use super::build::Build;
use super::environment::{Core, Environment};
use super::key;
use crate::error::Error;
use crate::plan::{Plan, PlannedBase};

/// Makes environments: one base, one cache.
///
/// It may be shared by threads; distinct environments are built side by side, and the same one is
/// built once.
#[derive(Debug)]
pub struct Provisioner {
    cache: Cache,
    tools: Tools,
    /// Where the base comes from; if nobody says, it is discovered.
    choice: Option<PlannedBase>,
    base: Mutex<Option<Arc<OpenBase>>>,
}

/// A base that was opened, or built.
#[derive(Debug)]
pub(crate) struct OpenBase {
    pub(crate) base: venv_cache::Base,
    /// The environment of the cache that it is, if it is a managed one.
    pub(crate) managed: Option<CachedEnv>,
    pub(crate) core: Arc<Core>,
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
        Ok(Self { cache, tools, choice, base: Mutex::new(None) })
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The base environment itself, with the variables and folders of `env`.
    pub fn base_environment(&self, env: &LoadedEnv) -> Result<Environment, Error> {
        let open = self.open_base()?;
        Environment::new(open.core.clone(), env, &self.cache.shims_dir())
    }

    /// The environment for a spec: looked up, and built if it is not there.
    ///
    /// A spec that asks for no packages is the base environment with its own variables; one that
    /// names an interpreter is that.
    pub fn prepare(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Environment, Error> {
        let core = self.prepare_core(env, isolation)?;
        Environment::new(core, env, &self.cache.shims_dir())
    }

    pub(crate) fn prepare_core(
        &self,
        env: &LoadedEnv,
        isolation: Isolation,
    ) -> Result<Arc<Core>, Error> {
        if let Some(python) = &env.python {
            let records = self.cache.interpreters_dir();
            let interpreter =
                Interpreter::describe(python, Some(&records)).map_err(Error::cache)?;
            return Ok(Arc::new(Core::prebuilt(&interpreter)));
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
        let key = key::environment(&open.base, install, isolation);
        let build = |build: &Build<'_>, site: &Site<'_>| {
            build.over(&open.base, open.managed.as_ref(), isolation, site)
        };
        let cached = self.get_or_build(&key, install, env.setup_timeout, build)?;
        Ok(Arc::new(Core::cached(open.base.interpreter(), cached, begun.elapsed())))
    }

    fn get_or_build(
        &self,
        key: &Key,
        install: &Install,
        timeout: Option<Duration>,
        build: impl FnOnce(&Build<'_>, &Site<'_>) -> Result<Built, Error>,
    ) -> Result<CachedEnv, Error> {
        let mut options = BuildOptions::default();
        if let Some(timeout) = timeout {
            options = options.with_wait(timeout);
        }
        let deadline = timeout.map_or(Deadline::NEVER, Deadline::after);
        let context = Build { tools: &self.tools, install, deadline };
        let closure =
            |site: &Site<'_>| build(&context, site).map_err(|error| -> BoxError { error.into() });
        self.cache.get_or_build(key, &options, closure).map_err(|error| match error {
            venv_cache::Error::Build { source, key } => match source.downcast::<Error>() {
                Ok(own) => *own,
                Err(source) => Error::cache(venv_cache::Error::Build { source, key }),
            },
            other => Error::cache(other),
        })
    }

    /// Opens the base, or builds it; once.
    pub(crate) fn open_base(&self) -> Result<Arc<OpenBase>, Error> {
        let mut slot = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*slot {
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
                let (interpreter, key, install) = self.managed(env)?;
                let build = |build: &Build<'_>, site: &Site<'_>| build.bare(&interpreter, site);
                let cached = self.get_or_build(&key, install, env.setup_timeout, build)?;
                let fingerprint = Fingerprint::from_bytes(*key.as_bytes());
                let base = venv_cache::Base::managed(cached.python(), records, fingerprint)
                    .map_err(Error::cache)?;
                let core = Core::base(base.interpreter(), Some(cached.clone()), begun.elapsed());
                Ok(OpenBase { base, managed: Some(cached), core: Arc::new(core) })
            }
        }
    }

    /// The bare interpreter of a managed base, its key, and what is installed into it.
    fn managed<'e>(&self, env: &'e LoadedEnv) -> Result<(Interpreter, Key, &'e Install), Error> {
        let install = env.install.as_ref().ok_or(Error::EmptyManagedBase)?;
        let records = self.cache.interpreters_dir();
        let interpreter = match &env.python {
            Some(python) => Interpreter::describe(python, Some(&records)).map_err(Error::cache)?,
            None => venv_cache::Base::discover(Some(&records))
                .map_err(Error::cache)?
                .interpreter()
                .clone(),
        };
        let key = key::managed_base(&interpreter, install);
        Ok((interpreter, key, install))
    }

    /// The base as far as it is there already: a managed one that is not built is not built now.
    pub(crate) fn peek_base(&self) -> Result<Option<Arc<OpenBase>>, Error> {
        if let Some(PlannedBase::Managed(env)) = &self.choice {
            let (_, key, _) = self.managed(env)?;
            if self.cache.get(&key).map_err(Error::cache)?.is_none() {
                return Ok(None);
            }
        }
        self.open_base().map(Some)
    }
}

impl OpenBase {
    fn found(base: venv_cache::Base, duration: Duration) -> Self {
        let core = Arc::new(Core::base(base.interpreter(), None, duration));
        Self { base, managed: None, core }
    }
}
