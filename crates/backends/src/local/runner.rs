//! One stage of a plan, run for an engine that arranges the stages itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use stage::Task;

use super::devices::Devices;
use super::executor::LocalExecutor;
use super::node::Node;
use super::parcel::{Batch, Parcel};
use super::queue::{Limits, Queue};
use super::run::Run;
use super::stage_run::StageRun;
use crate::run::{
    EnvReport, Error, FailedTask, FailurePolicy, Observer, Plan, Secrets, StageReport,
};
use crate::worker::Cancel;

/// The engine decides how many tasks are under way.
const UNLIMITED: Limits = Limits { tasks: usize::MAX / 4, bytes: usize::MAX / 4 };

/// A running stage, which takes batches one call after another; see [`LocalExecutor::run_stage`].
pub struct StageRunner<'a> {
    run: &'a Run,
    stage: &'a StageRun<'a>,
}

/// The result of a stage that has ended. It can be sent to another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageEnd {
    /// Its work.
    pub report: StageReport,
    /// Tasks that failed for good; only with the policy to record them.
    pub failed: Vec<FailedTask>,
    /// The environment that it ran in; none if it needs none.
    pub environment: Option<EnvReport>,
}

impl<'a> StageRunner<'a> {
    pub(crate) fn new(run: &'a Run, stage: &'a StageRun<'a>) -> Self {
        Self { run, stage }
    }

    /// Runs tasks through the stage, in batches of the stage's size, and returns the outputs in the
    /// order in which they come, without those of failed tasks.
    ///
    /// # Errors
    ///
    /// The error that ended the stage: by default the first failed task, else a failed set-up or
    /// environment. Each later call fails, too.
    pub fn process(&self, tasks: impl IntoIterator<Item = Task>) -> Result<Vec<Task>, Error> {
        let parcels = tasks.into_iter().map(|task| {
            let id = task.id().to_string();
            Parcel::pack(task).map_err(|source| Error::Data { task: id, source })
        });
        let parcels = parcels.collect::<Result<Vec<_>, _>>()?;
        let outputs = self.process_parcels(parcels, self.stage.planned.batch_size())?;
        let mut tasks = Vec::with_capacity(outputs.len());
        for parcel in outputs {
            let (id, sources) = (parcel.head.id().clone(), parcel.head.sources().to_vec());
            match parcel.unpack() {
                Ok(task) => tasks.push(task),
                Err(error) => self.run.unreadable(Some(self.stage.planned), &id, &sources, error),
            }
        }
        match self.run.take_error() {
            Some(error) => Err(error),
            None => Ok(tasks),
        }
    }

    /// Runs packed tasks through the stage, in batches of this size.
    pub(crate) fn process_parcels(
        &self,
        parcels: Vec<Parcel>,
        batch_size: usize,
    ) -> Result<Vec<Parcel>, Error> {
        let [tasks, outputs] = &self.run.queues[..] else {
            return Err(Error::Engine {
                words: "a run without queues".to_owned(),
                log: Vec::new(),
            });
        };
        let mut parcels = parcels.into_iter().peekable();
        while parcels.peek().is_some() {
            tasks.push_batch(Batch::new(parcels.by_ref().take(batch_size.max(1)).collect()));
        }
        if !tasks.wait_settled() {
            return Err(self.run.take_error().unwrap_or(Error::Stopped));
        }
        Ok(outputs.take_all())
    }

    /// Returns the work of the stage so far.
    #[must_use]
    pub fn report(&self) -> StageReport {
        self.stage.report()
    }

    /// Returns the environment that the stage runs in, once it is ready.
    #[must_use]
    pub fn environment(&self) -> Option<EnvReport> {
        let mut report = self.run.environments[0].peek()?.report();
        report.stages = vec![self.stage.name().to_owned()];
        Some(report)
    }

    /// Returns whether its code has said something else of itself than when the run was planned, for
    /// the first caller after that.
    pub(crate) fn take_outdated(&self) -> bool {
        self.stage.is_outdated.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn take_failed(&self) -> Vec<FailedTask> {
        self.run.take_failed()
    }
}

impl std::fmt::Debug for StageRunner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageRunner").field("stage", &self.stage.name()).finish_non_exhaustive()
    }
}

impl Run {
    /// Creates the run of one stage of a plan, for an engine that cuts the batches.
    pub(crate) fn of_stage(
        plan: &Plan,
        policy: FailurePolicy,
        observer: Arc<dyn Observer>,
        devices: Devices,
        node: Node,
    ) -> std::io::Result<Self> {
        let queues = vec![Queue::new(1, UNLIMITED), Queue::new(1, UNLIMITED)];
        let secrets = Secrets::from_env(plan);
        Ok(Self::new(Cancel::new()?, policy, observer, secrets, queues, devices, node))
    }
}

impl LocalExecutor {
    /// Runs one stage of a plan on this machine, for an engine that arranges the stages itself:
    /// makes its environment, starts its workers, lets `body` give it tasks, and tears it down.
    ///
    /// Hooks, the proof of the environment, retries, deadlines and the search for a task that kills
    /// its worker are those of a whole run; the hosts on the nodes of Ray run stages in this way.
    /// What the code of the plan's stages declares is [read](crate::Provisioner::read_declared) first,
    /// unless it has been.
    ///
    /// # Errors
    ///
    /// The error of `body`, and the one that ended the stage. The observer receives
    /// [`Event::Stopping`](crate::Event::Stopping) before the stage's tasks are dropped.
    ///
    /// # Panics
    ///
    /// If the plan has no stage `index`.
    pub fn run_stage<T>(
        &self,
        plan: &Plan,
        index: usize,
        observer: Arc<dyn Observer>,
        body: impl FnOnce(&StageRunner<'_>) -> Result<T, Error>,
    ) -> Result<(T, StageEnd), Error> {
        let read = (!plan.is_read()).then(|| {
            let builder = self.provisioner_builder(plan).observer(observer.clone());
            builder.open()?.read_declared(plan)
        });
        let plan = read.transpose()?.as_ref().unwrap_or(plan).only(index);
        self.check(&plan)?;
        let run = Run::of_stage(
            &plan,
            self.failure_policy,
            observer,
            self.found_devices(),
            Node::local(),
        )
        .map_err(|source| Error::io("open a pipe for", "the stage", source))?;
        let run = self.configured(run);
        let mut value = None;
        let driven = self.drive(
            &plan,
            &run,
            || (),
            |stages| {
                let done = stages.first().map(|stage| body(&StageRunner::new(&run, stage)));
                run.queues[0].close();
                value = done.transpose()?;
                Ok(())
            },
        );
        let result = match (run.take_error(), value) {
            (Some(error), _) => Err(error),
            (None, Some(value)) => {
                let failed = run.take_failed();
                let name = &plan.stages()[0].settings.name;
                let mut report =
                    driven.stages.into_iter().next().unwrap_or_else(|| StageReport::new(name));
                report.failed = failed.iter().map(|failed| failed.tasks.len() as u64).sum();
                let environment = driven.environments.into_iter().next();
                Ok((value, StageEnd { report, failed, environment }))
            }
            (None, None) => Err(Error::Stopped),
        };
        drop(run);
        if let Some(provisioner) = driven.provisioner {
            provisioner.settle();
        }
        result
    }
}
