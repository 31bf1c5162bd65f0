//! The code of a stage, in Rust or Python, and its input.

mod behaviour;
mod command;
mod context;
mod declared;
mod python;
mod registry;
mod rust;
mod typed;

pub use behaviour::Behaviour;
pub use command::{Command, EnvView};
pub use context::Context;
pub use declared::Declared;
pub(crate) use python::is_dotted_name;
pub use python::{PythonCode, PythonSource};
pub use registry::Registry;
pub use rust::{Origin, RustCode, Stage};
pub use typed::TypedStage;
