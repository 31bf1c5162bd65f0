//! The temporary folder of one call: where the tool runs, and the files that it reads and writes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use envspec::Requirement;

use crate::command::Command;
use crate::error::{Error, IoResultExt};
use crate::known;
use crate::request::Request;
use crate::settings::Settings;
use crate::sources::Sources;

/// Files that end uv's search for a configuration in the folders above, should it search in spite
/// of its options: a `pyproject.toml` in the temporary folder would affect it.
const BARRIERS: [&str; 2] = ["pyproject.toml", "uv.toml"];

/// A private folder (mode 0700), deleted on drop.
#[derive(Debug)]
pub(crate) struct Scratch {
    root: PathBuf,
    _guard: Option<files::Scratch>,
}

impl Scratch {
    pub(crate) fn new() -> Result<Self, Error> {
        let guard =
            files::Scratch::new("installer-").context("make a folder in", std::env::temp_dir())?;
        let scratch = Self { root: guard.path().to_owned(), _guard: Some(guard) };
        let dir = scratch.working_dir();
        fs::create_dir(&dir).context("make", &dir)?;
        fs::create_dir(scratch.temporary_dir()).context("make", scratch.temporary_dir())?;
        for name in BARRIERS {
            write_private(&dir.join(name), "")?;
        }
        Ok(scratch)
    }

    /// Makes a scratch folder that is only a path.
    #[cfg(test)]
    pub(crate) fn named(root: &str) -> Self {
        Self { root: root.into(), _guard: None }
    }

    /// Returns the tool's working folder, which has nothing of the caller's.
    pub(crate) fn working_dir(&self) -> PathBuf {
        self.root.join("cwd")
    }

    /// Returns the folder for the tool's temporary files, which are deleted even if the tool is
    /// killed.
    pub(crate) fn temporary_dir(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Returns a command that runs in this folder and leaves nothing elsewhere.
    pub(crate) fn command(
        &self,
        argv: Vec<OsString>,
        mut environment: BTreeMap<OsString, OsString>,
    ) -> Command {
        let mut argv = argv.into_iter();
        environment.insert("TMPDIR".into(), self.temporary_dir().into());
        Command {
            program: argv.next().map(PathBuf::from).unwrap_or_default(),
            arguments: argv.collect(),
            environment,
            working_dir: self.working_dir(),
            doomed_dir: Some(self.root.clone()),
            lock: None,
        }
    }

    pub(crate) fn requirements_file(&self) -> PathBuf {
        self.root.join("requirements.txt")
    }

    pub(crate) fn overrides_file(&self) -> PathBuf {
        self.root.join("overrides.txt")
    }

    pub(crate) fn report_file(&self) -> PathBuf {
        self.root.join("report.json")
    }

    /// Returns the page of known archives.
    pub(crate) fn known_file(&self) -> PathBuf {
        self.root.join("known.html")
    }

    /// Returns the output file of `uv pip compile`.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("lock.txt")
    }

    /// Returns the output file of `uv pip compile --format pylock.toml`.
    pub(crate) fn pylock_file(&self) -> PathBuf {
        self.root.join("pylock.toml")
    }

    /// Returns pip's log file.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.root.join("pip.log")
    }

    /// Writes the configuration file that uv reads in place of its own.
    pub(crate) fn write_settings(
        &self,
        settings: &Settings,
        environment: &mut BTreeMap<OsString, OsString>,
    ) -> Result<(), Error> {
        let Some(text) = settings.file_text() else { return Ok(()) };
        let path = self.root.join("uv.toml");
        write_private(&path, &text)?;
        environment.remove(&OsString::from("UV_NO_CONFIG"));
        environment.insert("UV_CONFIG_FILE".into(), path.into());
        Ok(())
    }

    /// Writes one more file that only this user can read.
    #[expect(clippy::unused_self, reason = "a file of this folder")]
    pub(crate) fn write_file(&self, path: &Path, text: &str) -> Result<(), Error> {
        write_private(path, text)
    }

    /// Writes the tool's input. Only this user can read it, since a requirement may be a URL with
    /// credentials.
    ///
    /// Folders to build are copied here first.
    pub(crate) fn write(&self, request: &Request<'_>) -> Result<Sources, Error> {
        let Request { install, held, .. } = request;
        if let Some(known) = request.known {
            write_private(&self.known_file(), &known::page(known))?;
        }
        let sources = Sources::copy(install, &self.root.join("src"))?;
        let mut requirements = String::new();
        let constraints = lines(&install.constraints) + &held.join("\n");
        if !constraints.is_empty() {
            write_private(&self.root.join("constraints.txt"), &constraints)?;
            // Named by the file, not on the command line, where it would replace `UV_CONSTRAINT`.
            requirements.push_str("-c constraints.txt\n");
        }
        let moved: Vec<_> = install.requirements.iter().map(|one| sources.moved(one)).collect();
        requirements.push_str(&lines(&moved));
        write_private(&self.requirements_file(), &requirements)?;
        if !install.overrides.is_empty() {
            write_private(&self.overrides_file(), &lines(&install.overrides))?;
        }
        Ok(sources)
    }
}

/// Returns the lines of a requirements file, with credentials, which the tool needs.
fn lines(requirements: &[Requirement]) -> String {
    requirements.iter().map(|requirement| requirement.expose() + "\n").collect()
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .context("write", path)
}
