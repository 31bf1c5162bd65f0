//! Pipelines: composing, checking, describing and writing sequences of stages.

mod amounts;
mod as_toml;
mod assignment;
mod base;
mod built;
mod composite;
mod describe;
mod field;
mod file;
mod places;
mod plain;
mod running;

pub use amounts::{parse_age, parse_bytes};
pub use assignment::Assignment;
pub use base::BaseSpec;
pub use built::BuiltPipeline;
pub use composite::{CompositeStage, PipelineStage};
pub use file::PipelineFile;
pub use plain::Pipeline;
pub use running::{Backend, Engine, FailurePolicy, RayEnvironments, UnknownBackend};
