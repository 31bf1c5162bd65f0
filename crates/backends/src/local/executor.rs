//! The executor itself: starts the threads of a run and joins them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Scope;
use std::time::{Duration, Instant};

use stage::{Behaviour, BoxError, Task, Workers};

use super::devices::Devices;
use super::parcel::Parcel;
use super::queue::{Limits, Queue, Taken};
use super::run::Run;
use super::stage_run::StageRun;
use super::{python_slot, rust_slot};
use crate::error::Error;
use crate::event::Observer;
use crate::executor::{Executor, FailurePolicy, Sink};
use crate::plan::Plan;
use crate::provision::{BaseChoice, Provisioner};
use crate::report::RunReport;
use crate::worker::Cancel;

/// How long a thread waits before it looks around.
const TICK: Duration = Duration::from_millis(50);
/// For how many ticks a stage must be behind before it gets another worker.
const PATIENCE: u32 = 3;
/// What waits in front of a stage at the most.
const QUEUE: Limits = Limits { tasks: 256, bytes: 64 << 20 };

/// Runs pipelines on this machine, in this process and its worker processes.
///
/// Each Python stage has warm workers in its environment; Rust stages run on threads. All stages
/// work at once, and distinct environments are built side by side while stages that are ready
/// work. A stage without a fixed number of workers gets more of them where it holds the others up,
/// as long as the machine has cores to spare. Every stage has at least one worker, however much its
/// [`Resources`](stage::Resources) ask for: where that is more than the machine has, the stages
/// share it. Devices are held by one worker at a time, and stages take turns at them.
///
/// By default, the base is the pipeline's own, else the one that `$VIRTUAL_ENV` names, else `python3`
/// on `PATH`; the cache is the user's; the first failed task ends the run.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LocalExecutor {
    base: BaseChoice,
    cache_dir: Option<PathBuf>,
    failure_policy: FailurePolicy,
    cpus: Option<usize>,
    devices: Option<Vec<String>>,
}

impl LocalExecutor {
    /// The same over another base, whatever the pipelines ask for. By default, the pipeline's.
    pub fn with_base(self, base: impl Into<BaseChoice>) -> Self {
        Self { base: base.into(), ..self }
    }

    /// The same with another cache. By default, `$CURATOR_CACHE_DIR`, else `curator` in the user's
    /// cache folder.
    pub fn with_cache_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { cache_dir: Some(dir.into()), ..self }
    }

    /// The same with another answer to failing tasks. By default, [`FailurePolicy::FailFast`].
    pub fn with_failure_policy(self, failure_policy: FailurePolicy) -> Self {
        Self { failure_policy, ..self }
    }

    /// The same with another number of cores to share out. By default, what the machine has.
    pub fn with_cpus(self, cpus: usize) -> Self {
        Self { cpus: Some(cpus), ..self }
    }

    /// The same with these devices, by the names that `CUDA_VISIBLE_DEVICES` takes. By default,
    /// those that this process sees.
    pub fn with_devices<I: IntoIterator<Item: Into<String>>>(self, devices: I) -> Self {
        Self { devices: Some(devices.into_iter().map(Into::into).collect()), ..self }
    }

    /// Where environments come from for a plan: this executor's base and cache.
    pub fn provisioner(&self, plan: &Plan) -> Result<Provisioner, Error> {
        Provisioner::new(self.base.clone().or_planned(plan), self.cache_dir.as_deref())
    }

    fn cpus(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.cpus.unwrap_or_else(all).max(1)
    }
}

impl Executor for LocalExecutor {
    fn name(&self) -> &'static str {
        "local"
    }

    fn execute(
        &self,
        plan: &Plan,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        observer: Arc<dyn Observer>,
        sink: &mut Sink<'_>,
    ) -> Result<RunReport, Error> {
        let begun = Instant::now();
        let cancel = Cancel::new().map_err(|source| Error::io("open a pipe for", "the run", source))?;
        let sizes = plan.stages().iter().map(super::super::plan::PlannedStage::batch_size);
        let queues = sizes.chain([1]).map(|size| Queue::new(size, QUEUE)).collect();
        let devices = Devices::new(self.devices.clone().unwrap_or_else(Devices::detect));
        let run = Run::new(cancel, self.failure_policy, observer, queues, devices);
        let stages: Vec<StageRun<'_>> = plan
            .stages()
            .iter()
            .enumerate()
            .map(|(index, planned)| StageRun::new(&run, planned, index))
            .collect();
        let environments = std::thread::scope(|scope| {
            let _guard = StopOnPanic(&run);
            scope.spawn(|| guarded(&run, || feed(&run, tasks)));
            let provided = scope.spawn(|| guarded(&run, || self.provide(plan, &run)));
            for stage in &stages {
                scope.spawn(|| guarded(&run, || self.manage(stage, scope)));
            }
            if let Err(error) = drain(&run, sink) {
                run.fail(error);
            }
            provided.join().ok().flatten().unwrap_or_default()
        });
        if let Some(error) = run.take_error() {
            return Err(error);
        }
        Ok(RunReport {
            pipeline: plan.name().to_owned(),
            executor: self.name().to_owned(),
            outputs: Vec::new(),
            failed: run.take_failed(),
            stages: stages.into_iter().map(StageRun::into_report).collect(),
            environments,
            wall: begun.elapsed(),
        })
    }
}
