//! Base environments, over which others are created.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use crate::error::Error;
use crate::fingerprint::{Fingerprint, Stamps};
use crate::interpreter::{Interpreter, on_path};

/// A base environment: an interpreter and the packages that it sees.
///
/// Nothing here ever writes to a base.
#[derive(Clone, Debug)]
pub struct Base {
    interpreter: Interpreter,
    kind: Kind,
    fingerprint: Fingerprint,
    /// The latest change of its folders; `None` for a managed base, which does not change.
    stamps: Option<Stamps>,
}

/// The kind of environment that a base is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A virtualenv, made by `venv`, virtualenv, uv or this crate.
    Virtualenv,
    /// A Python installation: the system's, pyenv's, or one that was unpacked somewhere.
    Installation,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Virtualenv => "virtualenv",
            Self::Installation => "installation",
        })
    }
}

impl Base {
    /// Opens the base of the interpreter at `python`.
    ///
    /// `python` and `records` (where descriptions of interpreters are kept) are as in
    /// [`Interpreter::describe`]: an executable, an environment's folder, or a name on `PATH`.
    ///
    /// # Errors
    ///
    /// Those of [`Interpreter::describe`]; [`Error::Conda`], because the libraries of a conda
    /// environment find each other by their place in it (a virtualenv made with conda's Python
    /// is fine); [`Error::Io`] if a site folder cannot be read.
    pub fn open(python: &Path, records: Option<&Path>) -> Result<Self, Error> {
        let interpreter = Interpreter::describe(python, records)?;
        // Read first, so that a change during the fingerprint shows later.
        let stamps = Stamps::of(&interpreter);
        let fingerprint = Fingerprint::of(&interpreter)?;
        Self::new(interpreter, fingerprint, Some(stamps))
    }

    /// Opens a managed base: an environment of a cache, which does not change and is identified by
    /// its key instead of its contents.
    ///
    /// # Errors
    ///
    /// As [`Base::open`].
    pub fn managed(
        python: &Path,
        records: Option<&Path>,
        fingerprint: Fingerprint,
    ) -> Result<Self, Error> {
        Self::new(Interpreter::describe(python, records)?, fingerprint, None)
    }

    /// Finds the base that a user would expect: the virtualenv named by `$VIRTUAL_ENV`, else the
    /// first `python3` on `PATH`.
    ///
    /// # Errors
    ///
    /// [`Error::VirtualEnv`] if the variable names something that cannot be opened (there is no
    /// falling back to another Python), [`Error::NoBase`] if nothing is found, and those of
    /// [`Base::open`].
    pub fn discover(records: Option<&Path>) -> Result<Self, Error> {
        let virtual_env = env::var_os("VIRTUAL_ENV");
        let path = env::var_os("PATH");
        Self::discover_in(virtual_env.as_deref(), path.as_deref(), records)
    }

    fn discover_in(
        virtual_env: Option<&OsStr>,
        path: Option<&OsStr>,
        records: Option<&Path>,
    ) -> Result<Self, Error> {
        if let Some(folder) = virtual_env.filter(|folder| !folder.is_empty()) {
            return Self::open(Path::new(folder), records)
                .map_err(|error| Error::VirtualEnv { source: Box::new(error) });
        }
        let python = on_path(OsStr::new("python3"), path).ok_or(Error::NoBase)?;
        Self::open(&python, records)
    }

    fn new(
        interpreter: Interpreter,
        fingerprint: Fingerprint,
        stamps: Option<Stamps>,
    ) -> Result<Self, Error> {
        if interpreter.is_conda() {
            return Err(Error::Conda { prefix: interpreter.prefix().to_path_buf() });
        }
        let kind = if interpreter.is_virtualenv() { Kind::Virtualenv } else { Kind::Installation };
        Ok(Self { interpreter, kind, fingerprint, stamps })
    }

    /// Returns the base's own interpreter.
    #[must_use]
    pub fn python(&self) -> &Path {
        self.interpreter.executable()
    }

    /// Returns the interpreter's description of itself.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// Returns the kind of environment.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the fingerprint of the base from when it was opened.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Computes the current fingerprint, which differs from [`Base::fingerprint`] if packages have
    /// been installed meanwhile. A managed base keeps the fingerprint that it was opened with.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the interpreter is gone or a site folder cannot be read.
    pub fn fingerprint_now(&self) -> Result<Fingerprint, Error> {
        match self.stamps {
            None => Ok(self.fingerprint),
            Some(_) => Fingerprint::of(&self.interpreter),
        }
    }

    /// Returns whether the base may have changed since it was opened; if so, open it again. The
    /// check takes microseconds: it compares the times of folders, which bytecode changes too.
    /// Always false for a managed base.
    #[must_use]
    pub fn may_have_changed(&self) -> bool {
        self.stamps.as_ref().is_some_and(|stamps| *stamps != Stamps::of(&self.interpreter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_discover_is_said() {
        let error = Base::discover_in(None, Some(OsStr::new("/nowhere")), None).unwrap_err();
        assert!(matches!(error, Error::NoBase));
        assert!(matches!(Base::discover_in(Some(OsStr::new("")), None, None), Err(Error::NoBase)));
    }

    #[test]
    fn a_virtualenv_that_is_gone_is_not_passed_over() {
        let path = env::var_os("PATH");
        let error = Base::discover_in(Some(OsStr::new("/nowhere/venv")), path.as_deref(), None)
            .unwrap_err();
        assert!(matches!(error, Error::VirtualEnv { .. }), "{error:?}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn the_first_python3_on_the_path_is_found() {
        let path = env::var_os("PATH");
        let base = Base::discover_in(None, path.as_deref(), None).unwrap();
        assert!(base.python().is_absolute());
    }
}
