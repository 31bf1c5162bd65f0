//! The environment variables that a tool starts with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use envspec::{Tool, settings};

/// Variables that reach a tool, and through it a build: they identify the user, locate programs,
/// certificates and credentials, and configure the network. None of them affects the result of a
/// build, except a few that nothing works without.
const PASSED: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "DBUS_SESSION_BUS_ADDRESS",
    "FTP_PROXY",
    "GCE_METADATA_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HF_TOKEN",
    "HOME",
    "HOSTALIASES",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NETRC",
    "NO_PROXY",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSL_CLIENT_CERT",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// Prefixes of further such variables.
const PASSED_PREFIXES: &[&str] =
    &["AWS_", "AZURE_", "CLOUDSDK_", "DYLD_", "GIT_", "KRB5", "LC_", "SSH_", "XDG_"];

/// The process environment for finding and running pip and uv, before the spec's variables.
///
/// A tool and its builds get only the variables that identify the user and configure the network:
/// `PATH`, `HOME`, the locale, proxies, certificates, and those of git, ssh and the clouds. A spec
/// must set anything else that a build should see (`CFLAGS`, `CMAKE_ARGS`, `CC`), so that it is
/// part of the key. Variables of the tools themselves (`PIP_*`, `UV_*`) are settings: see
/// [`Settings`](crate::Settings).
///
/// `Debug` shows only names, since any value may be a secret.
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

    /// Sets a variable; the last value wins.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Removes a variable.
    #[must_use]
    pub fn without_variable(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.remove(name.as_ref());
        self
    }

    /// Returns the value of one variable, whether or not it reaches a tool.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Returns the tool's own settings; values that are not text are ignored.
    pub(crate) fn of_tool(&self, tool: Tool) -> BTreeMap<String, String> {
        self.variables
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
            .filter(|(name, _)| settings::is_variable_of(tool, name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Returns the variables that reach a tool.
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

/// Returns whether a variable of this name reaches a tool from the process; proxies also count in
/// lower case.
fn reaches_tool(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || PASSED.contains(&name)
        || (name.ends_with("_proxy") && PASSED.contains(&&*name.to_uppercase()))
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
    fn what_reaches_the_network_passes_and_what_decides_a_build_does_not() {
        let mut ambient = Ambient::default();
        for name in ["https_proxy", "HTTPS_PROXY", "HOME", "PATH", "LC_ALL", "GIT_SSH_COMMAND"] {
            ambient = ambient.with_variable(name, "kept");
        }
        let kept: Vec<_> = ambient.for_tool().into_keys().collect();
        for name in ["PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET", "CC", "MAKEFLAGS"] {
            ambient = ambient.with_variable(name, "dropped");
        }
        assert_eq!(kept.len(), 6);
        assert_eq!(ambient.for_tool().into_keys().collect::<Vec<_>>(), kept);
    }
}
