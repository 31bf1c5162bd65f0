//! The `pip` or `uv` field of a spec.

use std::fmt;
use std::path::PathBuf;

use crate::redact::redact;
use crate::tool::Tool;

/// The requirements of a spec.
#[derive(Clone, PartialEq, Eq)]
pub enum PackageList {
    /// Lines, each as in a requirements file.
    Lines(Vec<String>),
    /// A requirements file, by the path as written.
    File(PathBuf),
}

impl PackageList {
    /// Returns whether the list has no line; a file counts as not empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Lines(lines) if lines.is_empty())
    }
}

impl Default for PackageList {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl fmt::Debug for PackageList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(lines) => f.debug_list().entries(lines.iter().map(|l| redact(l))).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The `pip` or `uv` field of a spec, in any of its forms.
#[derive(Clone, PartialEq, Eq)]
pub struct Packages {
    pub(crate) tool: Tool,
    pub(crate) list: PackageList,
    pub(crate) version: Option<String>,
    pub(crate) options: Option<Vec<String>>,
    pub(crate) check: bool,
}

impl Packages {
    /// Returns the package manager, which is also the field's name.
    #[must_use]
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// Returns the packages to install.
    #[must_use]
    pub fn list(&self) -> &PackageList {
        &self.list
    }

    /// Returns `pip_version` or `uv_version`.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns `pip_install_options` or `uv_pip_install_options`. Without them, Ray has defaults of
    /// its own, which an empty list removes; here both mean none.
    #[must_use]
    pub fn options(&self) -> Option<&[String]> {
        self.options.as_deref()
    }

    /// Returns `pip_check` or `uv_check`. Default: false.
    #[must_use]
    pub fn check(&self) -> bool {
        self.check
    }

    pub(crate) fn new(tool: Tool, list: PackageList) -> Self {
        Self { tool, list, version: None, options: None, check: false }
    }
}

impl fmt::Debug for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, list, version, options, check } = self;
        let options = options
            .as_ref()
            .map(|options| options.iter().map(|option| redact(option)).collect::<Vec<_>>());
        f.debug_struct("Packages")
            .field("tool", tool)
            .field("list", list)
            .field("version", version)
            .field("options", &options)
            .field("check", check)
            .finish()
    }
}

/// The names of a tool's fields in the table form.
pub(crate) struct Fields {
    pub(crate) check: &'static str,
    pub(crate) version: &'static str,
    pub(crate) options: &'static str,
    /// All fields, for the error that suggests one.
    pub(crate) all: [&'static str; 4],
}

impl Fields {
    pub(crate) const fn of(tool: Tool) -> Self {
        match tool {
            Tool::Pip => Self {
                check: "pip_check",
                version: "pip_version",
                options: "pip_install_options",
                all: ["packages", "pip_check", "pip_version", "pip_install_options"],
            },
            Tool::Uv => Self {
                check: "uv_check",
                version: "uv_version",
                options: "uv_pip_install_options",
                all: ["packages", "uv_check", "uv_version", "uv_pip_install_options"],
            },
        }
    }
}
