//! The interface of every executor, for engines and for programs.

use std::sync::Arc;

pub use stage::FailurePolicy;
use stage::{BoxError, Pipeline, Task};

use super::error::Error;
use super::event::Observer;
use super::plan::Plan;
use super::report::RunReport;

/// Takes finished tasks in the order in which they leave the last stage, one at a time, on the
/// thread that runs the pipeline. An error ends the run.
pub type Sink<'a> = dyn FnMut(Task) -> Result<(), BoxError> + 'a;

/// Runs pipelines: tasks stream in and out.
///
/// An engine implements this trait; programs call [`ExecutorExt`].
pub trait Executor: Send + Sync {
    /// Returns the engine's name: `local`, `ray-data`, ….
    fn name(&self) -> &'static str;

    /// Runs the stages of `plan` over `tasks`.
    ///
    /// The i-th task gets the id `0_i`. Tasks are pulled when there is room for them, so an endless
    /// iterator is fine. Another thread pulls them, and a run that fails waits for the current call
    /// of the iterator. The report holds no outputs: those went to `sink`.
    ///
    /// A task's [sources](Task::sources) live as long as anything made from it is under way, on any
    /// machine, and failures name them. The observer receives
    /// [`Event::Stopping`](crate::Event::Stopping) before tasks are dropped without a result.
    /// [`Intake`](crate::run::Intake) and [`Checkpoint`](crate::Checkpoint) rely on both.
    fn execute(
        &self,
        plan: &Plan,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        observer: Arc<dyn Observer>,
        sink: &mut Sink<'_>,
    ) -> Result<RunReport, Error>;
}

const _: Option<&dyn Executor> = None; // Stays object-safe, or does not compile.

/// Methods for programs, on every executor.
pub trait ExecutorExt: Executor {
    /// Runs a pipeline over some tasks and collects the outputs, in the order of the ids.
    ///
    /// Fails if the pipeline is invalid, an environment is not available, a worker does not start,
    /// or, by the default policy, at the first task that fails.
    fn run<I>(&self, pipeline: &Pipeline, tasks: I) -> Result<RunReport, Error>
    where
        I: IntoIterator<Item = Task>,
        I::IntoIter: Send,
    {
        self.run_observed(pipeline, tasks, Arc::new(()))
    }

    /// Runs a pipeline like [`run`](Self::run), and sends events to `observer`.
    fn run_observed<I>(
        &self,
        pipeline: &Pipeline,
        tasks: I,
        observer: Arc<dyn Observer>,
    ) -> Result<RunReport, Error>
    where
        I: IntoIterator<Item = Task>,
        I::IntoIter: Send,
    {
        let plan = Plan::new(pipeline)?;
        let mut outputs = Vec::new();
        let mut collect = |task| {
            outputs.push(task);
            Ok(())
        };
        let mut report = self.execute(&plan, &mut tasks.into_iter(), observer, &mut collect)?;
        outputs.sort_by(|left: &Task, right| left.id().cmp(right.id()));
        report.outputs = outputs;
        Ok(report)
    }
}

impl<E: Executor + ?Sized> ExecutorExt for E {}
