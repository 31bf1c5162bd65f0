//! The environment variables that a tool starts with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Variables that point a tool at another place than the interpreter of the request, at the
/// caller's folder, or that hide the output which is read for the outcome.
const OVERRULED: &[&str] = &[
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
    "PIP_DRY_RUN",
    "PIP_LOG",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_QUIET",
    "PIP_REPORT",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_COMPILE_BYTECODE",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "__PYVENV_LAUNCHER__",
];

/// Variables of an activated environment or of the Python that runs the caller.
const FOREIGN_PREFIXES: &[&str] = &["CONDA_", "PYTHON", "_CONDA_", "_CE_"];

/// The environment variables that pip and uv are started with, before those of the spec.
///
/// What the operator configured reaches the tool (`PIP_*`, `UV_*`, proxies, certificates,
/// compilers); what belongs to the caller's own Python does not (`PYTHONPATH`, `PYTHONHOME`,
/// `VIRTUAL_ENV`, `CONDA_PREFIX`), nor does a variable that would move the installation elsewhere
/// (`PIP_TARGET`, `PIP_USER`, `UV_PYTHON`, `UV_PROJECT`, and so on).
///
/// It debugs as the names alone, for any value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ambient {
    variables: BTreeMap<OsString, OsString>,
}

impl Ambient {
    /// The environment of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// Sets one variable; the last value wins.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Drops one variable.
    #[must_use]
    pub fn without_variable(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.remove(name.as_ref());
        self
    }

    /// The value of one variable, filtered or not.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The variables that reach a tool.
    pub(crate) fn for_tool(&self) -> BTreeMap<OsString, OsString> {
        self.variables
            .iter()
            .filter(|(name, _)| reaches_tool(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Whether a variable of this name may reach a tool, from the process or from a spec.
pub(crate) fn reaches_tool(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return true };
    !OVERRULED.contains(&name) && !FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_debugged() {
        let ambient = Ambient::default().with_variable("UV_INDEX_X_PASSWORD", "hunter22");
        assert_eq!(format!("{ambient:?}"), r#"{"UV_INDEX_X_PASSWORD"}"#);
    }

    #[test]
    fn configuration_reaches_the_tool_and_the_callers_python_does_not() {
        let mut ambient = Ambient::default();
        for name in ["PIP_CERT", "UV_INDEX_STRATEGY", "HTTPS_PROXY", "CC", "HOME", "PATH"] {
            ambient = ambient.with_variable(name, "kept");
        }
        let kept: Vec<_> = ambient.for_tool().into_keys().collect();
        for name in ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET"] {
            ambient = ambient.with_variable(name, "dropped");
        }
        assert_eq!(kept.len(), 6);
        assert_eq!(ambient.for_tool().into_keys().collect::<Vec<_>>(), kept);
    }
}
