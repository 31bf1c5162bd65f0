//! The base of a provisioner, once it is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use envspec::Install;
use installer::Settings;
use venv_cache::{Cache, CachedEnv, Fingerprint, Interpreter, Key};

use super::bytecode::{BaseBytecode, BytecodeOffer};
use super::environment::Core;
use crate::run::Error;

/// A base that was opened, or built.
#[derive(Debug)]
pub(crate) struct OpenBase {
    pub(crate) base: venv_cache::Base,
    /// Its environment in the cache, if it is a managed one.
    pub(crate) managed: Option<CachedEnv>,
    pub(crate) core: Arc<Core>,
    /// Its bytecode outside of its folder; none for a managed base, which is built with bytecode.
    pub(crate) bytecode: Option<Arc<BaseBytecode>>,
}

/// A managed base, built or not.
pub(crate) struct Managed<'e> {
    /// The bare interpreter.
    pub(crate) interpreter: Interpreter,
    pub(crate) key: Key,
    pub(crate) install: &'e Install,
    pub(crate) settings: Settings,
}

/// Returns the folder that relative paths start at.
pub(crate) fn current_dir() -> Result<PathBuf, Error> {
    std::env::current_dir().map_err(|source| Error::io("find", "the current folder", source))
}

impl OpenBase {
    /// Opens a base that is an environment of the cache.
    pub(crate) fn managed(
        cached: CachedEnv,
        records: Option<&Path>,
        duration: Duration,
    ) -> Result<Self, Error> {
        let fingerprint = Fingerprint::from_bytes(*cached.key().as_bytes());
        let base = venv_cache::Base::managed(cached.python(), records, fingerprint)
            .map_err(Error::cache)?;
        let core = Core::base(base.interpreter(), Some(cached.clone()), duration);
        Ok(Self { base, managed: Some(cached), core: Arc::new(core), bytecode: None })
    }

    pub(crate) fn found(base: venv_cache::Base, cache: &Cache, duration: Duration) -> Self {
        let bytecode = Arc::new(BaseBytecode::of(cache, &base));
        let offer = BytecodeOffer::to_base(&bytecode, base.interpreter());
        let core = Core::base(base.interpreter(), None, duration)
            .with_bytecode(offer)
            .with_fingerprint(*base.fingerprint());
        Self { base, managed: None, core: Arc::new(core), bytecode: Some(bytecode) }
    }
}
