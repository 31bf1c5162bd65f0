//! The environment variables that a tool starts with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use envspec::{Tool, settings};

/// Variables that reach a tool, and by it a build: who the user is, where programs, certificates and
/// credentials are, and how the network is reached. None of them decides what a build makes, or it is
/// one that nothing can do without.
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

/// The same by the beginnings of their names.
const PASSED_PREFIXES: &[&str] =
    &["AWS_", "AZURE_", "CLOUDSDK_", "DYLD_", "GIT_", "KRB5", "LC_", "SSH_", "XDG_"];

/// The environment in which pip and uv are looked for and run, before that of the spec.
///
/// Of it a tool, and what it builds, gets what says who the user is and how the network is reached:
/// `PATH`, `HOME`, the locale, proxies, certificates, and what git, ssh and the clouds read. Anything
/// else that a build should see (`CFLAGS`, `CMAKE_ARGS`, `CC`) is for the spec to give, so that the key
/// tells of it. Variables of the tools themselves (`PIP_*`, `UV_*`) are settings: see
/// [`Settings`](crate::Settings).
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

    /// The tool's own settings; what is no text is none of them.
    pub(crate) fn of_tool(&self, tool: Tool) -> BTreeMap<String, String> {
        self.variables
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
            .filter(|(name, _)| settings::is_variable_of(tool, name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
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

/// Whether a variable of this name reaches a tool from the process; lower case is as good for proxies.
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
