//! A loaded spec.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::index::IndexUrl;
use crate::install::{Install, Redacted, redacted_map};
use crate::requirement::Requirement;
use crate::requires_python::{MadeFor, RequiresPython};

/// A spec with the contents of all files that it refers to; none needs to be read again.
///
/// Its serialized form and debug output contain no credentials: those of URLs are cut, and the
/// values of environment variables with the name of a credential (`HF_TOKEN`) are left out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LoadedEnv {
    /// The input of a package manager; `None` if the spec asks for no packages.
    pub install: Option<Install>,
    /// The Python versions of the files that the spec names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires_python: Vec<RequiresPython>,
    /// The environments that they are for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made_for: Vec<MadeFor>,
    /// The absolute path of a prebuilt interpreter.
    pub python: Option<PathBuf>,
    /// A command line that starts the workers' interpreter.
    pub py_executable: Option<String>,
    /// The workers' environment variables; `${NAME}` in them is still to be replaced.
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
    /// or `py_modules` if they hold a URI.
    ///
    /// [`RuntimeEnv::engine_fields`]: crate::RuntimeEnv::engine_fields
    pub engine_fields: BTreeMap<String, Value>,
}

impl LoadedEnv {
    /// Returns everything as JSON, with the credentials that [`Serialize`] leaves out, for another
    /// process that builds the environment. It deserializes to an equal value.
    ///
    /// The caller must keep the value secret: never put it into a file, a log or an argument.
    #[must_use]
    pub fn expose(&self) -> Value {
        // Text, numbers and maps of them always become JSON.
        let mut exposed = serde_json::to_value(self).unwrap_or_default();
        exposed["env_vars"] = json!(self.env_vars);
        let Some(install) = &self.install else { return exposed };
        let lines = |requirements: &[Requirement]| {
            requirements.iter().map(Requirement::expose).collect::<Vec<_>>()
        };
        let urls = |urls: &[IndexUrl]| json!(urls.iter().map(IndexUrl::expose).collect::<Vec<_>>());
        let target = &mut exposed["install"];
        target["requirements"] = json!(lines(&install.requirements));
        target["constraints"] = json!(lines(&install.constraints));
        target["overrides"] = json!(lines(&install.overrides));
        target["tool_options"] = json!(install.tool_options);
        target["build_env"] = json!(install.build_env);
        let index = &mut target["index"];
        index["index_url"] = json!(install.index.index_url.as_ref().map(IndexUrl::expose));
        index["extra_index_urls"] = urls(&install.index.extra_index_urls);
        index["find_links"] = urls(&install.index.find_links);
        exposed
    }
}

impl Default for LoadedEnv {
    /// Returns the result of loading the empty spec.
    fn default() -> Self {
        Self {
            install: None,
            requires_python: Vec::new(),
            made_for: Vec::new(),
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
            requires_python,
            made_for,
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
            .field("requires_python", requires_python)
            .field("made_for", made_for)
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
