//! The parts of environments that a record of a run needs, and builds from a record.

use std::collections::{BTreeMap, BTreeSet};

use envspec::{Install, LoadedEnv, Requirement};
use stage::Isolation;

use crate::provision::build::{Added, Distribution, Source, asks_for, base_packages, is_direct};
use crate::provision::inspect::EnvDetails;
use crate::provision::provisioner::Provisioner;
use crate::run::{Error, Owner};

impl Provisioner {
    /// Returns the versions of the base's distributions, by normal name, with a note on those that
    /// came from no index. Builds a managed base if needed.
    pub(crate) fn base_versions(&self) -> Result<BTreeMap<String, String>, Error> {
        let open = self.open_base()?;
        let installed = base_packages(open.base.interpreter());
        let version = |it: &Distribution| match it.source() {
            None => it.version.clone(),
            Some(Source { commit: Some(commit), .. }) => format!("{} ({commit})", it.version),
            Some(_) => format!("{} (from no index)", it.version),
        };
        Ok(installed.iter().map(|(name, it)| (name.to_owned(), version(it))).collect())
    }

    /// Returns the details of the managed base; none for another base. Builds it if needed.
    pub(crate) fn managed_base(&self) -> Result<Option<EnvDetails>, Error> {
        Ok(self.open_base()?.managed.as_ref().and_then(EnvDetails::of))
    }

    /// Returns the details of an environment in the cache, and of a managed base if it exists.
    pub(crate) fn peek(
        &self,
        env: &LoadedEnv,
        isolation: Isolation,
    ) -> Result<Option<EnvDetails>, Error> {
        let Some(install) = env.install.as_ref() else { return Ok(None) };
        let Some(open) = self.peek_base()? else { return Ok(None) };
        let key = self.key_of(&open, install, isolation)?;
        Ok(self.cache().get(&key).map_err(Error::cache)?.as_ref().and_then(EnvDetails::of))
    }

    /// Returns the managed base, if it is in the cache.
    pub(crate) fn peek_managed_base(&self) -> Result<Option<EnvDetails>, Error> {
        let open = self.peek_base()?;
        Ok(open.and_then(|open| open.managed.as_ref().and_then(EnvDetails::of)))
    }

    /// Returns the lines that install exactly the packages of an environment, and whether all of
    /// them have hashes.
    ///
    /// A package from a folder, an archive or a repository is requested in the words of the spec, a
    /// repository at its commit: its name and version could be a stranger's package on an index.
    /// Packages that another one brings from such a place come with that one.
    pub(crate) fn pin(
        &self,
        env: &LoadedEnv,
        details: &EnvDetails,
    ) -> Result<(Vec<String>, bool), Error> {
        let Some(install) = &env.install else { return Ok((Vec::new(), false)) };
        let mut pins = Vec::new();
        let mut names = BTreeSet::new();
        for own in install.requirements.iter().filter(|it| is_direct(it)) {
            let mut added = details.added.iter();
            let added = added.find(|it| asks_for(own, &it.name, it.source.as_deref()));
            names.extend(added.map(|it| it.name.clone()));
            pins.push((added.map(|it| it.name.clone()), at_commit(own, added)));
        }
        for added in details.added.iter().filter(|it| it.source.is_none()) {
            if names.insert(added.name.clone()) {
                let pin = format!("{}=={}", added.name, added.version);
                let pin = pin.parse::<Requirement>().map_err(|source| Error::Spec {
                    owner: Owner::Other(format!("the record of `{}`", added.name)),
                    source: Box::new(source),
                })?;
                pins.push((Some(added.name.clone()), pin));
            }
        }
        let mut pinned = env.clone();
        let wanted = pins.iter().map(|(_, pin)| pin.clone()).collect();
        let wanted = with_requirements(install, wanted);
        pinned.install = Some(wanted.clone());
        let locked = match self.locked(&pinned, &wanted, false) {
            // A package of the base may be on no index.
            Err(Error::Install(error)) if is_no_answer(&error) => Vec::new(),
            locked => locked?,
        };
        let base = base_packages(self.open_base()?.base.interpreter());
        let is_own = |name: &str| {
            names.contains(name)
                || details.added.iter().any(|it| it.name == name)
                || base.get(name).is_some_and(|it| it.source().is_some())
        };
        let mut lines: Vec<Requirement> = Vec::new();
        for (name, pin) in &pins {
            let answer =
                locked.iter().find(|it| it.name().is_some() && it.name() == name.as_deref());
            // An answer from another source than the requested one does not count.
            let answer = answer.filter(|it| is_direct(it) == is_direct(pin));
            lines.push(answer.map_or_else(|| pin.clone(), |answer| pin.with_hashes_of(answer)));
        }
        // Packages of the base, and archives that other packages bring.
        let others = locked.into_iter().filter(|it| it.hashes().len() > 0);
        lines.extend(others.filter(|it| match it.name() {
            Some(name) if is_direct(it) => !names.contains(name),
            Some(name) => !is_own(name),
            None => false,
        }));
        lines.sort_unstable();
        lines.dedup();
        let has_hashes = lines.iter().all(|line| line.hashes().len() > 0);
        Ok((lines.iter().map(ToString::to_string).collect(), has_hashes))
    }
}

/// Returns the requirement at the installed commit, if it is for a repository.
fn at_commit(requirement: &Requirement, added: Option<&Added>) -> Requirement {
    match added.and_then(|it| Some((&it.name, it.commit.as_ref()?))) {
        Some((name, commit)) => requirement.at_commit(name, commit),
        None => requirement.clone(),
    }
}

fn is_no_answer(error: &installer::Error) -> bool {
    matches!(error, installer::Error::Unsatisfiable { .. } | installer::Error::NotFound { .. })
}

/// Returns a request for other requirements. Options for resolving the old ones are dropped.
pub(crate) fn with_requirements(install: &Install, requirements: Vec<Requirement>) -> Install {
    let mut install = install.clone();
    install.requirements = requirements;
    install.requirements.sort_unstable();
    install.requirements.dedup();
    install
}
