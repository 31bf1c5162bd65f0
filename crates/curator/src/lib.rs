//! Data pipelines in which every stage may bring its own Python packages.
//!
//! One stage needs `transformers==4.40.0`, the next `4.45.0`. A stage declares its `runtime_env`
//! (`{"pip": [...]}` or `{"uv": [...]}`, in the shape of Ray's); its workers then run in an isolated
//! environment that adds to a common base, and that is kept in a cache under the hash of all that
//! it is made of. The next run finds it there.
//!
//! ```no_run
//! use curator::{ExecutorExt, LocalExecutor, Pipeline, PythonStage, RuntimeEnv, Task};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), curator::Report> {
//! let record = PythonStage::from_file("stages.py", "RecordPackagingVersion");
//! let pipeline = Pipeline::new("multi_version_demo")
//!     .with_stage(record.clone().with_name("base_env"))
//!     .with_stage(
//!         record
//!             .clone()
//!             .with_name("pinned_v232")
//!             .with_runtime_env(RuntimeEnv::pip(["packaging==23.2"])),
//!     )
//!     .with_stage(
//!         record.with_name("pinned_v240").with_runtime_env(RuntimeEnv::uv(["packaging==24.0"])),
//!     );
//! let report = LocalExecutor::default().run(&pipeline, [Task::new(json!({ "text": "hello" }))])?;
//! # let _ = report;
//! # Ok(())
//! # }
//! ```
//!
//! The Python side of that is plain: a class with `process(task)`, and optionally `setup_on_node`,
//! `setup` and `teardown`.
//!
//! ```python
//! class RecordPackagingVersion:
//!     def process(self, task):
//!         import packaging
//!         task.data.setdefault("versions", []).append(packaging.__version__)
//!         return task
//! ```
//!
//! # Crate layout
//!
//! This crate has no type of its own: it gives the others under their names, and those names of
//! theirs that every program needs. Each can be used alone.
//!
//! | crate | what it holds |
//! |---|---|
//! | [`envspec`] | `runtime_env`: parsing, normal form, digest, merging |
//! | [`installer`] | pip and uv, found or fetched, driven from outside of the environment |
//! | [`venv_cache`] | environments over a base, and the cache that keeps them |
//! | [`stage`] | stages, tasks and pipelines as data |
//! | [`backends`] | executors, and what joins environments to stages |
//!
//! # Where things are
//!
//! | to | see |
//! |---|---|
//! | declare packages | [`RuntimeEnv`] |
//! | write a stage in Python, in Rust | [`PythonStage`]; [`RustStage`] and [`Stage`] |
//! | change a stage, several at once | its `with_` methods and [`Overrides`]; [`CompositeStage`] |
//! | run here; on Ray | [`LocalExecutor`]; [`RayDataExecutor`], [`RayActorPoolExecutor`], [`XennaExecutor`] |
//! | stream, watch, report, take up again | [`backends`] |
//! | have `main` print errors as people read them | [`Report`] |
//! | keep environments without pipelines | [`backends::Provisioner`] |
//!
//! # Features
//!
//! - `cli`: the command `curator`; the library is the same without it.
//! - `conformance`: the cases that every executor must pass, in [`backends`].

pub use {backends, envspec, installer, stage, venv_cache};

pub use backends::{
    Connection, Executor, ExecutorExt, LocalExecutor, RayActorPoolExecutor, RayDataExecutor,
    RayEnv, Report, RunReport, XennaExecutor,
};
pub use envspec::RuntimeEnv;
pub use stage::{
    CompositeStage, Declared, Overrides, Pipeline, PythonStage, RustStage, Stage, Task,
};

/// What makes a program its own worker on the nodes of a cluster.
pub mod worker {
    pub use backends::serve_if_asked;
    pub use stage::Registry;
}

/// The programs in Rust on the pages for people: each compiles, and runs if it does not say that it
/// must not.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/clusters.md")]
    struct Clusters;
    #[doc = include_str!("../../../docs/migrating.md")]
    struct Migrating;
    #[doc = include_str!("../../../docs/property-tests.md")]
    struct PropertyTests;
    #[doc = include_str!("../../../docs/rust-programs.md")]
    struct RustPrograms;
    #[doc = include_str!("../../../docs/single-crates.md")]
    struct SingleCrates;
}
