//! Specs of a stage's Python environment.
//!
//! A [`RuntimeEnv`] is the spec as its author writes it, in the format of Ray's `runtime_env`: a
//! list of pip or uv requirements, a requirements file, environment variables, and more.
//! [`RuntimeEnv::load`] reads the files that it names through a [`Source`], and returns a
//! [`LoadedEnv`]. The part of it for a package manager is an [`Install`]: sorted [`Requirement`]s
//! in normal form, each in one spelling, with a [`Digest`] that is equal for two specs exactly if
//! they ask for the same.
//!
//! ```
//! use std::path::Path;
//!
//! use envspec::RuntimeEnv;
//!
//! # fn main() -> Result<(), envspec::Error> {
//! let source = |_: &Path| Ok(b"Packaging == 24.0.0  # pinned\n".to_vec());
//! let dir = Path::new("/project");
//!
//! let from_file = RuntimeEnv::from_json(r#"{ "uv": "requirements.txt" }"#)?.load(&source, dir)?;
//! let from_list = RuntimeEnv::uv(["packaging==24.0"]).load(&source, dir)?;
//!
//! let install = from_file.install.expect("a requirement is listed");
//! assert_eq!(install.requirements[0].to_string(), "packaging==24.0");
//! assert_eq!(install.digest(), from_list.install.expect("the same one").digest());
//! # Ok(())
//! # }
//! ```
//!
//! The crate reads no file, starts no process and looks at no clock and no environment variable:
//! the same spec and the same files give the same digest on every machine. It resolves nothing. The
//! base, the interpreter and the platform also decide an environment's contents; the cache adds
//! them to its key.
//!
//! # Features
//!
//! - `schema`: the JSON Schema of a spec.
//! - `testing`: `MemorySource`, files held in memory.
//! - `proptest`: `MemorySource` and `strategies`, which generate specs, requirements and
//!   requirements files for property tests.

mod by_products;
mod contents;
mod decode;
mod digest;
mod error;
mod git_index;
mod history;
mod index;
mod install;
pub mod json;
mod load;
mod loaded;
mod local_project;
mod location;
mod marker;
#[cfg(any(test, feature = "testing"))]
mod memory_source;
mod merge;
mod name;
mod options;
mod packages;
mod page;
mod project;
mod query;
mod read;
mod redact;
mod report;
mod repository;
mod requirement;
mod requirement_parser;
mod requirements;
mod requires_python;
mod runtime_env;
#[cfg(feature = "schema")]
mod schema;
mod secret_name;
pub mod settings;
mod source;
mod specifier;
mod static_project;
#[cfg(feature = "proptest")]
pub mod strategies;
mod suggest;
mod tool;
mod uv_settings;
mod variables;
mod write;

#[cfg(any(test, feature = "testing"))]
pub use memory_source::MemorySource;
pub use {
    by_products::is_by_product,
    contents::local_digest,
    digest::Digest,
    error::Error,
    git_index::Tracked,
    index::{IndexOptions, IndexUrl},
    install::Install,
    loaded::LoadedEnv,
    local_project::{LocalProject, Need},
    name::{normal_name, of_archive as archive_name},
    packages::{PackageList, Packages},
    page::{is_page, linked_archives},
    project::names_packages,
    redact::{identity, redact},
    report::{messages, report},
    repository::Repository,
    requirement::Requirement,
    requires_python::{MadeFor, RequiresPython},
    runtime_env::RuntimeEnv,
    secret_name::names_a_secret,
    source::Source,
    specifier::Specifier,
    suggest::nearest,
    tool::Tool,
};
