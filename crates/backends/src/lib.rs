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
//! | see what a run would build | [`Plan`], [`Provisioner`], [`provision::Preview`] |
//! | run a program in an environment | [`Provisioner::environment`], [`Environment::command`] |
//! | tell people what went wrong | [`Error::report`]: causes, traceback, log, hint; [`Report`] for `main` |
//!
//! # Where it is
//!
//! | module | holds |
//! |---|---|
//! | [`run`] | what every executor speaks: plans, events, reports, errors |
//! | [`provision`] | specs to environments, and what there is to know of those |
//! | [`worker`] | Python processes, and what is said to them |
//! | [`local`], [`ray`] | the executors |
//! | [`observe`] | what keeps something of a run: profile, checkpoint, record |
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
//! - `conformance`: the cases that every executor must pass, for those who write one.
//! - `browser`: tests of this crate's own that open a report in Chromium.
//!
//! # What it does not do
//!
//! It installs no signal handler, changes no variable or folder of the process, prints nothing, and
//! never executes what a worker sends: there is no pickle.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod local;
pub mod observe;
pub mod provision;
pub mod ray;
pub mod run;
pub mod worker;

// What most programs name; the rest is in the modules.
pub use local::LocalExecutor;
pub use observe::{Checkpoint, Recorder, RunProfile, RunRecord};
pub use provision::{EnvState, Environment, EnvironmentReport, Provisioner};
pub use ray::{
    Connection, RayActorPoolExecutor, RayDataExecutor, RayEnv, XennaExecutor, serve_if_asked,
};
pub use run::{
    BuildPhase, Cause, DiskSource, Error, Event, Executor, ExecutorExt, FailedTask, FailurePolicy,
    Observer, Plan, PlannedStage, PythonError, Report, RunReport, Sink, StageReport, StartStep,
    Stop,
};
