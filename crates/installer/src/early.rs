//! pip, started before its environment has its packages.
//!
//! In a small installation, pip needs half of the time to start and to import itself. For that it
//! needs only the environment's interpreter, which exists before the base's files arrive. The
//! process has its whole command line from the start, and waits for a word before it does anything
//! else.

use std::fmt;
use std::path::Path;

use envspec::Install;

use crate::command::Command;
use crate::command_line::Program;
use crate::error::Error;
use crate::known::Archive;
use crate::process::Waiting;
use crate::request::Request;
use crate::scratch::Scratch;
use crate::sources::Sources;

/// The program that the interpreter runs until pip may begin.
const EARLY: &str = include_str!("../python/early.py");

/// The file that runs a pip for another interpreter. Only such a pip can be started early.
const RUNNER: &str = "__pip-runner__.py";

/// A package manager that was started early for one installation, and waits for it.
///
/// Its process ends when this value is dropped. [`Installer::begin`](crate::Installer::begin)
/// creates it.
#[must_use]
pub struct Begun(Box<Standing>);

/// A process that waits, with the request that it was started for.
pub(crate) struct Standing {
    pub(crate) scratch: Scratch,
    pub(crate) sources: Sources,
    /// The command that it will run.
    pub(crate) command: Command,
    pub(crate) process: Waiting,
    pub(crate) install: Install,
    pub(crate) held: Vec<String>,
    pub(crate) known: Option<Vec<Archive>>,
}

impl Begun {
    pub(crate) fn new(standing: Standing) -> Self {
        Self(Box::new(standing))
    }

    /// Returns the process, if it waits for this request.
    pub(crate) fn for_request(self, request: &Request<'_>) -> Option<Standing> {
        let Standing { install, held, known, .. } = &*self.0;
        (install == request.install && held == request.held && known.as_deref() == request.known)
            .then_some(*self.0)
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

impl Standing {
    /// Returns whether it will run this command.
    pub(crate) fn is_for(&self, command: &Command) -> bool {
        let Command { program, arguments, environment, working_dir, doomed_dir, lock: _ } = command;
        self.command.program == *program
            && self.command.arguments == *arguments
            && self.command.environment == *environment
            && self.command.working_dir == *working_dir
            && self.command.doomed_dir == *doomed_dir
    }
}

/// Starts a command of pip early; returns `None` for a pip without a file for other interpreters.
pub(crate) fn start(program: &Program, command: &Command) -> Result<Option<Waiting>, Error> {
    let Program::Pip { entry, .. } = program else { return Ok(None) };
    let position = command.arguments.iter().position(|word| Path::new(word) == entry);
    let is_runner = entry.file_name().is_some_and(|name| name == RUNNER);
    let Some(position) = position.filter(|_| is_runner) else { return Ok(None) };
    let mut early = command.clone();
    let options = command.arguments.iter().take(position).cloned();
    early.arguments = std::iter::once("-S".into()).chain(options).collect();
    early.arguments.extend(["-c".into(), EARLY.into(), position.to_string().into()]);
    early.arguments.extend(command.arguments.iter().cloned());
    Waiting::start(&early).map(Some)
}

/// Returns whether all packages to install come from indexes. Folders and files of this machine may
/// change until the installation, which copies them when it needs them.
pub(crate) fn is_of_indexes(install: &Install) -> bool {
    let lists = [&install.requirements, &install.constraints, &install.overrides];
    !install.requirements.is_empty()
        && lists.into_iter().flatten().all(|it| it.path().is_none() && it.url().is_none())
}
