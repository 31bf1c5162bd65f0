//! Executors: the local one with its Python workers, and what joins environments to stages.

mod disk_source;
mod error;
mod event;
mod executor;
mod failure;
mod local;
mod plan;
mod provision;
mod report;
mod wire;
mod worker;

pub use disk_source::DiskSource;
pub use error::Error;
pub use event::{Event, Observer};
pub use executor::{Executor, ExecutorExt, FailurePolicy, Sink};
pub use failure::{Cause, FailedTask, PythonError};
pub use local::LocalExecutor;
pub use plan::{Plan, PlannedStage};
pub use provision::{EnvState, Environment, EnvironmentReport, Preview, PreviewState, Provisioner};
pub use report::{RunReport, StageReport};
pub use wire::Phase;
pub use worker::{CURATOR_STAGE_PY, Exit, Stream, write_shim};
