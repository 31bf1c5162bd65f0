//! Stages, tasks and pipelines, as plain data and one trait.
//!
//! A [`Pipeline`] is a sequence of stages through which [`Task`]s flow. A stage is code with
//! [`Settings`]: a Python class or function ([`PythonStage`]), or a Rust type that implements
//! [`Stage`] ([`RustStage`]). Each may have its own Python packages, as a
//! [`RuntimeEnv`](envspec::RuntimeEnv) over the pipeline's default. A [`CompositeStage`] is one
//! stage to its user and several to an executor. [`Overrides`] are changes to a stage, always made
//! on a copy.
//!
//! ```
//! use envspec::RuntimeEnv;
//! use stage::{Context, Pipeline, PythonStage, RustStage, Task};
//!
//! let tag = PythonStage::from_file("stages.py", "Tag")
//!     .with_runtime_env(RuntimeEnv::pip(["transformers==4.40.0"]))
//!     .with_inputs(["text"])
//!     .with_outputs(["tags"]);
//! let keep_tagged = RustStage::from_fn("keep_tagged", |task: Task, _: &mut Context| {
//!     Ok::<_, stage::Error>(task.data.has("tags").then_some(task))
//! });
//!
//! let pipeline = Pipeline::new("tagging").with_stage(tag).with_stage(keep_tagged);
//! let built = pipeline.build()?;
//! assert_eq!(built.stages().len(), 2);
//! assert!(built.effective_runtime_env(&built.stages()[1]).is_empty());
//! # Ok::<(), stage::Error>(())
//! ```
//!
//! # What it does not do
//!
//! The crate starts no process, builds no environment and runs no pipeline: executors do, in the
//! crate `backends`. (The feature `testing` has one for unit tests, which runs Rust stages in one
//! thread.)
//!
//! # Features
//!
//! - `arrow`: tasks that are Arrow tables: `Data::Table`.
//! - `proptest`: strategies that generate tasks, settings, overrides and pipelines.
//! - `schema`: the JSON Schema of the pipeline file.
//! - `testing`: an executor that runs the Rust stages of a pipeline in one thread.

mod code;
mod error;
mod pipeline;
mod secret;
mod settings;
mod shown;
#[cfg(feature = "proptest")]
pub mod strategies;
mod task;
#[cfg(feature = "testing")]
pub mod testing;

pub use code::{
    Behaviour, Command, Context, Declared, EnvView, Origin, PythonCode, PythonSource, Registry,
    RustCode, Stage, TypedStage,
};
pub use error::{BoxError, Error};
pub use pipeline::{
    Assignment, Backend, BaseSpec, BuiltPipeline, CompositeStage, Engine, FailurePolicy, Pipeline,
    PipelineFile, PipelineStage, RayEnvironments, UnknownBackend, parse_age, parse_bytes,
};
pub use secret::redacted;
pub use settings::{
    AnyStage, Configured, DeclaredSetting, Isolation, Overrides, Preload, PythonStage, Resources,
    RustStage, Settings, Source, Workers, declarable,
};
pub use task::{
    BatchOutput, Data, Json, JsonError, Lineage, Output, SourceTask, Task, TaskId, Timing,
};
#[cfg(feature = "arrow")]
pub use task::{IpcParts, Table};
/// The crates behind the API of [`Table`], in the version that it uses.
#[cfg(feature = "arrow")]
pub use {arrow_array, arrow_schema};
