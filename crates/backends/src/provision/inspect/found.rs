//! Environments found by their keys, without their spec and base.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use envspec::LoadedEnv;
use venv_cache::{Base, BaseRecord, CachedEnv, Key, Strategy, Unusable};

use crate::provision::environment::{Core, Environment};
use crate::provision::provisioner::Provisioner;
use crate::run::Error;

impl Provisioner {
    /// Returns the environment of the cache under a key; none if there is none.
    ///
    /// The base is checked only if the environment is made of links into it.
    ///
    /// # Errors
    ///
    /// [`Error::StaleLinks`] if such a base has changed since.
    pub fn find(&self, key: &Key) -> Result<Option<Environment>, Error> {
        let found = self.inspect(key)?;
        match &found {
            Some(environment) if environment.has_stale_links() => {
                let base = environment.base_record().map(|base| PathBuf::from(&base.python));
                Err(Error::StaleLinks { key: key.to_string(), python: base.unwrap_or_default() })
            }
            _ => Ok(found),
        }
    }

    /// Returns the environment of the cache under a key, for inspection and not for use: its base
    /// may have changed ([`Environment::damage`] checks).
    pub fn inspect(&self, key: &Key) -> Result<Option<Environment>, Error> {
        let begun = Instant::now();
        let Some(cached) = self.cache().get(key).map_err(Error::cache)? else { return Ok(None) };
        let core = Arc::new(Core::cached(cached, begun.elapsed()));
        Environment::new(core, &LoadedEnv::default(), self.shims()).map(Some)
    }

    /// Returns the one environment whose key starts with these digits.
    ///
    /// Fails if the text is no start of a key, and if none or several environments match.
    pub fn find_by_prefix(&self, prefix: &str) -> Result<Environment, Error> {
        // A whole key needs no search.
        let key = match prefix.parse() {
            Ok(key) => key,
            Err(_) => self.cache().find(prefix).map_err(Error::cache)?,
        };
        if let Some(found) = self.find(&key)? {
            return Ok(found);
        }
        let error = match self.cache().unusable(&key).map_err(Error::cache)? {
            None | Some(Unusable::Absent) => {
                venv_cache::Error::NoMatch { prefix: prefix.to_owned() }
            }
            Some(why) => venv_cache::Error::Unusable { key, why },
        };
        Err(Error::cache(error))
    }
}

impl Environment {
    /// Returns whether it is made of links into a base that has changed, or is gone. An environment
    /// that shares files with a managed base is removed with the base.
    pub(crate) fn has_stale_links(&self) -> bool {
        let Some(base) = self.base_record().filter(|base| base.key.is_none()) else {
            return false;
        };
        let manifest = self.cached().map(CachedEnv::manifest);
        if manifest.is_none_or(|manifest| manifest.strategy != Strategy::Symlink.to_string()) {
            return false;
        }
        let now = Base::open(Path::new(&base.python), None);
        now.map_or(true, |now| now.fingerprint().to_string() != base.fingerprint)
    }

    fn base_record(&self) -> Option<&BaseRecord> {
        self.key()?;
        self.cached()?.manifest().base.as_ref()
    }

    /// Returns the spec that it was made from, as in its manifest: in normal form and without
    /// credentials. None for the base and for prebuilt environments.
    #[must_use]
    pub fn spec(&self) -> Option<LoadedEnv> {
        let mut env = LoadedEnv::default();
        env.install = Some(self.details()?.install()?);
        Some(env)
    }
}
