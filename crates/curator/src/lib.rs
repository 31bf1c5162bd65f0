//! Data pipelines in which every stage may bring its own Python packages.

pub use {backends, envspec, installer, stage, venv_cache};

pub use backends::{Executor, ExecutorExt, LocalExecutor, RunReport};
pub use envspec::RuntimeEnv;
pub use stage::{CompositeStage, Overrides, Pipeline, PythonStage, RustStage, Stage, Task};
