//! What every executor does, and what every program asks of it.

use std::sync::Arc;

pub use stage::FailurePolicy;
use stage::{BoxError, Pipeline, Task};

use super::error::Error;
use super::event::Observer;
use super::plan::Plan;
use super::report::RunReport;

/// Takes finished tasks, in the order in which they come out of the last stage, one at a time on
/// the thread that runs the pipeline. An error ends the run.
pub type Sink<'a> = dyn FnMut(Task) -> Result<(), BoxError> + 'a;

/// Runs pipelines: tasks stream in and out.
///
/// This trait is what an engine implements; programs call [`ExecutorExt`].
pub trait Executor: Send + Sync {
    /// The engine's name: `local`, `ray-data`, ….
    fn name(&self) -> &'static str;

    /// Runs the stages of `plan` over `tasks`.
    ///
    /// The i-th task gets the id `0_i`. Tasks are pulled as there is room for them, so an endless
    /// iterator is fine; it is pulled on another thread, and a run that fails waits for a call of
    /// it that is under way. The report holds no outputs: those went to `sink`.
    ///
    /// A task's [sources](Task::sources) live as long as anything made of it is under way, on
    /// whatever machine, and what fails names them; [`Event::Stopping`](crate::Event::Stopping) is
    /// told before tasks are dropped that nothing has become of. [`Intake`](crate::run::Intake) and
    /// [`Checkpoint`](crate::Checkpoint) rely on it.
    fn execute(
        &self,
        plan: &Plan,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        observer: Arc<dyn Observer>,
        sink: &mut Sink<'_>,
    ) -> Result<RunReport, Error>;
}

const _: Option<&dyn Executor> = None; // Stays object-safe, or does not compile.

/// What programs call on every executor.
pub trait ExecutorExt: Executor {
    /// Runs a pipeline over some tasks and collects what comes out, in the order of the ids.
    ///
    /// It fails if the pipeline is wrong, an environment cannot be had, a worker does not start,
    /// or, by the default policy, at the first task that fails.
    fn run<I>(&self, pipeline: &Pipeline, tasks: I) -> Result<RunReport, Error>
    where
        I: IntoIterator<Item = Task>,
        I::IntoIter: Send,
    {
        self.run_observed(pipeline, tasks, Arc::new(()))
    }

    /// The same, while `observer` sees what happens.
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
