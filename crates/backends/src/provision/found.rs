//! Environments by what the cache calls them, without the spec and the base that they were made of.

use std::sync::Arc;
use std::time::Instant;

use envspec::LoadedEnv;
use venv_cache::Key;

use super::environment::{Core, Environment};
use super::provisioner::Provisioner;
use crate::error::Error;

impl Provisioner {
    /// The environment that the cache has under a key; none if it has none.
    ///
    /// The base is not looked at: what a key names is whole in itself.
    pub fn find(&self, key: &Key) -> Result<Option<Environment>, Error> {
        let begun = Instant::now();
        let Some(cached) = self.cache().get(key).map_err(Error::cache)? else { return Ok(None) };
        let core = Arc::new(Core::cached(cached, begun.elapsed()));
        Environment::new(core, &LoadedEnv::default(), &self.cache().shims_dir()).map(Some)
    }

    /// The one environment whose key starts with these digits.
    ///
    /// Fails if the text is no start of a key, and if none or several environments match.
    pub fn find_by_prefix(&self, prefix: &str) -> Result<Environment, Error> {
        let no_match = || Error::cache(venv_cache::Error::NoMatch { prefix: prefix.to_owned() });
        // A whole key needs no look at the others.
        let key = match prefix.parse() {
            Ok(key) => key,
            Err(_) => self.cache().find(prefix).map_err(Error::cache)?,
        };
        self.find(&key)?.ok_or_else(no_match)
    }
}

impl Environment {
    /// The spec that it was made from, as its manifest has it: in normal form and without
    /// credentials. None for the base and for prebuilt environments.
    #[must_use]
    pub fn spec(&self) -> Option<LoadedEnv> {
        let mut env = LoadedEnv::default();
        env.install = Some(self.details()?.install()?);
        Some(env)
    }
}
