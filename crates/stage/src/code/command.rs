//! A stage's environment for its Rust code, and programs to start in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// A prepared environment, as a Rust stage sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvView {
    python: PathBuf,
    bin: PathBuf,
    prefix: PathBuf,
    vars: BTreeMap<String, String>,
}

impl EnvView {
    /// Creates the environment of an interpreter at `<prefix>/bin/python`.
    ///
    /// `vars` are the variables of its programs, besides inherited ones; the executor puts `PATH`
    /// and the spec's `env_vars` there.
    #[must_use]
    pub fn new(python: impl Into<PathBuf>, vars: BTreeMap<String, String>) -> Self {
        let python = python.into();
        let bin = python.parent().unwrap_or(Path::new("")).to_owned();
        let prefix = bin.parent().unwrap_or(Path::new("")).to_owned();
        Self { python, bin, prefix, vars }
    }

    /// Returns the interpreter.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Returns the folder of its programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Returns Python's `sys.prefix`.
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Returns the variables of its programs. Values may be secret.
    #[must_use]
    pub fn vars(&self) -> &BTreeMap<String, String> {
        &self.vars
    }

    /// Returns a program of this environment, or, if it has none of that name, the one on `PATH`.
    ///
    /// `VIRTUAL_ENV` is set as by an activation. `PYTHONHOME` is not inherited, since it would
    /// misdirect every interpreter.
    pub fn command(&self, program: &str) -> Command {
        let own = self.bin.join(program);
        let is_name = Path::new(program).components().count() == 1;
        let program = if is_name && own.is_file() { own } else { PathBuf::from(program) };
        let mut command = Command::new(program).without_env("PYTHONHOME");
        if let Some(prefix) = self.prefix.to_str() {
            command = command.with_env("VIRTUAL_ENV", prefix);
        }
        for (name, value) in &self.vars {
            command = command.with_env(name, value);
        }
        command
    }
}

impl fmt::Debug for EnvView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvView")
            .field("python", &self.python)
            .field("vars", &Names(&self.vars))
            .finish_non_exhaustive()
    }
}

/// A program to start, as plain data, for the caller's own way to start processes.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<String, String>,
    env_removed: BTreeSet<String>,
}

impl Command {
    /// Creates a command for a program, by its path or by a name for `PATH`, without arguments and
    /// with the inherited environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            env_removed: BTreeSet::new(),
        }
    }

    /// Adds an argument.
    pub fn add_arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn add_args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable. Default: the environment is inherited unchanged.
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.env_removed.remove(&name);
        self.env.insert(name, value.into());
        self
    }

    /// Removes a variable from the inherited environment.
    pub fn without_env(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.env.remove(&name);
        self.env_removed.insert(name);
        self
    }

    /// Returns the program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns its arguments.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    /// Returns the variables to set. Values may be secret.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Returns the variables to remove from the inherited environment.
    #[must_use]
    pub fn env_removed(&self) -> &BTreeSet<String> {
        &self.env_removed
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &Names(&self.env))
            .field("env_removed", &self.env_removed)
            .finish()
    }
}

/// The names of variables, without their values, which may be secret.
struct Names<'a>(&'a BTreeMap<String, String>);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::EnvView;

    #[test]
    fn a_command_carries_the_environment_and_shows_no_value() {
        let vars = [("TOKEN".to_owned(), "hush".to_owned())].into();
        let environment = EnvView::new("/envs/a/bin/python", vars);
        assert_eq!(environment.prefix(), Path::new("/envs/a"));
        let command = environment.command("tool").add_args(["-v", "x"]);
        assert_eq!(command.program(), Path::new("tool"));
        assert_eq!(command.env()["VIRTUAL_ENV"], "/envs/a");
        assert_eq!(command.env()["TOKEN"], "hush");
        assert!(command.env_removed().contains("PYTHONHOME"));
        assert!(!format!("{command:?} {environment:?}").contains("hush"));
    }
}
