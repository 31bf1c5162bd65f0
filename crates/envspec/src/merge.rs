//! A stage's spec over the pipeline's default.

use crate::runtime_env::{Config, RuntimeEnv};

impl RuntimeEnv {
    /// Returns this spec over a pipeline's `default`.
    ///
    /// - An empty spec opts out of the default altogether: the stage runs in the base environment.
    /// - `env_vars` are merged by name; this spec's values win.
    /// - `pip`, `uv`, `conda`, `python` and `py_executable` are one slot, for the interpreter and
    ///   its packages. If this spec sets any of them, all of the default's are dropped.
    /// - Every other field that this spec sets replaces the default's as a whole, `config` too.
    ///
    /// Merging specs that are not empty is associative, and an empty default changes nothing.
    ///
    /// ```
    /// use envspec::RuntimeEnv;
    ///
    /// let default = RuntimeEnv::pip(["a"]).with_env_var("X", "1").with_env_var("Y", "1");
    /// let stage = RuntimeEnv::uv(["b"]).with_env_var("X", "2");
    /// let merged = RuntimeEnv::uv(["b"]).with_env_var("X", "2").with_env_var("Y", "1");
    /// assert_eq!(stage.over(&default), merged);
    /// assert!(RuntimeEnv::new().over(&default).is_empty());
    /// ```
    pub fn over(&self, default: &Self) -> Self {
        if self.is_empty() {
            return Self::default();
        }
        let mut merged = self.clone();
        for (name, value) in &default.env_vars {
            merged.env_vars.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let takes_slot = !self.decides_packages();
        if takes_slot {
            merged.packages.clone_from(&default.packages);
            merged.python.clone_from(&default.python);
            merged.py_executable.clone_from(&default.py_executable);
        }
        for (name, value) in &default.engine_fields {
            if name != "conda" || takes_slot {
                merged.engine_fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        if merged.working_dir.is_none() {
            merged.working_dir.clone_from(&default.working_dir);
        }
        for (list, default) in [
            (&mut merged.py_modules, &default.py_modules),
            (&mut merged.excludes, &default.excludes),
            (&mut merged.keep, &default.keep),
        ] {
            if list.is_empty() {
                list.clone_from(default);
            }
        }
        for (list, default) in [
            (&mut merged.constraints, &default.constraints),
            (&mut merged.overrides, &default.overrides),
        ] {
            if list.is_empty() {
                list.clone_from(default);
            }
        }
        if merged.config == Config::default() {
            merged.config.clone_from(&default.config);
        }
        merged
    }

    /// Returns whether the spec sets the interpreter or its packages: by `pip`, `uv`, `conda`,
    /// `python` or `py_executable`.
    #[must_use]
    pub fn decides_packages(&self) -> bool {
        self.packages.is_some()
            || self.python.is_some()
            || self.py_executable.is_some()
            || self.engine_fields.contains_key("conda")
    }
}
