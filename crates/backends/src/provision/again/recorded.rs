//! The base and the strategy of an environment in the cache, from its manifest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envspec::LoadedEnv;
use stage::Isolation;
use venv_cache::{CachedEnv, Interpreter, Key, Manifest, Strategy};

use crate::provision::base::OpenBase;
use crate::provision::environment::Environment;
use crate::provision::inspect::EnvDetails;
use crate::provision::provisioner::Provisioner;
use crate::run::{Error, PlannedBase};

impl Environment {
    /// Returns whether it is a managed base of other environments.
    #[must_use]
    pub fn is_managed_base(&self) -> bool {
        let manifest = self.cached().map(CachedEnv::manifest);
        self.key().is_some() && manifest.is_some_and(|manifest| manifest.base.is_none())
    }
}

impl Provisioner {
    /// Returns the provisioner with the base and the requested strategy of an environment in its
    /// cache. If the environment is a managed base, that becomes the base.
    ///
    /// The base is taken as it is now: if it has changed, so has the [`key`](Self::key) of the
    /// environment's spec.
    pub fn like(self, environment: &Environment) -> Result<Self, Error> {
        let Some(cached) = environment.cached() else { return Ok(self) };
        let like = match &cached.manifest().base {
            Some(base) => match &base.key {
                Some(key) => {
                    let base = self.cache().get(key).map_err(Error::cache)?;
                    self.over(base.as_ref().ok_or_else(|| missing(key))?)?
                }
                None => self.with_base(PlannedBase::Python(PathBuf::from(&base.python)), None),
            },
            None => self.over(cached)?,
        };
        like.with_strategy_of(environment, cached.manifest())
    }

    /// Returns the key of its managed base; none if its base is another interpreter.
    pub fn base_key(&self) -> Result<Option<Key>, Error> {
        match self.choice() {
            Some(PlannedBase::Managed(env)) => self.managed(env).map(|managed| Some(managed.key)),
            _ => Ok(None),
        }
    }

    /// Returns the provisioner over a managed base of the cache, which needs no spec for that. The
    /// base's own spec is needed only to build it again.
    fn over(self, base: &CachedEnv) -> Result<Self, Error> {
        let records = self.cache().interpreters_dir();
        let interpreter =
            Interpreter::describe(base.python(), Some(&records)).map_err(Error::cache)?;
        let mut spec = LoadedEnv::default();
        spec.install = EnvDetails::of(base).and_then(|details| details.install());
        spec.python = Some(interpreter.base_executable().to_owned());
        let open = Arc::new(OpenBase::managed(base.clone(), Some(&records), Duration::ZERO)?);
        Ok(self.with_base(PlannedBase::Managed(Box::new(spec)), Some(open)))
    }

    /// Returns the provisioner with the strategy that an environment asked for. A strategy is part
    /// of the key only on request, so one of the two keys is the environment's. Neither is if
    /// something else differs, too.
    fn with_strategy_of(self, environment: &Environment, made: &Manifest) -> Result<Self, Error> {
        let strategies = [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy];
        let strategy = strategies.into_iter().find(|it| it.to_string() == made.strategy);
        let (Some(env), Some(strategy)) = (environment.spec(), strategy) else { return Ok(self) };
        if self.key(&env, Isolation::Shared)?.as_ref() == environment.key() {
            return Ok(self);
        }
        Ok(Self { strategy: Some(strategy), ..self })
    }
}

fn missing(key: &Key) -> Error {
    Error::cache(venv_cache::Error::NoMatch { prefix: key.to_string() })
}
