//! The kinds of code that an executor has to run.

use std::fmt;

use crate::{PythonCode, RustCode};

/// The code of a stage. Executors match on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// A Python class or function, run in a worker process of the stage's environment.
    Python(PythonCode),
    /// A Rust type, run by the executor itself.
    Rust(RustCode),
}

impl Behaviour {
    /// Returns the Python code, if it is Python.
    #[must_use]
    pub fn as_python(&self) -> Option<&PythonCode> {
        match self {
            Self::Python(code) => Some(code),
            Self::Rust(_) => None,
        }
    }

    /// Returns the Rust code, if it is Rust.
    #[must_use]
    pub fn as_rust(&self) -> Option<&RustCode> {
        match self {
            Self::Python(_) => None,
            Self::Rust(code) => Some(code),
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python(code) => write!(f, "python {code}"),
            Self::Rust(code) => write!(f, "rust {code}"),
        }
    }
}

impl From<PythonCode> for Behaviour {
    fn from(code: PythonCode) -> Self {
        Self::Python(code)
    }
}

impl From<RustCode> for Behaviour {
    fn from(code: RustCode) -> Self {
        Self::Rust(code)
    }
}
