//! A package manager that was found, and its operations.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use envspec::{Install, Requirement, Tool};
use pep440_rs::Version;

use crate::ambient::Ambient;
use crate::command::{Command, Finished};
use crate::command_line::{self, Abilities, Program};
use crate::complaints::complaints;
use crate::deadline::Limit;
use crate::early::{self, Begun, Standing};
use crate::error::{Error, IoResultExt};
use crate::failure::failure;
use crate::interpreter::distributions;
use crate::local;
use crate::mode::Mode;
use crate::origin::address;
use crate::outcome::{self, Changes, Conflict, Outcome};
use crate::pip_log;
use crate::process::{self, Streams, Watcher};
use crate::progress::Meter;
use crate::redact::Secrets;
use crate::request::{Request, absolute};
use crate::scratch::Scratch;
use crate::settings::Settings;
use crate::shadow::{self, Shadow};
use crate::sources::Sources;
use crate::variables;

/// Pauses before the second and the third attempt, where the network failed.
///
/// Both tools retry single downloads by themselves; this covers an index that is down for longer.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(3)];

/// The run of a tool that succeeded, with the folder of its files.
pub(crate) struct Attempt {
    pub(crate) scratch: Scratch,
    pub(crate) sources: Sources,
    pub(crate) finished: Finished,
    /// What the tool warned of.
    pub(crate) warnings: Vec<String>,
}

/// A package manager that was found or fetched by [`Tools::locate`](crate::Tools::locate).
///
/// It runs from outside the environments that it works on: neither pip nor uv is ever added to one.
/// Cheap to clone, and may be used by many threads at once.
#[derive(Clone)]
pub struct Installer {
    program: Program,
    version: Version,
    abilities: Abilities,
    /// The variables of the process that reach a tool, and all its variables, for the settings.
    variables: Arc<BTreeMap<OsString, OsString>>,
    ambient: Ambient,
}

impl Installer {
    pub(crate) fn new(
        program: Program,
        version: Version,
        variables: Arc<BTreeMap<OsString, OsString>>,
        ambient: Ambient,
    ) -> Self {
        let abilities = Abilities::of(program.tool(), &version);
        Self { program, version, abilities, variables, ambient }
    }

    /// Returns the package manager.
    #[must_use]
    pub fn tool(&self) -> Tool {
        self.program.tool()
    }

    /// Returns its version.
    #[must_use]
    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// Returns whether it replaces existing files. A tool that does not (uv before 0.10.6) may
    /// write into a file that others share by a hard link or a symbolic link, so it needs a place
    /// without such files.
    #[must_use]
    pub fn replaces_files(&self) -> bool {
        self.abilities.replaces_files
    }

    /// Returns uv's executable, or the file or folder that an interpreter runs to start pip.
    #[must_use]
    pub fn program(&self) -> &Path {
        match &self.program {
            Program::Uv(path) | Program::Pip { entry: path, .. } => path,
        }
    }

    /// Installs the missing packages in one call of the tool, and returns the packages added and
    /// removed.
    ///
    /// The tool sees the packages of the environment, so it fetches only the difference. It
    /// compiles nothing: see [`compile_bytecode`](crate::compile_bytecode). After an error the
    /// environment may be half changed: build in a place that is not in use yet.
    ///
    /// # Errors
    ///
    /// Each variant of [`Error`] that has a [`Transcript`](crate::Transcript), and
    /// [`Error::Unsupported`] for overrides with pip. Failures of the network are retried twice,
    /// inside the deadline.
    pub fn install(&self, request: &Request<'_>) -> Result<Outcome, Error> {
        self.call(request, Mode::Install, None)
    }

    /// Installs like [`Installer::install`], by the process that [`Installer::begin`] started. If
    /// it is for another request, or does not continue, the tool is started as usual.
    ///
    /// # Errors
    ///
    /// Those of [`Installer::install`].
    pub fn install_begun(
        &self,
        request: &Request<'_>,
        begun: Option<Begun>,
    ) -> Result<Outcome, Error> {
        self.call(request, Mode::Install, begun)
    }

    /// Starts the tool for a later installation, before the environment has its packages. Only its
    /// interpreter must exist. [`Installer::install_begun`] installs, given the same request.
    ///
    /// Returns `None` if that saves no time, for instance for uv, which starts in milliseconds.
    #[must_use]
    pub fn begin(&self, request: &Request<'_>) -> Option<Begun> {
        let is_usual = request.again.is_empty() && !request.is_offline;
        if self.tool() != Tool::Pip || !is_usual || !early::is_of_indexes(request.install) {
            return None;
        }
        match self.stand_by(request) {
            Ok(standing) => standing.map(Begun::new),
            Err(error) => {
                tracing::debug!(%error, "the tool is not started early");
                None
            }
        }
    }

    fn stand_by(&self, request: &Request<'_>) -> Result<Option<Standing>, Error> {
        let settings = self.settings_of(request)?;
        let environment = self.environment(request, &settings)?;
        let scratch = Scratch::new()?;
        let sources = scratch.write(request)?;
        let command = self.command(request, &settings, Mode::Install, &scratch, environment)?;
        let process = early::start(&self.program, &command)?;
        Ok(process.map(|process| Standing {
            scratch,
            sources,
            command,
            process,
            install: request.install.clone(),
            held: request.held.to_vec(),
            known: request.known.map(<[_]>::to_vec),
        }))
    }

    /// Returns what [`Installer::install`] would do, and changes nothing. The environment may be
    /// read-only or managed by the system.
    ///
    /// # Errors
    ///
    /// Those of [`Installer::install`].
    pub fn resolve(&self, request: &Request<'_>) -> Result<Outcome, Error> {
        if self.tool() == Tool::Pip {
            return self.call(request, Mode::DryRun, None);
        }
        // uv leaves a lock file in a virtualenv even after a dry run.
        let shadow = shadow::of_virtualenv(&request.python)?;
        let python = shadow.as_ref().map_or(request.python.clone(), Shadow::python);
        self.call(&Request { python, ..request.clone() }, Mode::DryRun, None)
    }

    /// Returns the unmet requirements of installed packages, sorted.
    ///
    /// # Errors
    ///
    /// Fails if the tool fails for another reason than conflicts, or if the deadline passes.
    pub fn conflicts(
        &self,
        python: &Path,
        limit: impl Into<Limit>,
    ) -> Result<Vec<Conflict>, Error> {
        let scratch = Scratch::new()?;
        let python = absolute(python);
        let shadow = match self.tool() {
            Tool::Uv => shadow::of_virtualenv(&python)?,
            Tool::Pip => None,
        };
        let python = shadow.as_ref().map_or(python, Shadow::python);
        let argv = command_line::check_argv(&self.program, &python);
        let command = scratch.command(argv, variables::with_manners(&self.variables));
        let finished = process::run(&command, Streams::Together, &limit.into())?;
        let conflicts = outcome::conflicts(self.tool(), &finished);
        if conflicts.is_empty() && !finished.is_success() {
            return Err(self.failure(&command, &finished, &Secrets::default(), 1));
        }
        Ok(conflicts)
    }

    fn call(
        &self,
        request: &Request<'_>,
        mode: Mode,
        begun: Option<Begun>,
    ) -> Result<Outcome, Error> {
        if request.install.requirements.is_empty() {
            self.refuse_unsupported(request.install)?;
            let changes = Changes::default();
            return Ok(Outcome::new(self.version(), self.tool(), changes, Duration::ZERO));
        }
        let Attempt { scratch, finished, warnings, .. } =
            self.attempt_begun(request, mode, |_| Ok(()), begun)?;
        let mut changes = self.changes(&finished, mode, request, &scratch)?;
        changes.warnings = warnings;
        let mut elapsed = finished.elapsed;
        if self.tool() == Tool::Pip {
            elapsed += self.replace(request, mode, &mut changes)?;
        }
        Ok(Outcome::new(self.version(), self.tool(), changes, elapsed))
    }

    /// Has pip install the archives and repositories that it skipped because the environment has
    /// their versions. Their contents may differ.
    fn replace(
        &self,
        request: &Request<'_>,
        mode: Mode,
        changes: &mut Changes,
    ) -> Result<Duration, Error> {
        let install = request.install;
        let is_passed_over = |named: &&Requirement| match (named.name(), named.url()) {
            (Some(name), _) => changes.added.iter().all(|it| it.name != name),
            // A pip that writes no report does not tell.
            (None, Some(url)) if self.abilities.has_report => {
                changes.places.iter().all(|place| address(place) != address(&url))
            }
            _ => false,
        };
        let requirements: Vec<_> = local::named(install).filter(is_passed_over).cloned().collect();
        if requirements.is_empty() || !request.again.is_empty() {
            return Ok(Duration::ZERO);
        }
        let name = |it: &Requirement| it.name().map_or_else(|| it.to_string(), str::to_owned);
        let again: Vec<_> = requirements.iter().map(name).collect();
        let mut install = install.clone();
        install.requirements = requirements;
        let request = request.clone().with_install(&install).with_again(&again);
        let told = changes.warnings.clone();
        let Attempt { scratch, finished, warnings, .. } =
            self.attempt(&request, mode, |_| Ok(()))?;
        let more = self.changes(&finished, mode, &request, &scratch)?;
        changes.warnings.extend(warnings.into_iter().filter(|it| !told.contains(it)));
        changes.added.extend(more.added);
        changes.removed.extend(more.removed);
        Ok(finished.elapsed)
    }

    /// Runs the tool, and runs it again after failures that may be temporary. `prepare` adds files
    /// to the folder that the tool reads from.
    pub(crate) fn attempt(
        &self,
        request: &Request<'_>,
        mode: Mode,
        prepare: impl Fn(&Scratch) -> Result<(), Error>,
    ) -> Result<Attempt, Error> {
        self.attempt_begun(request, mode, prepare, None)
    }

    /// Like [`Installer::attempt`], with the process that was started early as the first attempt.
    fn attempt_begun(
        &self,
        request: &Request<'_>,
        mode: Mode,
        prepare: impl Fn(&Scratch) -> Result<(), Error>,
        begun: Option<Begun>,
    ) -> Result<Attempt, Error> {
        let mut begun = begun.and_then(|begun| begun.for_request(request));
        let install = request.install;
        self.refuse_unsupported(install)?;
        let settings = self.settings_of(request)?;
        let secrets = variables::secrets(install, &self.variables, &settings);
        let environment = self.environment(request, &settings)?;
        for attempt in 1.. {
            if request.limit.is_over() {
                return Err(Error::Late { action: "the installation" });
            }
            let command = |scratch: &Scratch| {
                self.command(request, &settings, mode, scratch, environment.clone())
            };
            let (scratch, sources, command, waiting) = match begun.take() {
                Some(begun) if begun.is_for(&command(&begun.scratch)?) => {
                    (begun.scratch, begun.sources, begun.command, Some(begun.process))
                }
                _ => {
                    let scratch = Scratch::new()?;
                    let sources = scratch.write(request)?;
                    prepare(&scratch)?;
                    let command = command(&scratch)?;
                    (scratch, sources, command, None)
                }
            };
            tracing::debug!(argv = %secrets.redact(&format!("{:?}", command.arguments)), attempt);
            let streams = match self.tool() {
                Tool::Pip => Streams::Together,
                Tool::Uv => Streams::Apart,
            };
            let mut meter = Meter::new(self.tool(), &request.python);
            let mut watch = |line: Option<&str>| {
                let now = match line {
                    Some(line) => meter.hear(line),
                    None => meter.look(),
                };
                if let (Some(progress), Some(now)) = (request.progress, now) {
                    progress(now);
                }
            };
            // Without an observer there is nothing to look for.
            let mut watcher: Option<&mut Watcher<'_>> = match request.progress {
                Some(_) if mode == Mode::Install => Some(&mut watch),
                _ => None,
            };
            let gone_on = waiting.and_then(|it| it.go_on(&request.limit, watcher.as_deref_mut()));
            let mut finished = match gone_on {
                Some(finished) => finished?,
                None => process::run_watched(&command, streams, &request.limit, watcher)?,
            };
            if finished.is_success() {
                if mode == Mode::Install {
                    sources.rename_origins(install, &request.python)?;
                }
                let said = secrets.redact(&sources.restored(finished.stderr.clone()));
                let warnings = complaints(self.tool(), &said);
                return Ok(Attempt { scratch, sources, finished, warnings });
            }
            if self.tool() == Tool::Pip {
                let log = fs::read_to_string(scratch.log_file()).unwrap_or_default();
                // pip 22 and later name the reference, older ones say only where to look.
                let said = |words: &str| finished.stderr.contains(words);
                let is_build = finished.status.is_none()
                    || said("subprocess-exited-with-error")
                    || said("See above");
                finished.stderr.push_str(&pip_log::untold(&log, is_build));
            }
            finished.stderr = sources.restored(finished.stderr);
            finished.stdout = sources.restored(finished.stdout);
            let error = self.failure(&command, &finished, &secrets, attempt);
            let may_pass = error.is_transient() && request.patience.is_none();
            let pause = PAUSES.get(attempt as usize - 1).filter(|_| may_pass);
            match pause {
                Some(&pause) if request.limit.allows_pause(pause) => {
                    tracing::info!(%error, attempt, "trying again");
                }
                _ => return Err(error),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Returns the settings in force.
    fn settings_of<'r>(&self, request: &'r Request<'_>) -> Result<Cow<'r, Settings>, Error> {
        match request.settings {
            Some(settings) => Ok(Cow::Borrowed(settings)),
            None => Settings::read(request.install, None, &self.ambient).map(Cow::Owned),
        }
    }

    /// Returns the variables of a call.
    fn environment(
        &self,
        request: &Request<'_>,
        settings: &Settings,
    ) -> Result<BTreeMap<OsString, OsString>, Error> {
        let (install, ambient) = (request.install, &self.variables);
        let mut environment = variables::environment(self.abilities, install, ambient, settings)?;
        if let Some(patience) = request.patience {
            variables::hasten(&mut environment, patience);
        }
        if request.known.is_some() && self.tool() == Tool::Pip {
            environment.remove(OsStr::new("PIP_FIND_LINKS"));
        }
        Ok(environment)
    }

    /// Returns the command of a call whose files lie in this folder.
    fn command(
        &self,
        request: &Request<'_>,
        settings: &Settings,
        mode: Mode,
        scratch: &Scratch,
        mut environment: BTreeMap<OsString, OsString>,
    ) -> Result<Command, Error> {
        let (program, abilities) = (&self.program, self.abilities);
        let argv = command_line::argv(program, abilities, request, settings, mode, scratch)?;
        scratch.write_settings(settings, &mut environment)?;
        let mut command = scratch.command(argv, environment);
        command.lock.clone_from(&request.lock);
        if self.tool() == Tool::Pip {
            command.environment.insert("PIP_LOG".into(), scratch.log_file().into());
        }
        Ok(command)
    }

    fn refuse_unsupported(&self, install: &Install) -> Result<(), Error> {
        if self.tool() == Tool::Pip && !install.overrides.is_empty() {
            return Err(Error::Unsupported { tool: Tool::Pip, option: "overrides" });
        }
        Ok(())
    }

    /// Returns the packages added and removed, from the tool's report if it writes one.
    fn changes(
        &self,
        finished: &Finished,
        mode: Mode,
        request: &Request<'_>,
        scratch: &Scratch,
    ) -> Result<Changes, Error> {
        if self.tool() == Tool::Uv {
            return Changes::of_uv(finished, self.abilities.has_report);
        }
        let mut changes = if self.abilities.has_report {
            let path = scratch.report_file();
            let json = fs::read_to_string(&path).context("read", &path)?;
            outcome::pip_report(&json)
                .map_err(|source| Error::Report { tool: Tool::Pip, source })?
        } else {
            Changes { added: outcome::pip_installed(&finished.stderr), ..Changes::default() }
        };
        changes.removed = match mode {
            Mode::Install => outcome::pip_uninstalled(&finished.stderr),
            // pip does not say what it would replace.
            _ if changes.added.is_empty() => Vec::new(),
            Mode::DryRun | Mode::Lock => {
                let Request { python, limit, .. } = request;
                let mut installed = distributions(python, &self.variables, limit)?;
                installed.retain(|old| changes.added.iter().any(|new| new.name == old.name));
                installed
            }
        };
        Ok(changes)
    }

    fn failure(
        &self,
        command: &Command,
        finished: &Finished,
        secrets: &Secrets,
        attempts: u32,
    ) -> Error {
        failure(self.tool(), command, finished, secrets, attempts)
    }
}

impl fmt::Debug for Installer {
    /// Leaves out the environment variables, any of which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, version, .. } = self;
        f.debug_struct("Installer")
            .field("program", program)
            .field("version", version)
            .finish_non_exhaustive()
    }
}
