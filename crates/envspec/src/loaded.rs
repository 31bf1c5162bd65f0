//! A spec after everything it refers to was read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::install::{Install, Redacted, redacted_map};

/// A spec after everything it refers to was read; nothing in it needs to be read again.
///
/// Serialized and in debug output it carries no credentials: those of URLs are cut, and the values
/// of environment variables whose names tell a credential (`HF_TOKEN`) left out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LoadedEnv {
    /// What a package manager is asked to do; `None` where the spec asks for no packages.
    pub install: Option<Install>,
    /// The absolute path of a prebuilt interpreter.
    pub python: Option<PathBuf>,
    /// A command line that starts the workers' interpreter.
    pub py_executable: Option<String>,
    /// The workers' environment variables; `${NAME}` in them is not replaced yet.
    #[serde(serialize_with = "redacted_map")]
    pub env_vars: BTreeMap<String, String>,
    /// The absolute path of the folder that workers run in.
    pub working_dir: Option<PathBuf>,
    /// Absolute paths on the workers' `PYTHONPATH`.
    pub py_modules: Vec<PathBuf>,
    /// Patterns (gitignore) that are left out when Ray ships folders.
    pub excludes: Vec<String>,
    /// The limit on the whole set-up of the environment; `None` for no limit.
    pub setup_timeout: Option<Duration>,
    /// The fields that only Ray serves: those of [`RuntimeEnv::engine_fields`], and `working_dir`
    /// or `py_modules` where they hold a URI.
    ///
    /// [`RuntimeEnv::engine_fields`]: crate::RuntimeEnv::engine_fields
    pub engine_fields: BTreeMap<String, Value>,
}

impl Default for LoadedEnv {
    /// What the empty spec loads to.
    fn default() -> Self {
        Self {
            install: None,
            python: None,
            py_executable: None,
            env_vars: BTreeMap::new(),
            working_dir: None,
            py_modules: Vec::new(),
            excludes: Vec::new(),
            setup_timeout: Some(Duration::from_secs(crate::runtime_env::DEFAULT_SETUP_TIMEOUT)),
            engine_fields: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for LoadedEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            install,
            python,
            py_executable,
            env_vars,
            working_dir,
            py_modules,
            excludes,
            setup_timeout,
            engine_fields,
        } = self;
        let engine_fields: Vec<_> = engine_fields.keys().collect();
        f.debug_struct("LoadedEnv")
            .field("install", install)
            .field("python", python)
            .field("py_executable", py_executable)
            .field("env_vars", &Redacted(env_vars))
            .field("working_dir", working_dir)
            .field("py_modules", py_modules)
            .field("excludes", excludes)
            .field("setup_timeout", setup_timeout)
            .field("engine_fields", &engine_fields)
            .finish()
    }
}
