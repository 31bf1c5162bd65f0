//! Drives real pip and real uv, from outside the environments that they install into.
//!
//! [`Tools`] finds a package manager, or fetches it once, and returns an [`Installer`]. That takes
//! a [`Request`] (an [`envspec::Install`] and the interpreter of an environment), runs the tool
//! once, and returns an [`Outcome`] with the packages added and removed. Everything runs under one
//! [`Deadline`].
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//! use envspec::{Install, Tool};
//! use installer::{Deadline, Request, Tools, compile_bytecode};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let python = Path::new("/path/to/environment/bin/python");
//! let install = Install::new(Tool::Uv, vec!["packaging==24.0".parse()?]);
//! let deadline = Deadline::after(Duration::from_secs(600));
//!
//! let uv = Tools::new("/path/to/tools").locate(Tool::Uv, None, python, deadline)?;
//! let outcome = uv.install(&Request::new(&install, python).with_deadline(deadline))?;
//! compile_bytecode(python, &outcome.added, None, deadline)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a tool sees
//!
//! The operator's settings of pip and uv stay in force, except those that say where packages go or
//! whether any are installed: see [`Settings`]. The caller's folder, its Python, its activated
//! environment and its compiler's flags do not reach the tool, see [`Ambient`]. The tool runs in a
//! process group that ends with the call, at the deadline, and when the calling process dies.
//!
//! # What this crate does not do
//!
//! It creates no environment and knows no cache: the caller chooses the interpreter, and handles a
//! half-changed environment after an error.
//!
//! # When it fails
//!
//! An [`Error`] is distinguished by what can be done about it: no such package, no versions that
//! fit, a build that failed, a network that did not answer, a deadline, a full disk.
//! [`Error::hint`] gives advice, and [`Error::transcript`] has the command line and the tool's own
//! words. A failure that may be temporary is retried before it is reported.
//!
//! # Features
//!
//! - `testing`: `testing::FakeUv`, a program that installs nothing, gives scripted answers, and
//!   records its calls.

mod ambient;
mod bootstrap;
mod bytecode;
mod classify;
mod command;
mod command_line;
mod complaints;
mod deadline;
mod disk_source;
mod early;
mod error;
mod failure;
mod installer;
mod interpreter;
mod known;
mod local;
mod lock_file;
mod locking;
mod mode;
mod offline;
mod origin;
mod outcome;
mod pip_log;
mod process;
mod progress;
mod redact;
mod repository;
mod request;
mod scratch;
mod search;
mod settings;
mod shadow;
mod sources;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tool_options;
mod tools;
mod tools_dir;
mod transcript;
mod variables;
mod wanted;

pub use ambient::Ambient;
pub use bytecode::{Apart, Importer, compile_apart, compile_bytecode};
pub use deadline::{Deadline, Limit};
pub use disk_source::DiskSource;
pub use early::Begun;
pub use error::Error;
pub use installer::Installer;
pub use known::Archive;
pub use origin::address;
pub use outcome::{Conflict, Outcome, Package};
pub use progress::{Progress, Step};
pub use request::Request;
pub use settings::Settings;
pub use tools::Tools;
pub use transcript::Transcript;
