//! The spec as its author writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::install::Redacted;
use crate::packages::{PackageList, Packages};
use crate::tool::Tool;

/// Default time limit for the set-up of an environment, in seconds, as in Ray.
pub(crate) const DEFAULT_SETUP_TIMEOUT: u64 = 600;

/// The fields that only Ray serves; they are passed on unchanged.
///
/// `java_jars` and the names with an underscore are Ray's internal ones, which its own
/// `RuntimeEnv.to_dict` may write.
pub(crate) const ENGINE_FIELDS: [&str; 11] = [
    "conda",
    "container",
    "image_uri",
    "java_jars",
    "nsight",
    "rocprof_sys",
    "worker_process_setup_hook",
    "_nsight",
    "_ray_commit",
    "_ray_release",
    "_inject_current_ray",
];

/// The spec of a stage's Python environment, in the format of Ray's `runtime_env`.
///
/// A spec only records what was written, including paths; [`RuntimeEnv::load`] reads the files. An
/// empty spec asks for the base environment. `None`, an empty list and an empty table count as not
/// set.
///
/// Its serialized form is the dict that Ray takes, with credentials as given; debug output hides
/// them.
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct RuntimeEnv {
    pub(crate) packages: Option<Packages>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) py_executable: Option<String>,
    pub(crate) env_vars: BTreeMap<String, String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) py_modules: Vec<String>,
    pub(crate) excludes: Vec<String>,
    pub(crate) constraints: PackageList,
    pub(crate) overrides: PackageList,
    pub(crate) keep: Vec<String>,
    pub(crate) config: Config,
    pub(crate) engine_fields: BTreeMap<String, Value>,
}

/// The table `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) setup_timeout: SetupTimeout,
    pub(crate) eager_install: Option<bool>,
    pub(crate) log_files: Vec<String>,
    pub(crate) build_env: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SetupTimeout {
    #[default]
    Unset,
    Seconds(u64),
    Never,
}

impl RuntimeEnv {
    /// Creates the empty spec: the base environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a spec with packages that pip installs, each given as a line of a requirements file.
    ///
    /// ```
    /// use envspec::RuntimeEnv;
    ///
    /// let spec = RuntimeEnv::pip(["packaging==23.2"]);
    /// assert_eq!(serde_json::to_string(&spec)?, r#"{"pip":["packaging==23.2"]}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn pip<L: Into<String>>(lines: impl IntoIterator<Item = L>) -> Self {
        Self::new().with_lines(Tool::Pip, lines)
    }

    /// Creates a spec with packages that uv installs, each given as a line of a requirements file.
    pub fn uv<L: Into<String>>(lines: impl IntoIterator<Item = L>) -> Self {
        Self::new().with_lines(Tool::Uv, lines)
    }

    /// Creates a spec of a prebuilt interpreter; nothing is built.
    pub fn python(path: impl Into<PathBuf>) -> Self {
        Self { python: Some(path.into()), ..Self::default() }
    }

    /// Creates a spec with the packages of a requirements file, which `tool` installs. A relative
    /// path starts at the folder that the spec is loaded for.
    pub fn requirements_file(tool: Tool, path: impl Into<PathBuf>) -> Self {
        let packages = Packages::new(tool, PackageList::File(path.into()));
        Self { packages: Some(packages), ..Self::default() }
    }

    fn with_lines<L: Into<String>>(
        mut self,
        tool: Tool,
        lines: impl IntoIterator<Item = L>,
    ) -> Self {
        let list = PackageList::Lines(lines.into_iter().map(Into::into).collect());
        self.packages = (!list.is_empty()).then(|| Packages::new(tool, list));
        self
    }

    /// Sets an environment variable of the workers. Other variables stay.
    ///
    /// Names that start with `PIP_` or `UV_` reach the package manager too.
    pub fn with_env_var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env_vars.insert(name.into(), value.into());
        self
    }

    /// Sets the environment variables of the workers, in place of all others.
    pub fn with_env_vars<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.env_vars = variables.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        self
    }

    /// Sets the folder that the workers run in: a path, or a URI that only Ray serves.
    pub fn with_working_dir(mut self, dir: impl Into<String>) -> Self {
        self.working_dir = Some(dir.into());
        self
    }

    /// Sets the folders, files and wheels on the workers' `PYTHONPATH`: paths, or URIs that only
    /// Ray serves.
    pub fn with_py_modules<M: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = M>,
    ) -> Self {
        self.py_modules = modules.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the patterns (gitignore) of files that Ray leaves out when it ships folders.
    pub fn with_excludes<P: Into<String>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.excludes = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the interpreter: a prebuilt one, or, in the spec of a base, the one below its packages.
    /// A stage's spec takes no packages beside it.
    pub fn with_python(self, path: impl Into<PathBuf>) -> Self {
        Self { python: Some(path.into()), ..self }
    }

    /// Removes the interpreter, so that the base's is used.
    pub fn without_python(self) -> Self {
        Self { python: None, ..self }
    }

    /// Sets a command line that starts the workers' interpreter, as in Ray.
    pub fn with_py_executable(mut self, command: impl Into<String>) -> Self {
        self.py_executable = Some(command.into());
        self
    }

    /// Sets the time limit for the whole set-up of the environment, in whole seconds, rounded up,
    /// at least one. Default: 600 seconds.
    pub fn with_setup_timeout(mut self, limit: Duration) -> Self {
        let seconds = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0)).max(1);
        // Ray's field is a signed number.
        self.config.setup_timeout = SetupTimeout::Seconds(seconds.min(i64::MAX.unsigned_abs()));
        self
    }

    /// Removes the time limit for the set-up of the environment.
    pub fn without_setup_timeout(mut self) -> Self {
        self.config.setup_timeout = SetupTimeout::Never;
        self
    }

    /// Sets whether dependencies are checked after the installation (`pip check`). Default: false.
    /// Has no effect on a spec without packages.
    pub fn with_check(self, check: bool) -> Self {
        self.with_packages(|packages| packages.check = check)
    }

    /// Sets the versions of the package manager (`==24.1.2`). Default: any. Has no effect on a spec
    /// without packages.
    pub fn with_tool_version(self, specifier: impl Into<String>) -> Self {
        self.with_packages(|packages| packages.version = Some(specifier.into()))
    }

    /// Sets options for the package manager. Default: none. Has no effect on a spec without
    /// packages.
    pub fn with_tool_options<O: Into<String>>(self, options: impl IntoIterator<Item = O>) -> Self {
        let options = options.into_iter().map(Into::into).collect();
        self.with_packages(|packages| packages.options = Some(options))
    }

    fn with_packages(mut self, change: impl FnOnce(&mut Packages)) -> Self {
        if let Some(packages) = &mut self.packages {
            change(packages);
        }
        self
    }

    /// Sets versions that a resolution must respect without asking for the package.
    pub fn with_constraints<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.constraints = PackageList::Lines(lines.into_iter().map(Into::into).collect());
        self
    }

    /// Sets versions that replace the requirements of any package.
    pub fn with_overrides<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.overrides = PackageList::Lines(lines.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the names of base packages whose versions must not change.
    pub fn with_keep<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.keep = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the names of environment variables of the spec that reach the package manager and the
    /// key. Default: only those that start with `PIP_` or `UV_`.
    pub fn with_build_env<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.config.build_env = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a field that only Ray serves (`conda`, `image_uri`, …); it is passed on unchanged.
    ///
    /// A name that Ray does not know is refused when the spec is loaded or serialized.
    pub fn with_engine_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.engine_fields.insert(name.into(), value.into());
        self
    }

    /// Returns whether nothing is set, so that the spec asks for the base environment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the `pip` or `uv` field.
    #[must_use]
    pub fn packages(&self) -> Option<&Packages> {
        self.packages.as_ref()
    }

    /// Returns the path of a prebuilt interpreter.
    #[must_use]
    pub fn python_path(&self) -> Option<&Path> {
        self.python.as_deref()
    }

    /// Returns the command line that starts the workers' interpreter.
    #[must_use]
    pub fn py_executable(&self) -> Option<&str> {
        self.py_executable.as_deref()
    }

    /// Returns the environment variables.
    #[must_use]
    pub fn env_vars(&self) -> &BTreeMap<String, String> {
        &self.env_vars
    }

    /// Returns the folder that workers run in, as written.
    #[must_use]
    pub fn working_dir(&self) -> Option<&str> {
        self.working_dir.as_deref()
    }

    /// Returns the modules on the workers' `PYTHONPATH`, as written.
    #[must_use]
    pub fn py_modules(&self) -> &[String] {
        &self.py_modules
    }

    /// Returns the patterns of files that Ray leaves out when it ships folders.
    #[must_use]
    pub fn excludes(&self) -> &[String] {
        &self.excludes
    }

    /// Returns versions that a resolution must respect.
    #[must_use]
    pub fn constraints(&self) -> &PackageList {
        &self.constraints
    }

    /// Returns versions that replace the requirements of any package.
    #[must_use]
    pub fn overrides(&self) -> &PackageList {
        &self.overrides
    }

    /// Returns the names of base packages whose versions must not change, as written.
    #[must_use]
    pub fn keep(&self) -> &[String] {
        &self.keep
    }

    /// Returns the time limit for the whole set-up; `None` for no limit. Default: 600 seconds.
    #[must_use]
    pub fn setup_timeout(&self) -> Option<Duration> {
        match self.config.setup_timeout {
            SetupTimeout::Unset => Some(Duration::from_secs(DEFAULT_SETUP_TIMEOUT)),
            SetupTimeout::Seconds(seconds) => Some(Duration::from_secs(seconds)),
            SetupTimeout::Never => None,
        }
    }

    /// Returns Ray's `config.eager_install`, if given.
    #[must_use]
    pub fn eager_install(&self) -> Option<bool> {
        self.config.eager_install
    }

    /// Returns Ray's `config.log_files`.
    #[must_use]
    pub fn log_files(&self) -> &[String] {
        &self.config.log_files
    }

    /// Returns the names of environment variables that reach the package manager besides `PIP_*`
    /// and `UV_*`.
    #[must_use]
    pub fn build_env(&self) -> &[String] {
        &self.config.build_env
    }

    /// Returns the fields that only Ray serves.
    #[must_use]
    pub fn engine_fields(&self) -> &BTreeMap<String, Value> {
        &self.engine_fields
    }
}

impl fmt::Debug for RuntimeEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            packages,
            python,
            py_executable,
            env_vars,
            working_dir,
            py_modules,
            excludes,
            constraints,
            overrides,
            keep,
            config,
            engine_fields,
        } = self;
        // Ray's own fields may hold any value (such as a container's options), so their values stay
        // out.
        let engine_fields: Vec<_> = engine_fields.keys().collect();
        f.debug_struct("RuntimeEnv")
            .field("packages", packages)
            .field("python", python)
            .field("py_executable", py_executable)
            .field("env_vars", &Redacted(env_vars))
            .field("working_dir", working_dir)
            .field("py_modules", py_modules)
            .field("excludes", excludes)
            .field("constraints", constraints)
            .field("overrides", overrides)
            .field("keep", keep)
            .field("config", config)
            .field("engine_fields", &engine_fields)
            .finish()
    }
}
