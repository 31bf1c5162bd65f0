//! What a package manager is asked to do: the loaded, normal form of `pip` or `uv`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The package manager that a spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// pip.
    Pip,
    /// uv.
    Uv,
}

/// One requirement in normal form; it displays as a line of a requirements file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement(String);

impl Requirement {
    /// The distribution's normal name (PEP 503), where the text names one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.split(['=', '<', '>', '!', '~', ' ', '[']).next()
    }
}

impl FromStr for Requirement {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of a package index; it displays without its credentials.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexUrl(String);

impl IndexUrl {
    /// The address with its credentials, for the package manager alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IndexUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexUrl")
    }
}

/// Where packages are looked for, and in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexOptions {
    /// `--index-url`.
    pub index_url: Option<IndexUrl>,
    /// `--extra-index-url`, in order.
    pub extra_index_urls: Vec<IndexUrl>,
    /// `--no-index`.
    pub no_index: bool,
    /// `--find-links`, in order.
    pub find_links: Vec<IndexUrl>,
    /// `--pre`.
    pub pre: bool,
    /// `--no-binary`: package names, or `:all:`.
    pub no_binary: Vec<String>,
    /// `--only-binary`: package names, or `:all:`.
    pub only_binary: Vec<String>,
    /// `--require-hashes`.
    pub require_hashes: bool,
}

/// One call of a package manager, in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Install {
    /// The package manager that was asked for.
    pub tool: Tool,
    /// A specifier (`==24.1.2`) of `pip_version` or `uv_version`.
    pub tool_version: Option<String>,
    /// What to install, sorted, each once.
    pub requirements: Vec<Requirement>,
    /// Versions that a resolution must respect, without asking for the package.
    pub constraints: Vec<Requirement>,
    /// Versions that replace what any package asks for.
    pub overrides: Vec<Requirement>,
    /// Names of base packages that must not move.
    pub keep: Vec<String>,
    /// Where packages are looked for.
    pub index: IndexOptions,
    /// `pip_install_options` or `uv_pip_install_options`, as given.
    pub tool_options: Vec<String>,
    /// `pip_check` or `uv_check`.
    pub check: bool,
    /// Environment variables of the spec that reach the package manager.
    pub build_env: BTreeMap<String, String>,
}

impl Install {
    /// Asks `tool` for `requirements`, with every other field at its default.
    #[must_use]
    pub fn new(tool: Tool, requirements: Vec<Requirement>) -> Self {
        Self {
            tool,
            tool_version: None,
            requirements,
            constraints: Vec::new(),
            overrides: Vec::new(),
            keep: Vec::new(),
            index: IndexOptions::default(),
            tool_options: Vec::new(),
            check: false,
            build_env: BTreeMap::new(),
        }
    }
}
