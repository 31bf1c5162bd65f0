//! Executors, and what joins environments to stages.
//!
//! An [`Executor`] runs the stages of a [`Plan`], which is a pipeline made ready: checked, and with
//! all read that its specs refer to. [`ExecutorExt::run`] is what a program calls. A
//! [`Provisioner`] makes the environments: it looks each up in the cache by all that decides what
//! is in it, and builds it if it is not there. Python code runs in worker processes, each of which
//! proves its environment before it gets a task; Rust code runs on threads. What happens on the way
//! is one stream of [`Event`]s to an [`Observer`], and what is left at the end a [`RunReport`].
//!
//! ```
//! use backends::{ExecutorExt, LocalExecutor};
//! use serde_json::json;
//! use stage::{Pipeline, PythonStage, Task};
//!
//! # fn main() -> Result<(), backends::Error> {
//! let count = "def count(task): return {'words': len(task.data['text'].split())}";
//! let pipeline = Pipeline::new("words").with_stage(PythonStage::from_source(count, "count"));
//! let executor = LocalExecutor::default();
//! # let cache = tempfile::tempdir().expect("a temporary folder");
//! # let executor = executor.with_cache_dir(cache.path());
//! let report = executor.run(&pipeline, [Task::new(json!({ "text": "to be or not" }))])?;
//! assert_eq!(report.outputs[0].data.as_json(), Some(&json!({ "words": 4 })));
//! # Ok(())
//! # }
//! ```
//!
//! The same runs on a cluster with [`RayDataExecutor`], [`RayActorPoolExecutor`] or
//! [`XennaExecutor`], where the program serves as its own worker: see [`serve_if_asked`].
//!
//! # What to reach for
//!
//! | to | use |
//! |---|---|
//! | run a pipeline and collect what comes out | [`ExecutorExt::run`] |
//! | stream tasks in and out | [`Executor::execute`] with a [`Plan`] and a [`Sink`] |
//! | go on after failed tasks | [`LocalExecutor::with_failure_policy`], [`FailedTask`] |
//! | watch | an [`Observer`], which any closure over [`Event`] is |
//! | write a report as a page or as JSON | a [`Recorder`] among the observers, [`RunProfile`] |
//! | survive the end of the process | a [`Checkpoint`] |
//! | have the same packages again | a [`RunRecord`] |
//! | see what a run would build | [`Plan`], [`Provisioner`], [`Preview`] |
//! | run a program in an environment | [`Provisioner::prepare`], [`Environment::command`] |
//! | tell people what went wrong | [`Error::report`]: causes, traceback, log, hint |
//!
//! # What holds
//!
//! - **The right environment or no run.** A worker's first message tells its interpreter, its
//!   environment's key and the versions of what its stage asked for. A mismatch ends the run.
//! - **Each hook once, in the stage's environment**: `setup_on_node` per node and stage, `setup` per
//!   worker, `teardown` per worker that ends in order, also after a failed task.
//! - **A task is never lost and never done twice in the output.** What a dead worker held is tried
//!   again; the task that kills its worker is found and fails alone.
//! - **Nothing outlives a run**: workers and the processes that they started end with it, also when
//!   the program is killed. A child that opened a session of its own is the exception.
//!
//! # Features
//!
//! - `arrow`: tasks that are Arrow tables, for Rust stages and the program itself. Between Python
//!   stages, which see a `pyarrow.Table` or a `curator_table.Table`, they need no feature.
//! - `conformance`: the cases that every executor must pass.
//!
//! # What it does not do
//!
//! It installs no signal handler, changes no variable or folder of the process, prints nothing, and
//! never executes what a worker sends: there is no pickle.
//!
//! # Features
//!
//! - `conformance`: the cases that every executor must pass, for those who write one.
//! - `browser`: tests of this crate's own that open a report in Chromium.

mod checkpoint;
mod code;
#[cfg(feature = "conformance")]
pub mod conformance;
mod declared;
mod disk_source;
mod error;
mod event;
mod executor;
mod failure;
mod groups;
mod host;
mod intake;
mod local;
mod plan;
mod profile;
mod provision;
mod ray;
mod record;
mod report;
mod secrets;
mod stop;
mod wire;
mod worker;

pub use checkpoint::Checkpoint;
pub use disk_source::DiskSource;
pub use error::Error;
pub use event::{BuildPhase, Event, Observer};
pub use executor::{Executor, ExecutorExt, FailurePolicy, Sink};
pub use failure::{Cause, FailedTask, PythonError};
pub use groups::{Group, Groups};
pub use host::serve_if_asked;
pub use intake::{Ended, Intake};
pub use local::LocalExecutor;
pub use plan::{Plan, PlannedStage};
pub use profile::{Recorder, RunProfile};
pub use provision::{
    Added, Change, Damage, Dependent, Details, Diff, EnvCommand, EnvState, Environment,
    EnvironmentReport, Finding, Origin, Preview, PreviewState, Previews, Problem, Provisioner,
    RayWorker, Replaced, Status, Why,
};
pub use ray::{
    Connection, Engine, RayActorPool, RayActorPoolExecutor, RayData, RayDataExecutor, RayEnv,
    RayExecutor, Xenna, XennaExecutor,
};
pub use record::RunRecord;
pub use report::{RunReport, StageReport};
pub use stop::Stop;
pub use wire::Phase;
pub use worker::{CURATOR_STAGE_PY, Exit, Stream, write_shim};
