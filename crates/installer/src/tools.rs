//! Finding pip and uv, and fetching them if missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use envspec::Tool;
use pep440_rs::Version;

use crate::ambient::Ambient;
use crate::bootstrap::Bootstrap;
use crate::command_line::Program;
use crate::deadline::Limit;
use crate::error::Error;
use crate::installer::Installer;
use crate::interpreter::{self, Bytecode};
use crate::request::absolute;
use crate::search::Search;
use crate::tools_dir::access_of;
use crate::wanted::Wanted;

/// Finds pip and uv, and keeps fetched ones in a folder, by version.
///
/// uv is `$CURATOR_UV`, else the first on `PATH`, else the one beside the base's interpreter, else
/// one in the folder, else fetched into it. pip is the base's, else one in the folder, else the one
/// that this Python ships for `ensurepip`, else fetched. Versions that are too old, or outside the
/// requested range, are skipped.
#[derive(Clone, Debug)]
#[must_use]
pub struct Tools {
    dir: PathBuf,
    ambient: Option<Ambient>,
}

impl Tools {
    /// Creates a finder that keeps fetched tools in `tools_dir`, which is created when needed.
    ///
    /// Tools run in the environment of this process ([`Ambient::from_env`], read at each
    /// [`Tools::locate`]), unless [`Tools::with_ambient`] sets another one.
    pub fn new(tools_dir: impl Into<PathBuf>) -> Self {
        Self { dir: absolute(&tools_dir.into()), ambient: None }
    }

    /// Sets the environment in which tools are found and run. Default: this process's own.
    pub fn with_ambient(mut self, ambient: Ambient) -> Self {
        self.ambient = Some(ambient);
        self
    }

    /// Returns the environment in which tools are found and run.
    #[must_use]
    pub fn ambient(&self) -> Ambient {
        self.ambient.clone().unwrap_or_else(Ambient::from_env)
    }

    /// Returns the folder of fetched tools.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Finds a package manager, or fetches it once for all processes that share the folder.
    ///
    /// `version` is a specifier like `==24.1.2` or `<24.2, >19`, with an optional marker, as in
    /// Ray's `pip_version`; by default, any sufficient version. The base's interpreter is queried
    /// for its pip, and is not changed.
    ///
    /// # Errors
    ///
    /// [`Error::ToolVersion`] for an invalid `version`; [`Error::ToolMissing`] if the tool is
    /// missing and cannot be fetched; [`Error::Late`] or [`Error::Timeout`] when the deadline
    /// passes, for instance while another process fetches it.
    pub fn locate(
        &self,
        tool: Tool,
        version: Option<&str>,
        base_python: &Path,
        limit: impl Into<Limit>,
    ) -> Result<Installer, Error> {
        let ambient = self.ambient();
        let search = Search {
            dir: &self.dir,
            access: access_of(&self.dir)?,
            variables: Arc::new(ambient.for_tool()),
            ambient,
            base_python: absolute(base_python),
            limit: limit.into(),
        };
        let wanted = Wanted::parse(tool, version)?;
        let wanted = search.settle_marker(wanted)?;
        let (program, version) = match tool {
            Tool::Uv => search.uv(&wanted)?,
            Tool::Pip => search.pip(&wanted)?,
        };
        tracing::debug!(?program, %version, "found");
        Ok(Installer::new(program, version, search.variables, search.ambient))
    }
}

impl Search<'_> {
    fn uv(&self, wanted: &Wanted) -> Result<(Program, Version), Error> {
        if let Some(found) = self.host_uv(wanted)? {
            return Ok(found);
        }
        match self.kept_uv(wanted) {
            Some(found) => Ok(found),
            None => Bootstrap::new(self, wanted).uv(),
        }
    }

    fn pip(&self, wanted: &Wanted) -> Result<(Program, Version), Error> {
        let base = self.describe(&self.base_python)?;
        if let Some(found) = base.pip.as_deref().and_then(|dir| self.usable_pip(dir, wanted)) {
            return Ok(found);
        }
        match self.kept_pip(wanted, &base) {
            Some(found) => Ok(found),
            None => Bootstrap::new(self, wanted).pip(&base),
        }
    }

    /// Drops the specifier of a marker that does not hold for the base's Python, as pip would.
    fn settle_marker(&self, wanted: Wanted) -> Result<Wanted, Error> {
        const HOLDS: &str = "import sys; sys.path.insert(0, sys.argv[1]); \
            from pip._vendor.packaging.markers import Marker; print(Marker(sys.argv[2]).evaluate())";
        let Some(marker) = wanted.marker.clone() else { return Ok(wanted) };
        let (Program::Pip { entry, .. } | Program::Uv(entry), _) =
            self.pip(&Wanted::any(Tool::Pip))?;
        let pip_dir = entry.ancestors().find(|dir| dir.join("pip").is_dir()).unwrap_or(&entry);
        let arguments = [pip_dir.to_string_lossy().into_owned(), marker];
        let holds = interpreter::run_script(
            &self.base_python,
            Bytecode::Unwritten,
            HOLDS,
            &arguments,
            &self.variables,
            &self.limit,
        )?;
        Ok(if holds.trim() == "True" { wanted } else { Wanted::any(wanted.tool) })
    }
}
