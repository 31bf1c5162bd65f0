//! The builder of a provisioner.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use installer::{Importer, Tools};
use stage::BaseSpec;
use venv_cache::{Budget, Cache, Strategy};

use super::base::current_dir;
use super::bytecode::{Compiling, importers};
use super::eviction::Eviction;
use super::provisioner::Provisioner;
use crate::run::{Error, Observer, Plan, PlannedBase};
use crate::sync::Mutex;
use crate::worker::Shims;

/// Makes a [`Provisioner`]; [`Provisioner::builder`] returns it.
#[must_use]
pub struct ProvisionerBuilder {
    base: Choice,
    cache_dir: Option<PathBuf>,
    tools: Option<Tools>,
    strategy: Option<Strategy>,
    eviction: Eviction,
    observer: Arc<dyn Observer>,
    stop: Arc<AtomicBool>,
    importers: Vec<Importer>,
}

/// The origin of the base.
#[derive(Debug)]
enum Choice {
    Discovered,
    Named(BaseSpec),
    Planned(PlannedBase),
}

impl fmt::Debug for ProvisionerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, cache_dir, tools, strategy, eviction, .. } = self;
        f.debug_struct("ProvisionerBuilder")
            .field("base", base)
            .field("cache_dir", cache_dir)
            .field("tools", tools)
            .field("strategy", strategy)
            .field("eviction", eviction)
            .finish_non_exhaustive()
    }
}

impl Default for ProvisionerBuilder {
    fn default() -> Self {
        Self {
            base: Choice::Discovered,
            cache_dir: None,
            tools: None,
            strategy: None,
            eviction: Eviction::default(),
            observer: Arc::new(()),
            stop: Arc::default(),
            importers: Vec::new(),
        }
    }
}

impl Provisioner {
    /// Returns a builder with the base of this process and the user's cache as defaults.
    pub fn builder() -> ProvisionerBuilder {
        ProvisionerBuilder::default()
    }
}

impl ProvisionerBuilder {
    /// Sets the base: an interpreter, the folder of a virtualenv, or packages for a managed base.
    ///
    /// Default: the virtualenv that `$VIRTUAL_ENV` names, else `python3` on `PATH`. Relative paths
    /// start at the current folder; a name without a slash that is no folder there is one of a
    /// program on `PATH`.
    pub fn base(self, base: impl Into<BaseSpec>) -> Self {
        Self { base: Choice::Named(base.into()), ..self }
    }

    /// Sets the base that a plan asks for, if it asks for one.
    pub fn base_of(self, plan: &Plan) -> Self {
        match plan.base() {
            Some(base) => Self { base: Choice::Planned(base.clone()), ..self },
            None => self,
        }
    }

    /// Sets the base to an executor's own, else to the one that a plan asks for.
    pub(crate) fn base_or_of(self, base: Option<&BaseSpec>, plan: &Plan) -> Self {
        match base {
            Some(base) => self.base(base.clone()),
            None => self.base_of(plan),
        }
    }

    /// Sets the folder of the cache. Default: `$CURATOR_CACHE_DIR`, else `curator` in the user's cache
    /// folder.
    pub fn cache_dir<'d>(self, dir: impl Into<Option<&'d Path>>) -> Self {
        Self { cache_dir: dir.into().map(Path::to_owned), ..self }
    }

    /// Sets the sources of pip and uv, and their variables and configuration files. Default: those
    /// of this process; tools that must be fetched are kept in the cache.
    ///
    /// A test passes a uv that installs nothing: `installer::testing::FakeUv::tools`.
    pub fn tools(self, tools: Tools) -> Self {
        Self { tools: Some(tools), ..self }
    }

    /// Sets the way in which environments add to their base. If it is not possible, no other way is
    /// tried. Default: chosen by probing the file systems.
    ///
    /// Such environments have keys of their own. Under full isolation, every file is copied in any
    /// case; [`Strategy::Copy`] is a request for full isolation.
    pub fn strategy(self, strategy: Strategy) -> Self {
        Self { strategy: Some(strategy), ..self }
    }

    /// Sets the budget that the cache is pruned to after each build; `None` never prunes.
    /// Environments in use stay in any case. Default: [`Budget::from_env`].
    pub fn budget(self, budget: Option<Budget>) -> Self {
        self.eviction(Eviction::of(budget))
    }

    pub(crate) fn eviction(self, eviction: Eviction) -> Self {
        Self { eviction, ..self }
    }

    /// Sets the observer of build progress ([`Event::EnvironmentBuilding`](crate::Event)) and of failed
    /// evictions ([`Event::Warning`](crate::Event)). Default: none.
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Sets a flag that cancels builds soon after it becomes true. Nothing of them stays, and the
    /// requests then fail with [`Error::Stopped`]. Default: none.
    pub fn stop(self, stop: Arc<AtomicBool>) -> Self {
        Self { stop, ..self }
    }

    /// Compiles the base's bytecode in the order in which the stages of a plan import it.
    pub(crate) fn for_stages_of(self, plan: &Plan) -> Self {
        Self { importers: importers(plan), ..self }
    }

    /// Opens the cache. The base is opened, or built, when it is first needed.
    pub fn open(self) -> Result<Provisioner, Error> {
        let choice = match self.base {
            Choice::Discovered => None,
            // Without a slash, it is the name of a program on `PATH`, or of a folder.
            Choice::Named(BaseSpec::Python(name)) if is_name(&name) && !name.is_dir() => {
                Some(PlannedBase::Python(name))
            }
            Choice::Named(base) => Some(PlannedBase::load(&base, &current_dir()?)?),
            Choice::Planned(base) => Some(base),
        };
        let cache = match &self.cache_dir {
            Some(dir) => Cache::open(dir),
            None => Cache::from_env(),
        }
        .map_err(Error::cache)?;
        let tools = self.tools.unwrap_or_else(|| Tools::new(cache.tools_dir()));
        let shims = Arc::new(Shims::new(cache.shims_dir()));
        Ok(Provisioner {
            cache,
            tools,
            shims,
            choice,
            base: Mutex::new(None),
            strategy: self.strategy,
            eviction: self.eviction,
            observer: self.observer,
            stop: self.stop,
            has_built: AtomicBool::new(false),
            importers: self.importers,
            compiling: Compiling::default(),
        })
    }
}

fn is_name(path: &Path) -> bool {
    !path.as_os_str().as_encoded_bytes().contains(&b'/')
}
