//! Unpinned specs: writing down what they resolve to, and resolving them again.

use std::sync::Arc;

use envspec::{Install, LoadedEnv, Requirement};
use installer::{Deadline, Installer, Package, Request};
use stage::Isolation;
use venv_cache::CachedEnv;

use super::build::base_packages;
use super::environment::Environment;
use super::installed::Installed;
use super::keep::Kept;
use super::provisioner::{OpenBase, Provisioner};
use super::record::Record;
use crate::error::Error;

impl Provisioner {
    /// Everything that a spec resolves to over the base, as lines of a requirements file with
    /// hashes: all that it needs, what the base has included, so that the lines are a spec of their
    /// own, also with `--require-hashes` and over another base. Nothing is built.
    ///
    /// Versions of the base are taken where the spec allows them. Credentials are left out of the
    /// lines, and where packages come from (`--index-url`) is for whoever uses them to add. A spec
    /// without packages has no lines.
    ///
    /// # Errors
    ///
    /// [`Error::Unlockable`] for what comes from a folder or a repository; else what the resolver
    /// says.
    pub fn lock(&self, env: &LoadedEnv) -> Result<Vec<String>, Error> {
        let Some(install) = &env.install else { return Ok(Vec::new()) };
        let locked = self.locked(env, install, false)?;
        let bare = locked.iter().filter(|requirement| requirement.hashes().len() == 0);
        let packages: Vec<String> = bare.map(ToString::to_string).collect();
        if packages.is_empty() {
            Ok(locked.iter().map(ToString::to_string).collect())
        } else {
            Err(Error::Unlockable { packages })
        }
    }

    /// Resolves a spec again, and builds its environment anew if the answer has changed.
    ///
    /// The environment keeps its key, which names the question and not the answer. If the answer is
    /// the one that it was built from, it is left alone, which its
    /// [`state`](Environment::state) tells; if it is not there, it is built. The commit of a
    /// repository is a part of the answer.
    ///
    /// The old environment is removed before the new one is built in its place: should that build
    /// fail (it has been resolved by then), there is none until the next one.
    ///
    /// # Errors
    ///
    /// [`Error::RefreshInUse`] if the answer has changed while somebody uses the environment, which
    /// stays as it is. Else the same as of [`Provisioner::prepare`].
    pub fn refresh(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Environment, Error> {
        let is_built = env.python.is_none() && env.py_executable.is_none();
        let Some(install) = env.install.as_ref().filter(|_| is_built) else {
            return self.prepare(env, isolation);
        };
        let open = self.open_base()?;
        let (key, _) = self.key_of(&open, install, isolation);
        let cached = self.cache().get(&key).map_err(Error::cache)?;
        // One that somebody else made says nothing of its packages, and is built anew.
        if let Some(cached) = cached {
            let record = record_of(&cached);
            let changes = match &record {
                Some(record) => self.changes(env, install, &open, record)?,
                None => vec!["what is in it is not recorded".to_owned()],
            };
            if !changes.is_empty() {
                drop(cached);
                match self.cache().remove(&key) {
                    Err(venv_cache::Error::InUse { .. }) => {
                        return Err(Error::RefreshInUse { key: key.to_string(), changes });
                    }
                    other => other.map_err(Error::cache)?,
                };
            }
        }
        self.prepare(env, isolation)
    }

    /// How the answer differs from the one that an environment was built from.
    fn changes(
        &self,
        env: &LoadedEnv,
        install: &Install,
        open: &Arc<OpenBase>,
        record: &Record,
    ) -> Result<Vec<String>, Error> {
        let deadline = deadline(env);
        let before = base_packages(open.base.interpreter());
        let kept = Kept::of(install, &before);
        kept.check(install)?;
        let request = Request::new(install, open.base.python())
            .with_held(kept.lines())
            .with_deadline(deadline)
            .fresh();
        let tool = self.locate(install, open, deadline)?;
        let outcome =
            tool.resolve(&request).map_err(|error| kept.blame(&tool, &request, install, error))?;
        let before = record.added.iter().map(|it| Package::new(&it.name, it.version.as_str()));
        let before: Vec<Package> = before.collect();
        // Of what would be built only the name is known; its sources are compared below, or are a
        // part of the key.
        let like_before = |package: &Package| {
            let known = before.iter().find(|it| it.name == package.name);
            known.filter(|_| package.version.is_empty()).unwrap_or(package).to_string()
        };
        let mut new: Vec<String> = outcome.added.iter().map(like_before).collect();
        let mut old: Vec<String> = before.iter().map(ToString::to_string).collect();
        if install.requirements.iter().any(is_repository) {
            let locked = self.locked(env, install, true)?;
            new.extend(locked.iter().filter_map(commit));
            old.extend(record.added.iter().filter_map(|it| it.commit.clone()));
        }
        let minus = old.iter().filter(|it| !new.contains(it)).map(|it| format!("-{it}"));
        let plus = new.iter().filter(|it| !old.contains(it)).map(|it| format!("+{it}"));
        Ok(minus.chain(plus).collect())
    }

    fn locked(
        &self,
        env: &LoadedEnv,
        install: &Install,
        is_fresh: bool,
    ) -> Result<Vec<Requirement>, Error> {
        let deadline = deadline(env);
        let open = self.open_base()?;
        let before = base_packages(open.base.interpreter());
        let kept = Kept::of(install, &before);
        kept.check(install)?;
        let mut request = Request::new(install, open.base.python())
            .with_held(kept.lines())
            .with_deadline(deadline);
        if is_fresh {
            request = request.fresh();
        }
        let tool = self.locate(install, &open, deadline)?;
        tool.lock(&request, &packages(&before))
            .map_err(|error| kept.blame(&tool, &request, install, error))
    }

    fn locate(
        &self,
        install: &Install,
        open: &OpenBase,
        deadline: Deadline,
    ) -> Result<Installer, Error> {
        let version = install.tool_version.as_deref();
        let tool = self.tools().locate(install.tool, version, open.base.python(), deadline);
        tool.map_err(Error::install)
    }
}

fn deadline(env: &LoadedEnv) -> Deadline {
    env.setup_timeout.map_or(Deadline::NEVER, Deadline::after)
}

fn record_of(cached: &CachedEnv) -> Option<Record> {
    serde_json::from_value(cached.manifest().details.clone()).ok()
}

fn packages(installed: &Installed) -> Vec<Package> {
    installed.iter().map(|(name, found)| Package::new(name, found.version.as_str())).collect()
}

fn is_repository(requirement: &Requirement) -> bool {
    requirement
        .url()
        .is_some_and(|url| url.split_once("://").is_some_and(|(scheme, _)| scheme.contains('+')))
}

/// The commit that a requirement on a repository is pinned to.
fn commit(requirement: &Requirement) -> Option<String> {
    let url = requirement.url().filter(|_| is_repository(requirement))?;
    let (_, commit) = url.split('#').next()?.rsplit_once('@')?;
    Some(commit.to_owned())
}
