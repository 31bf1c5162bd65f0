//! The search for pip and uv on this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use envspec::Tool;
use files::{Access, Untrusted};
use pep440_rs::Version;

use crate::ambient::Ambient;
use crate::command::Command;
use crate::command_line::Program;
use crate::deadline::Limit;
use crate::error::Error;
use crate::interpreter::{self, Description};
use crate::process::{self, Streams};
use crate::request::absolute;
use crate::tools_dir;
use crate::wanted::Wanted;

/// The file that runs a pip for another interpreter, without importing anything beside it.
const PIP_RUNNER: &str = "__pip-runner__.py";

/// One search, with its inputs.
pub(crate) struct Search<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) access: Access,
    pub(crate) ambient: Ambient,
    pub(crate) variables: Arc<BTreeMap<OsString, OsString>>,
    pub(crate) base_python: PathBuf,
    pub(crate) limit: Limit,
}

impl Search<'_> {
    /// Returns the uv that the operator names, the first on `PATH`, or the base's.
    pub(crate) fn host_uv(&self, wanted: &Wanted) -> Result<Option<(Program, Version)>, Error> {
        let named = self.ambient.variable("CURATOR_UV").filter(|path| !path.is_empty());
        let named = named.map(|path| absolute(Path::new(path)));
        let on_path = self.on_path("uv");
        let beside = self.base_python.parent().map(|bin| bin.join("uv"));
        for uv in named.into_iter().chain(on_path).chain(beside.filter(|uv| uv.is_file())) {
            match self.uv_version(&uv)? {
                Some(version) if wanted.accepts(&version) => {
                    return Ok(Some((Program::Uv(uv), version)));
                }
                version => tracing::debug!(uv = %uv.display(), ?version, "passed over"),
            }
        }
        Ok(None)
    }

    /// Returns the newest uv among those fetched before.
    pub(crate) fn kept_uv(&self, wanted: &Wanted) -> Option<(Program, Version)> {
        let kept = self.kept("uv-", "").into_iter();
        let kept = kept.filter(|(version, dir)| {
            wanted.accepts(version) && self.is_trusted(dir, "bin", &uv_in(dir))
        });
        kept.max().map(|(version, dir)| (Program::Uv(uv_in(&dir)), version))
    }

    /// Returns the newest pip for this Python among those fetched before.
    pub(crate) fn kept_pip(
        &self,
        wanted: &Wanted,
        python: &Description,
    ) -> Option<(Program, Version)> {
        let kept = self.kept("pip-", &format!("-py{}", python.minor)).into_iter();
        let kept = kept.filter(|(version, dir)| {
            let package = dir.join("pip");
            wanted.accepts(version) && self.is_trusted(dir, "pip", &package.join("__init__.py"))
        });
        kept.max().map(|(version, dir)| (self.pip_program(&dir.join("pip")), version))
    }

    /// Returns the base's pip, if it can be run for another environment and has a wanted version.
    pub(crate) fn usable_pip(
        &self,
        package_dir: &Path,
        wanted: &Wanted,
    ) -> Option<(Program, Version)> {
        let version = pip_version(package_dir)?;
        let has_runner = package_dir.join(PIP_RUNNER).is_file();
        (has_runner && version >= Wanted::oldest(Tool::Pip) && wanted.accepts(&version))
            .then(|| (self.pip_program(package_dir), version))
    }

    /// Returns how to run the pip of this folder.
    fn pip_program(&self, package_dir: &Path) -> Program {
        let runner = package_dir.join(PIP_RUNNER);
        // Without one it is an old pip in a folder of its own, which is started as a folder.
        let entry = if runner.is_file() { runner } else { package_dir.to_owned() };
        let has_bytecode = package_dir.join("_internal").join("__pycache__").is_dir();
        let bytecode_dir = (!has_bytecode).then(|| tools_dir::bytecode_dir(self.dir)).flatten();
        Program::Pip { entry, bytecode_dir }
    }

    pub(crate) fn describe(&self, python: &Path) -> Result<Description, Error> {
        interpreter::describe(python, &self.variables, &self.limit)
    }

    /// Returns the programs of this name on `PATH`, in order.
    pub(crate) fn on_path(&self, program: &str) -> Vec<PathBuf> {
        let Some(path) = self.ambient.variable("PATH") else { return Vec::new() };
        which::which_in_all(program, Some(path), "/").map(Iterator::collect).unwrap_or_default()
    }

    /// Asks a uv for its version; `None` if it does not run.
    pub(crate) fn uv_version(&self, uv: &Path) -> Result<Option<Version>, Error> {
        let command = Command {
            program: uv.to_owned(),
            arguments: vec!["--version".into()],
            environment: (*self.variables).clone(),
            working_dir: PathBuf::from("/"),
            doomed_dir: None,
            lock: None,
        };
        let finished = match process::run(&command, Streams::Apart, &self.limit) {
            Ok(finished) => finished,
            // It is a program for another machine.
            Err(error @ Error::Io { action: process::START, .. }) if !error.is_at_a_limit() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if finished.status.is_none() {
            return Err(Error::Late { action: "uv told its version" });
        }
        let words = finished.stdout.strip_prefix("uv ").unwrap_or_default();
        Ok(words.split_whitespace().next().and_then(|version| version.parse().ok()))
    }

    /// Returns whether a tool exists and may be run, by the folders and the file that start it.
    fn is_trusted(&self, dir: &Path, folder: &str, program: &Path) -> bool {
        let checked = self.access.enter(dir).and_then(|access| {
            let access = access.enter(&dir.join(folder))?;
            access.check_program(program)
        });
        match checked {
            Err(error) if Untrusted::of(&error).is_some() => {
                tracing::warn!(%error, "a tool is passed over");
                false
            }
            checked => checked.is_ok(),
        }
    }

    /// Returns the tools fetched before, by the version in the name of their folder.
    fn kept(&self, prefix: &str, suffix: &str) -> Vec<(Version, PathBuf)> {
        // A folder that does not exist yet is empty.
        let Ok(entries) = fs::read_dir(self.dir) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let version = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
                Some((version.parse().ok()?, entry.path()))
            })
            .collect()
    }
}

/// Returns the path at which `pip install --target` puts uv.
pub(crate) fn uv_in(dir: &Path) -> PathBuf {
    dir.join("bin").join("uv")
}

/// Returns the version that a pip's `__init__.py` states.
pub(crate) fn pip_version(package_dir: &Path) -> Option<Version> {
    let text = files::read_regular_text(&package_dir.join("__init__.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    line.trim().trim_matches(['"', '\'']).parse().ok()
}
