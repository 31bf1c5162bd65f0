//! Unpinned specs: locking the versions that they resolve to, and resolving them again.

use std::sync::Arc;
use std::time::Instant;

use envspec::{Install, LoadedEnv, Requirement, Specifier, Tool};
use installer::{Deadline, Installer, Package, Request};
use stage::Isolation;
use venv_cache::{Key, Listed};

use crate::provision::again::with_requirements;
use crate::provision::base::{Managed, OpenBase};
use crate::provision::build::{
    BuildRecord, Installed, Kept, Markers, Question, asks_for, base_packages, digest_now,
    is_direct, local_path,
};
use crate::provision::environment::{Core, Environment};
use crate::provision::provisioner::Provisioner;
use crate::run::{EnvState, Error, PlannedBase};
use crate::worker::warm::WarmTemplates;

impl Provisioner {
    /// Returns everything that a spec resolves to over the base, as lines of a requirements file
    /// with hashes. The lines include the base's packages that the spec needs, so they are a spec
    /// of their own, also with `--require-hashes` and over another base. Nothing is built.
    ///
    /// Versions of the base are taken if the spec allows them. Credentials and indexes
    /// (`--index-url`) are left out of the lines; their user must add them. A spec without packages
    /// has no lines.
    ///
    /// # Errors
    ///
    /// [`Error::Unlockable`] for a package from a folder or a repository, also in the base;
    /// otherwise the resolver's errors.
    pub fn lock(&self, env: &LoadedEnv) -> Result<Vec<String>, Error> {
        self.check(env)?;
        let Some(install) = &env.install else { return Ok(Vec::new()) };
        let locked = self.locked(env, install, false)?;
        self.check_lockable(&locked, |requirement| requirement.hashes().len() > 0)?;
        Ok(locked.iter().map(ToString::to_string).collect())
    }

    /// Returns the lock as the text of a `pylock.toml` (PEP 751), with the addresses of all
    /// archives. A package from a folder, an archive or a repository has tables of its own: folders
    /// are named by their absolute paths, repositories by their commits. The lock is for the base's
    /// interpreter and this platform.
    ///
    /// # Errors
    ///
    /// [`Error::Unlockable`] for a package that the base has from a folder or a repository;
    /// otherwise the resolver's errors.
    pub fn lock_file(&self, env: &LoadedEnv) -> Result<String, Error> {
        self.check(env)?;
        let mut pinned = Install::new(Tool::Uv, Vec::new());
        if let Some(install) = &env.install {
            let locked = self.locked(env, install, false)?;
            self.check_lockable(&locked, |_| true)?;
            // pip wants hashes for all requirements or for none.
            let has_hashes = locked.iter().all(|it| it.hashes().len() > 0);
            let hashed =
                |it: &Requirement| if has_hashes { it.clone() } else { it.without_hashes() };
            pinned = with_requirements(install, locked.iter().map(hashed).collect());
        }
        let open = self.open_base()?;
        let interpreter = open.base.interpreter();
        let markers = Markers::new(interpreter.version(), interpreter.implementation());
        let here = markers.environment();
        self.resolve(env, &pinned, |tool, request| tool.lock_file(&request, &here))
    }

    /// Fails if a package that a spec resolves to cannot be installed elsewhere.
    fn check_lockable(
        &self,
        locked: &[Requirement],
        is_known: impl Fn(&Requirement) -> bool,
    ) -> Result<(), Error> {
        let base = base_packages(self.open_base()?.base.interpreter());
        // The name and version of a package that the base has from a folder may be a stranger's on
        // an index.
        let source = |requirement: &Requirement| {
            let name = requirement.name().filter(|_| !is_direct(requirement))?;
            let found = base.get(name).filter(|found| requirement.accepts(&found.version))?;
            Some(format!("{name} @ {}", found.source()?.url))
        };
        let packages: Vec<String> = locked
            .iter()
            .filter_map(|requirement| match source(requirement) {
                Some(source) => Some(source),
                None => (!is_known(requirement)).then(|| requirement.to_string()),
            })
            .collect();
        if packages.is_empty() { Ok(()) } else { Err(Error::Unlockable { packages }) }
    }

    /// Resolves a spec again, and rebuilds its environment if the answer has changed.
    ///
    /// The environment keeps its key, which names the question and not the answer. If the answer is
    /// unchanged, the environment stays, and its [`state`](Environment::state) says so; if it is
    /// missing, it is built. The commit of a repository is part of the answer.
    ///
    /// A spec without packages stands for the base. A managed base is resolved and rebuilt in the
    /// same way, and the environments over it are removed with it: they are built again at their
    /// next use. Any other base is left alone.
    ///
    /// The old environment is removed before the new one is built in its place. If that build fails
    /// after the resolution, there is none until the next build.
    ///
    /// # Errors
    ///
    /// [`Error::RefreshInUse`] if the answer has changed while a process uses the environment,
    /// which stays unchanged. Otherwise those of [`Provisioner::prepare`].
    pub fn refresh(&self, env: &LoadedEnv, isolation: Isolation) -> Result<Environment, Error> {
        if env.python.is_some() || env.py_executable.is_some() {
            return self.prepare(env, isolation);
        }
        self.check(env)?;
        let Some(install) = &env.install else {
            return match self.choice() {
                Some(PlannedBase::Managed(base)) => self.refresh_base(base),
                _ => self.prepare(env, isolation),
            };
        };
        let open = self.open_base()?;
        let key = self.key_of(&open, install, isolation)?;
        let settings = self.settings(&open, install)?;
        let records = self.cache().interpreters_dir();
        Question::new(&records, open.base.interpreter(), install, &settings).forget();
        let cached = self.cache().get(&key).map_err(Error::cache)?;
        // An environment without a record of its packages was made by another program, and is
        // rebuilt.
        if let Some(cached) = cached {
            let record = BuildRecord::of(cached.manifest());
            let changes = match &record {
                Some(record) => self.changes(env, install, &open, record)?,
                None => unrecorded(),
            };
            if !changes.is_empty() {
                drop(cached);
                self.remove_for(&[key], &changes)?;
            }
        }
        self.prepare(env, isolation)
    }

    /// Refreshes a managed base.
    fn refresh_base(&self, base: &LoadedEnv) -> Result<Environment, Error> {
        self.close_base();
        let managed = self.managed(base)?;
        let key = managed.key;
        let Managed { interpreter, install, settings, .. } = &managed;
        let records = self.cache().interpreters_dir();
        Question::new(&records, interpreter, install, settings).forget();
        if let Some(cached) = self.cache().get(&key).map_err(Error::cache)? {
            let changes = match BuildRecord::of(cached.manifest()) {
                Some(record) => self.base_changes(base, &managed, &record)?,
                None => unrecorded(),
            };
            if !changes.is_empty() {
                drop(cached);
                let listed = self.cache().list().map_err(Error::cache)?;
                let needs = |listed: &&Listed| listed.manifest.needs.iter().any(|it| it.key == key);
                let mut keys: Vec<Key> = listed.iter().filter(needs).map(|it| it.key).collect();
                keys.push(key);
                self.remove_for(&keys, &changes)?;
            }
        }
        let begun = Instant::now();
        let open = self.open_base()?;
        let cached = open.managed.clone().ok_or(Error::EmptyManagedBase)?;
        let core = Core::cached(cached, begun.elapsed());
        if core.state == EnvState::Built {
            self.evict_after_build();
        }
        Environment::new(Arc::new(core), &LoadedEnv::default(), self.shims())
    }

    /// Returns the difference from the answer that a managed base was built from.
    fn base_changes(
        &self,
        env: &LoadedEnv,
        managed: &Managed<'_>,
        record: &BuildRecord,
    ) -> Result<Vec<String>, Error> {
        let Managed { interpreter, install, settings, .. } = managed;
        let deadline = deadline(env);
        let (python, version) = (interpreter.executable(), install.tool_version.as_deref());
        let tool = self.tools().locate(install.tool, version, python, deadline);
        let tool = tool.map_err(Error::install)?;
        let request =
            Request::new(install, python).with_settings(settings).with_deadline(deadline).fresh();
        let locked = tool.lock(&request, &[]).map_err(Error::install)?;
        let before = packages_of(record);
        // The sources of packages from outside an index are part of the key, except commits.
        let like_before = |requirement: &Requirement| {
            let by_place = || {
                let mut added = record.added.iter();
                Some(&*added.find(|it| asks_for(requirement, &it.name, it.source.as_deref()))?.name)
            };
            let name = requirement.name().or_else(by_place)?;
            let known = before.iter().find(|it| it.name == name);
            let known = known.filter(|known| requirement.accepts(&known.version));
            let version = requirement.specifiers().first().map_or("", Specifier::version);
            Some(known.cloned().unwrap_or_else(|| Package::new(name, version)).to_string())
        };
        let mut new: Vec<String> = locked.iter().filter_map(like_before).collect();
        let mut old: Vec<String> = before.iter().map(ToString::to_string).collect();
        new.extend(locked.iter().filter_map(commit));
        old.extend(record.added.iter().filter_map(|it| it.commit.clone()));
        Ok(differences(&old, &new))
    }

    /// Removes environments that have to make way for others, or none of them if one is in use.
    fn remove_for(&self, keys: &[Key], changes: &[String]) -> Result<(), Error> {
        let in_use =
            |key: &Key| Error::RefreshInUse { key: key.to_string(), changes: changes.to_vec() };
        // A template that waits for a run holds nothing that a run needs.
        let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
        WarmTemplates::of_user().leave(&texts);
        for key in keys {
            let free = files::Patience::LONG.attempt(|| match self.cache().is_in_use(key) {
                Ok(true) => Ok(None),
                Ok(false) => Ok(Some(())),
                Err(error) => Err(Error::cache(error)),
            })?;
            free.ok_or_else(|| in_use(key))?;
        }
        for key in keys {
            match self.cache().remove(key) {
                Err(venv_cache::Error::InUse { .. }) => return Err(in_use(key)),
                other => other.map_err(Error::cache)?,
            };
        }
        Ok(())
    }

    /// Returns the difference from the answer that an environment was built from.
    fn changes(
        &self,
        env: &LoadedEnv,
        install: &Install,
        open: &Arc<OpenBase>,
        record: &BuildRecord,
    ) -> Result<Vec<String>, Error> {
        let deadline = deadline(env);
        let before = base_packages(open.base.interpreter());
        let kept = Kept::of(install, &before);
        kept.check(install)?;
        let settings = self.settings(open, install)?;
        let request = Request::new(install, open.base.python())
            .with_settings(&settings)
            .with_held(kept.lines())
            .with_deadline(deadline)
            .fresh();
        let tool = self.locate(install, open, deadline)?;
        let outcome =
            tool.resolve(&request).map_err(|error| kept.blame(&tool, &request, install, error))?;
        let before = packages_of(record);
        // For a package that would be built, only the name is known; its sources are compared
        // below, or are part of the key.
        let like_before = |package: &Package| {
            let known = before.iter().find(|it| it.name == package.name);
            known.filter(|_| package.version.is_empty()).unwrap_or(package).to_string()
        };
        let mut new: Vec<String> = outcome.added.iter().map(like_before).collect();
        let mut old: Vec<String> = before.iter().map(ToString::to_string).collect();
        let brings_repository = record.added.iter().any(|it| it.commit.is_some());
        if brings_repository || install.requirements.iter().any(is_repository) {
            let locked = self.locked(env, install, true)?;
            new.extend(locked.iter().filter_map(commit));
            old.extend(record.added.iter().filter_map(|it| it.commit.clone()));
        }
        // Packages that the spec names are part of the key; those that they require from other
        // places are not.
        for added in record.added.iter().filter(|it| !it.editable && it.commit.is_none()) {
            let Some(path) = added.source.as_deref().and_then(local_path) else { continue };
            let Some(then) = &added.digest else { continue };
            let now = digest_now(&path, false).unwrap_or_else(|| "gone".to_owned());
            let is_own = install.requirements.iter().any(|it| it.path() == Some(&path));
            if !is_own && now != *then {
                old.push(format!("{} ({then})", path.display()));
                new.push(format!("{} ({now})", path.display()));
            }
        }
        Ok(differences(&old, &new))
    }

    pub(super) fn locked(
        &self,
        env: &LoadedEnv,
        install: &Install,
        is_fresh: bool,
    ) -> Result<Vec<Requirement>, Error> {
        let before = base_packages(self.open_base()?.base.interpreter());
        self.resolve(env, install, |tool, request| {
            let request = if is_fresh { request.fresh() } else { request };
            tool.lock(&request, &packages(&before))
        })
    }

    /// Resolves the requirements with the tool of a spec.
    fn resolve<T>(
        &self,
        env: &LoadedEnv,
        install: &Install,
        ask: impl FnOnce(&Installer, Request<'_>) -> Result<T, installer::Error>,
    ) -> Result<T, Error> {
        let deadline = deadline(env);
        let open = self.open_base()?;
        let before = base_packages(open.base.interpreter());
        let kept = Kept::of(install, &before);
        kept.check(install)?;
        let settings = self.settings(&open, install)?;
        let request = Request::new(install, open.base.python())
            .with_settings(&settings)
            .with_held(kept.lines())
            .with_deadline(deadline);
        let tool = self.locate(install, &open, deadline)?;
        ask(&tool, request.clone()).map_err(|error| kept.blame(&tool, &request, install, error))
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

fn unrecorded() -> Vec<String> {
    vec!["what is in it is not recorded".to_owned()]
}

/// Returns removed packages with `-`, and added ones with `+`.
fn differences(old: &[String], new: &[String]) -> Vec<String> {
    let minus = old.iter().filter(|it| !new.contains(it)).map(|it| format!("-{it}"));
    let plus = new.iter().filter(|it| !old.contains(it)).map(|it| format!("+{it}"));
    minus.chain(plus).collect()
}

/// Returns the packages that were installed then.
fn packages_of(record: &BuildRecord) -> Vec<Package> {
    record.added.iter().map(|it| Package::new(&it.name, it.version.as_str())).collect()
}

fn deadline(env: &LoadedEnv) -> Deadline {
    env.setup_timeout.map_or(Deadline::NEVER, Deadline::after)
}

fn packages(installed: &Installed) -> Vec<Package> {
    installed.iter().map(|(name, found)| Package::new(name, found.version.as_str())).collect()
}

fn is_repository(requirement: &Requirement) -> bool {
    requirement
        .url()
        .is_some_and(|url| url.split_once("://").is_some_and(|(scheme, _)| scheme.contains('+')))
}

/// Returns the commit that a requirement on a repository is pinned to.
fn commit(requirement: &Requirement) -> Option<String> {
    let url = requirement.url().filter(|_| is_repository(requirement))?;
    let (_, commit) = url.split('#').next()?.rsplit_once('@')?;
    Some(commit.to_owned())
}
