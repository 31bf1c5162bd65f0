//! venv-cache

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
