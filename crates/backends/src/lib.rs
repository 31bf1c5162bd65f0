//! Executors, and the connection between environments and stages.
//!
//! An [`Executor`] runs the stages of a [`Plan`], which is a pipeline made ready: checked, and with
//! the contents of all files that its specs refer to. Programs call [`ExecutorExt::run`]. A
//! [`Provisioner`] makes the environments: it looks each up in the cache by everything that decides
//! its contents, and builds it if it is missing. Python code runs in worker processes, each of
//! which proves its environment before it gets a task; Rust code runs on threads. A run sends one
//! stream of [`Event`]s to an [`Observer`], and returns a [`RunReport`].
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
//! | run a pipeline and collect the outputs | [`ExecutorExt::run`] |
//! | stream tasks in and out | [`Executor::execute`] with a [`Plan`] and a [`Sink`] |
//! | continue after failed tasks | [`LocalExecutor::with_failure_policy`], [`FailedTask`] |
//! | watch | an [`Observer`]; any closure over [`Event`] is one |
//! | write a report as a page or as JSON | a [`Recorder`] among the observers, [`RunProfile`] |
//! | survive the end of the process | a [`Checkpoint`] |
//! | use the same packages again | a [`RunRecord`] |
//! | see what a run would build | [`Plan`], [`Provisioner`], [`provision::Preview`] |
//! | run a program in an environment | [`Provisioner::environment`], [`Environment::command`] |
//! | report errors to people | [`Error::report`]: causes, traceback, log, hint; [`Report`] for `main` |
//!
//! # Where it is
//!
//! | module | holds |
//! |---|---|
//! | [`run`] | types that every executor uses: plans, events, reports, errors |
//! | [`provision`] | specs to environments, and inspection of environments |
//! | [`worker`] | Python processes, and the messages to them |
//! | [`local`], [`ray`] | the executors |
//! | [`observe`] | keeps parts of a run: profile, checkpoint, record |
//! | [`sync`] | locks that outlive a panic |
//!
//! # Guarantees
//!
//! - **The right environment or no run.** A worker's first message reports its interpreter, its
//!   environment's key and the versions of its stage's packages. A mismatch ends the run.
//! - **Each hook once, in the stage's environment**: `setup_on_node` for each node and stage,
//!   `setup` for each worker, `teardown` for each worker that ends in order, also after a failed
//!   task.
//! - **A task is never lost, and never twice in the output.** The tasks of a dead worker are tried
//!   again; a task that kills its worker is found and fails alone.
//! - **Nothing outlives a run**: workers and the processes that they started end with it, also when
//!   the program is killed. A child that opened a session of its own is the exception, and a template
//!   where [`LocalExecutor::with_keep_warm`] asks for it, in which no stage has run.
//!
//! # Features
//!
//! - `arrow`: tasks that are Arrow tables, for Rust stages and the program itself. Between Python
//!   stages, which see a `pyarrow.Table` or a `curator_table.Table`, they need no feature.
//! - `conformance`: the cases that every executor must pass, for authors of executors.
//! - `browser`: this crate's own tests that open a report in Chromium.
//!
//! # What it does not do
//!
//! The crate installs no signal handler, changes no variable or folder of the process, prints
//! nothing, and never executes data from a worker: there is no pickle.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod local;
pub mod observe;
pub mod provision;
mod random;
pub mod ray;
pub mod run;
pub mod sync;
pub mod worker;

// The names that most programs use; the others are in the modules.
pub use local::LocalExecutor;
pub use observe::{Checkpoint, Recorder, RunProfile, RunRecord};
pub use provision::{Environment, Provisioner};
pub use ray::{
    Connection, RayActorPoolExecutor, RayDataExecutor, RayEnv, XennaExecutor, serve_if_asked,
};
pub use run::{
    BuildPhase, Cause, DiskSource, EnvReport, EnvState, Error, Event, Executor, ExecutorExt,
    FailedTask, FailurePolicy, Observer, Owner, Plan, PlannedStage, PythonError, Report, RunReport,
    Sink, StageReport, StartStep, Stop,
};
