//! What a stage does: Rust or Python code, and what it is given.

mod behaviour;
mod command;
mod context;
mod python;
mod rust;
mod typed;

pub use behaviour::Behaviour;
pub use command::{Command, EnvView};
pub use context::Context;
pub use python::{PythonCode, PythonSource};
pub use rust::{RustCode, Stage};
pub use typed::TypedStage;
