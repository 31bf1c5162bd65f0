//! Opening the base, or building it, when it is first needed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use envspec::{Install, LoadedEnv, Requirement};
use installer::Settings;
use venv_cache::{Interpreter, Site};

use super::base::{Managed, OpenBase};
use super::build::{Build, Markers};
use super::key;
use super::provisioner::Provisioner;
use crate::run::{Error, Owner, PlannedBase};

impl Provisioner {
    /// Lets go of the base, which is opened again, or built, when it is next needed.
    pub(crate) fn close_base(&self) {
        *self.base.lock() = None;
    }

    /// Fails if a spec cannot have an environment here, whatever its packages: since Ray alone serves
    /// a field of it, or since its files are for other Pythons than the base's. A managed base is not
    /// built for this.
    ///
    /// An engine on Ray takes the fields that it has served out of a spec.
    pub(crate) fn check(&self, env: &LoadedEnv) -> Result<(), Error> {
        check_fields(env, || Owner::Other("this environment".to_owned()))?;
        self.check_python(env)
    }

    /// Fails if the files that a spec names are for other Pythons than the base's. A managed base is
    /// not built for this.
    pub(crate) fn check_python(&self, env: &LoadedEnv) -> Result<(), Error> {
        if env.requires_python.is_empty() && env.made_for.is_empty() {
            return Ok(());
        }
        match &self.choice {
            Some(PlannedBase::Managed(base)) => has_python(env, &self.managed(base)?.interpreter),
            _ => has_python(env, self.open_base()?.base.interpreter()),
        }
    }

    /// Returns the package manager's settings that are in force for an environment over the base.
    pub(crate) fn settings(&self, open: &OpenBase, install: &Install) -> Result<Settings, Error> {
        // A managed base is ours, and has no file of its own.
        let own = open.managed.is_none().then(|| open.base.interpreter().prefix());
        Settings::read(install, own, &self.tools.ambient()).map_err(Error::install)
    }

    /// Opens the base, or builds it; again only if it has changed.
    pub(crate) fn open_base(&self) -> Result<Arc<OpenBase>, Error> {
        let mut slot = self.base.lock();
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
                Ok(OpenBase::found(base, &self.cache, begun.elapsed()))
            }
            Some(PlannedBase::Python(python)) => {
                let base = venv_cache::Base::open(python, records).map_err(Error::cache)?;
                Ok(OpenBase::found(base, &self.cache, begun.elapsed()))
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
        check_fields(env, || Owner::Base)?;
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
            Settings::read(install, None, &self.tools.ambient()).map_err(Error::install)?;
        let key = key::managed_base(&interpreter, install, &settings);
        Ok(Managed { interpreter, key, install, settings })
    }

    /// Returns the base if it exists: a managed one is not built now.
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

/// Fails if Ray alone serves a field of a spec.
pub(crate) fn check_fields(env: &LoadedEnv, owner: impl FnOnce() -> Owner) -> Result<(), Error> {
    match env.engine_fields.keys().next() {
        Some(field) => Err(Error::EngineField { owner: owner(), field: field.clone() }),
        None => Ok(()),
    }
}

/// Fails if the files that a spec names are for other Pythons, or for other platforms.
fn has_python(env: &LoadedEnv, interpreter: &Interpreter) -> Result<(), Error> {
    let version = interpreter.version();
    let markers = Markers::new(version, interpreter.implementation());
    let is_asked = |it: &Requirement| markers.hold(it, &BTreeSet::new());
    for required in &env.requires_python {
        let counts = required.package.as_ref().is_none_or(is_asked);
        if counts && !required.accepts(version) {
            return Err(Error::RequiresPython {
                file: required.file.clone(),
                package: required.package.as_ref().and_then(|it| it.name().map(Into::into)),
                versions: required.versions.clone(),
                python: interpreter.executable().to_owned(),
                version: version.to_owned(),
            });
        }
    }
    match env.made_for.iter().find(|made_for| !made_for.requirements().iter().any(is_asked)) {
        None => Ok(()),
        Some(made_for) => Err(Error::MadeForOthers {
            file: made_for.file.clone(),
            markers: made_for.markers.clone(),
            python: interpreter.executable().to_owned(),
            here: markers.environment(),
        }),
    }
}
