//! Virtual environments that add to a base without copying it.
//!
//! A [`Base`] is an [`Interpreter`] and the packages that it sees: a virtualenv, or an
//! installation such as the system's Python. [`create`] makes an environment in which all of them
//! are importable, by a [`Strategy`] that [`Strategy::probe`] chooses; whatever is then installed
//! into the environment, removed from it or written in it leaves the base alone.
//! [`create_bare`] makes an empty virtualenv, to be a base of its own. A base's [`Fingerprint`]
//! tells, without starting a process, whether it still holds what it held.
//!
//! ```
//! use venv_cache::{Base, Isolation, Strategy, create, create_bare};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let python = Base::discover(None)?;
//! let base = create_bare(python.interpreter(), &folder.join("base"))?;
//!
//! let base = Base::open(&base.python, None)?;
//! let choice = Strategy::probe(&base, folder, Isolation::Shared)?;
//! let environment = create(&base, &folder.join("environment"), choice.strategy)?;
//! assert!(environment.python.ends_with("bin/python"));
//! assert_eq!(base.fingerprint_now()?, *base.fingerprint());
//! # Ok(())
//! # }
//! ```
//!
//! This crate installs nothing, and the one program that it starts is the base's interpreter, to
//! describe itself.

mod base;
mod create;
mod error;
mod fingerprint;
mod interpreter;
mod pyenv;
mod strategy;
#[cfg(feature = "testing")]
pub mod testing;

pub use base::{Base, Kind};
pub use create::{Created, create, create_bare};
pub use error::Error;
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use interpreter::{Interpreter, Libc};
pub use strategy::{Choice, Isolation, Reason, Strategy};
