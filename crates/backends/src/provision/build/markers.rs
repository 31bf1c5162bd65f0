//! Values of environment markers (PEP 508) for an interpreter, without starting it.

use std::collections::BTreeSet;

use envspec::Requirement;

/// The values for evaluating the markers of requirements.
pub(crate) struct Markers {
    /// `3.11.7`.
    full_version: String,
    /// `3.11`.
    version: String,
    /// `cpython`.
    implementation: String,
    release: String,
    system_version: String,
    machine: String,
}

impl Markers {
    /// Returns the values for an interpreter of this version (`3.11.7`) and implementation
    /// (`cpython`), on this machine.
    pub(crate) fn new(full_version: &str, implementation: &str) -> Self {
        let system = rustix::system::uname();
        Self {
            full_version: full_version.to_owned(),
            version: full_version.splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
            implementation: implementation.to_owned(),
            release: system.release().to_string_lossy().into_owned(),
            system_version: system.version().to_string_lossy().into_owned(),
            machine: system.machine().to_string_lossy().into_owned(),
        }
    }

    /// Returns whether a requirement applies, given the extras of the package that requires it.
    pub(crate) fn hold(&self, requirement: &Requirement, extras: &BTreeSet<String>) -> bool {
        let holds = |extra: &str| requirement.applies(|variable| self.value(variable, extra));
        holds("") || extras.iter().any(|extra| holds(extra))
    }

    /// Returns the marker of environments that take the same packages.
    pub(crate) fn environment(&self) -> String {
        let names = ["implementation_name", "platform_machine", "python_version", "sys_platform"];
        let part = |name| Some(format!("{name} == '{}'", self.value(name, "")?));
        names.into_iter().filter_map(part).collect::<Vec<_>>().join(" and ")
    }

    fn value<'a>(&'a self, variable: &str, extra: &'a str) -> Option<&'a str> {
        let is_mac = cfg!(target_os = "macos");
        Some(match variable {
            "extra" => extra,
            "python_version" => &self.version,
            "python_full_version" => &self.full_version,
            // PyPy has versions of its own, which are not recorded.
            "implementation_version" if self.implementation == "cpython" => &self.full_version,
            "implementation_name" => &self.implementation,
            "platform_python_implementation" => match &*self.implementation {
                "cpython" => "CPython",
                "pypy" => "PyPy",
                "graalpy" => "GraalVM",
                other => other,
            },
            "os_name" => "posix",
            "sys_platform" => {
                if is_mac {
                    "darwin"
                } else {
                    "linux"
                }
            }
            "platform_system" => {
                if is_mac {
                    "Darwin"
                } else {
                    "Linux"
                }
            }
            "platform_release" => &self.release,
            "platform_version" => &self.system_version,
            "platform_machine" => &self.machine,
            _ => return None,
        })
    }
}
