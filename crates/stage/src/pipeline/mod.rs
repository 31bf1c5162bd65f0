//! Stages in a row: composing, checking, describing and writing them down.

mod base;
mod built;
mod composite;
mod describe;
mod file;
mod plain;

pub use base::Base;
pub use built::BuiltPipeline;
pub use composite::CompositeStage;
pub use plain::{Pipeline, PipelineStage};
