//! What a record of a run needs to know of environments, and how one is built again from it.

use std::collections::BTreeMap;

use envspec::{Install, LoadedEnv, Requirement};
use stage::Isolation;

use super::build::base_packages;
use super::details::Details;
use super::provisioner::Provisioner;
use crate::error::Error;

impl Provisioner {
    /// The versions of the base's distributions, by normal name. A managed base is built if need be.
    pub(crate) fn base_versions(&self) -> Result<BTreeMap<String, String>, Error> {
        let open = self.open_base()?;
        let installed = base_packages(open.base.interpreter());
        Ok(installed.iter().map(|(name, it)| (name.to_owned(), it.version.clone())).collect())
    }

    /// What is known of the managed base; none for another base. It is built if need be.
    pub(crate) fn managed_base(&self) -> Result<Option<Details>, Error> {
        Ok(self.open_base()?.managed.as_ref().and_then(Details::of))
    }

    /// What is known of an environment that is in the cache, and of a managed base that is.
    pub(crate) fn peek(
        &self,
        env: &LoadedEnv,
        isolation: Isolation,
    ) -> Result<Option<Details>, Error> {
        let Some(install) = env.install.as_ref() else { return Ok(None) };
        let Some(open) = self.peek_base()? else { return Ok(None) };
        let key = self.key_of(&open, install, isolation)?;
        Ok(self.cache().get(&key).map_err(Error::cache)?.as_ref().and_then(Details::of))
    }

    /// The managed base as far as it is in the cache.
    pub(crate) fn peek_managed_base(&self) -> Result<Option<Details>, Error> {
        let open = self.peek_base()?;
        Ok(open.and_then(|open| open.managed.as_ref().and_then(Details::of)))
    }

    /// The lines that install just what an environment holds, with hashes where all of it has some.
    pub(crate) fn pin(
        &self,
        env: &LoadedEnv,
        details: &Details,
    ) -> Result<(Vec<String>, bool), Error> {
        let Some(install) = &env.install else { return Ok((Vec::new(), false)) };
        let mut pins = Vec::new();
        for added in &details.added {
            let own = install.requirements.iter().find(|it| is_named(it, &added.name));
            let is_from_index = added.source.is_none();
            let pin = format!("{}=={}", added.name, added.version).parse::<Requirement>();
            match (own, pin) {
                (Some(own), _) if !is_from_index => pins.push(own.clone()),
                (_, Ok(pin)) => pins.push(pin),
                (_, Err(source)) => {
                    let owner = format!("the record of `{}`", added.name);
                    return Err(Error::Spec { owner, source: Box::new(source) });
                }
            }
        }
        let mut pinned = env.clone();
        pinned.install = Some(with_requirements(install, pins.clone()));
        match self.lock(&pinned) {
            Ok(lines) => Ok((lines, true)),
            Err(Error::Unlockable { .. }) => {
                Ok((pins.iter().map(ToString::to_string).collect(), false))
            }
            Err(error) => Err(error),
        }
    }
}

/// The same asking for other requirements. What the old ones were resolved by has been decided.
pub(crate) fn with_requirements(install: &Install, requirements: Vec<Requirement>) -> Install {
    let mut install = install.clone();
    install.requirements = requirements;
    install.requirements.sort_unstable();
    install.requirements.dedup();
    install
}

/// Whether a requirement is for the package of this normal name.
pub(crate) fn is_named(requirement: &Requirement, name: &str) -> bool {
    requirement.name().is_some_and(|own| envspec::normal_name(own) == name)
}
