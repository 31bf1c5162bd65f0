//! What a stage's Python environment is made of.

mod install;

pub use install::{IndexOptions, IndexUrl, Install, Requirement, Tool};
