//! Strategies that generate tasks, settings, overrides and pipelines, for property tests here and
//! elsewhere.
//!
//! Unless their documentation says otherwise, they generate only valid values: settings pass
//! [`Settings::check`](crate::Settings::check), and pipelines [build](crate::Pipeline::build).
//! Floating-point numbers are dyadic, so that they survive every text form exactly.
//!
//! ```
//! use proptest::prelude::*;
//!
//! proptest!(|(pipeline in stage::strategies::pipeline())| {
//!     prop_assert!(pipeline.build().is_ok());
//! });
//! ```

mod json;
mod pipeline;
mod settings;
mod task;

pub use json::{json, json_object, toml_object};
pub use pipeline::{composite, composite_and_children, pipeline, python_pipeline};
pub use settings::{
    any_stage, overrides, python_code, python_stage, resources, rust_stage, settings, workers,
};
#[cfg(feature = "arrow")]
pub use task::table;
pub use task::{data, task, task_id, timing};
