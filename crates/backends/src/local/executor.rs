//! The executor itself: starts the threads of a run and joins them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use stage::{BaseSpec, Behaviour, Task};
use venv_cache::Budget;

use super::arenas::ARENAS_FROM;
use super::birth::{Birth, nursery_of};
use super::devices::Devices;
use super::ends::{drain, feed};
use super::node::Node;
use super::python_slot;
use super::queue::{Limits, Queue};
use super::run::{IDLE_LIMIT, Run};
use super::rust_slot;
use super::scaling::{wants_worker, worker_counts};
use super::stage_run::StageRun;
use crate::provision::{Eviction, Provisioner, ProvisionerBuilder, check_fields, check_folders};
use crate::run::{
    EnvReport, Error, Event, Executor, FailurePolicy, Observer, Over, Owner, Plan, PlannedStage,
    RunReport, STOP_GRACE, Secrets, Sink, StageReport, Stop, tell_dropped,
};
use crate::worker::Cancel;
use crate::worker::warm::KeepWarm;

/// Poll interval of a waiting thread.
const TICK: Duration = Duration::from_millis(25);
/// Consecutive ticks that a stage must qualify before it gets another worker.
const PATIENCE: u32 = 2;
/// Maximum size of the queue in front of a stage.
const QUEUE: Limits = Limits { tasks: 256, bytes: 32 << 20 };

/// Runs pipelines on this machine, in this process and its worker processes.
///
/// Each Python stage has warm workers in its environment; Rust stages run on threads. All stages
/// work at once, and different environments are built in parallel while ready stages work. A stage
/// without a fixed number of workers gets more of them when it holds the others up, as long as the
/// machine has spare cores. Every stage has at least one worker, whatever its
/// [`Resources`](stage::Resources): if they exceed the machine, the stages share it. One worker at
/// a time holds a device, and stages take turns at devices; a stage that asks for more devices than
/// there are is refused.
///
/// Defaults: the base is the pipeline's own, else that of `$VIRTUAL_ENV`, else `python3` on `PATH`;
/// the cache is the user's; the first failed task ends the run.
#[derive(Clone, Debug)]
#[must_use]
pub struct LocalExecutor {
    base: Option<BaseSpec>,
    cache_dir: Option<PathBuf>,
    pub(crate) failure_policy: FailurePolicy,
    cpus: Option<usize>,
    devices: Option<Vec<String>>,
    eviction: Eviction,
    arenas_from: Option<usize>,
    idle_limit: Duration,
    templates: bool,
    keep_warm: Option<KeepWarm>,
    stop: Option<Stop>,
    stop_grace: Duration,
}

impl Default for LocalExecutor {
    fn default() -> Self {
        Self {
            base: None,
            cache_dir: None,
            failure_policy: FailurePolicy::default(),
            cpus: None,
            devices: None,
            eviction: Eviction::default(),
            arenas_from: Some(ARENAS_FROM),
            idle_limit: IDLE_LIMIT,
            templates: true,
            keep_warm: None,
            stop: None,
            stop_grace: STOP_GRACE,
        }
    }
}

impl LocalExecutor {
    /// Sets the base, in place of the pipelines' own: an interpreter, the folder of a virtualenv,
    /// or packages for a managed base. Default: the pipeline's.
    pub fn with_base(self, base: impl Into<BaseSpec>) -> Self {
        Self { base: Some(base.into()), ..self }
    }

    /// Sets the folder of the cache. Default: `$CURATOR_CACHE_DIR`, else `curator` in the user's
    /// cache folder.
    pub fn with_cache_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { cache_dir: Some(dir.into()), ..self }
    }

    /// Sets the policy for failing tasks. Default: [`FailurePolicy::FailFast`].
    pub fn with_failure_policy(self, failure_policy: FailurePolicy) -> Self {
        Self { failure_policy, ..self }
    }

    /// Sets the number of cores that the stages share. Default: those of the machine.
    pub fn with_cpus(self, cpus: usize) -> Self {
        Self { cpus: Some(cpus), ..self }
    }

    /// Sets the devices, by the names that `CUDA_VISIBLE_DEVICES` takes. Stages that ask for more
    /// get these, or none if there are none. Default: those that this process sees, and a stage
    /// that asks for more is [refused](Self::check).
    pub fn with_devices<I: IntoIterator<Item: Into<String>>>(self, devices: I) -> Self {
        Self { devices: Some(devices.into_iter().map(Into::into).collect()), ..self }
    }

    /// Sets the budget that the cache is pruned to after builds and at the end of a run; `None`
    /// never prunes. Default: [`Budget::from_env`].
    pub fn with_budget(self, budget: Option<Budget>) -> Self {
        Self { eviction: Eviction::of(budget), ..self }
    }

    /// Sets how long a worker may be idle while its stage has other workers; then it ends in order.
    /// A worker that took longer than a third of that to start may be idle for three times its
    /// start. Default: 10 s.
    ///
    /// It affects Python stages without a fixed number of workers.
    pub fn with_idle_limit(self, idle_limit: Duration) -> Self {
        Self { idle_limit, ..self }
    }

    /// Sets whether workers are forked from *templates*, which have imported what a stage's file imports
    /// first and have run nothing of its own. Default: `true` on Linux, where a stage can have several
    /// workers, or stages share a file and an environment; elsewhere each is started by itself.
    pub fn with_templates(self, templates: bool) -> Self {
        Self { templates, ..self }
    }

    /// Keeps templates after a run for as long as this since their last use, so that the next run of the
    /// same stages starts without their imports. A stage with one worker has a template, too. Default: a
    /// template ends with its run.
    ///
    /// A template is a process of this user's, in which no stage has run. The last run that uses it says
    /// how long it stays. [`KeepWarm`] limits how many stay;
    /// [`WarmTemplates`](crate::worker::warm::WarmTemplates) lists and ends them.
    pub fn with_keep_warm(self, keep_warm: impl Into<KeepWarm>) -> Self {
        Self { keep_warm: Some(keep_warm.into()), ..self }
    }

    /// Sets what may end runs before their end. Default: none.
    pub fn with_stop(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Sets how long workers may take to finish their tasks after a request to
    /// [stop](Self::with_stop); then they are killed. Default: 20 s.
    pub fn with_stop_grace(self, stop_grace: Duration) -> Self {
        Self { stop_grace, ..self }
    }

    /// Sends payloads of at least `bytes` to Python workers and back through shared memory; `None`
    /// disables it. If the system has no such memory, all data goes over the worker's socket.
    /// Default: 16 KiB.
    pub fn with_arenas_from(self, bytes: Option<usize>) -> Self {
        Self { arenas_from: bytes, ..self }
    }

    /// Returns the provisioner of a plan: with this executor's base and cache.
    pub fn provisioner(&self, plan: &Plan) -> Result<Provisioner, Error> {
        self.provisioner_builder(plan).open()
    }

    pub(crate) fn provisioner_builder(&self, plan: &Plan) -> ProvisionerBuilder {
        Provisioner::builder()
            .base_or_of(self.base.as_ref(), plan)
            .cache_dir(self.cache_dir.as_deref())
            .eviction(self.eviction.clone())
    }

    /// Refuses a plan with a stage that asks for devices which this machine does not have, for folders
    /// or modules that are not here, or for a field of `runtime_env` that only Ray has. With
    /// [explicit](Self::with_devices) devices, stages get as many of them as possible instead.
    /// [`execute`](Executor::execute) checks this first, too.
    pub fn check(&self, plan: &Plan) -> Result<(), Error> {
        for stage in plan.stages() {
            let Some(env) = &stage.env else { continue };
            let name = &stage.settings.name;
            check_fields(env, || Owner::Stage(name.clone()))?;
            check_folders(env).map_err(|error| Error::Environment {
                stages: vec![name.clone()],
                source: Box::new(error),
            })?;
        }
        if self.devices.is_some() || plan.stages().iter().all(|stage| stage.gpus() <= 0.0) {
            return Ok(());
        }
        let there = Devices::detect().len();
        #[expect(clippy::cast_precision_loss, reason = "no machine has that many devices")]
        let short = plan.stages().iter().find(|stage| stage.gpus() > there as f64);
        match short {
            Some(stage) => {
                let (stage, wanted) = (stage.settings.name.clone(), gpus_text(stage.gpus()));
                Err(Error::NoDevice { stage, wanted, there })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn found_devices(&self) -> Devices {
        Devices::new(self.devices.clone().unwrap_or_else(Devices::detect))
    }

    /// Returns a run with this executor's settings.
    pub(crate) fn configured(&self, run: Run) -> Run {
        run.with_arenas_from(self.arenas_from)
            .with_turns(self.cpus())
            .with_idle_limit(self.idle_limit)
            .with_templates(self.templates, self.keep_warm.clone())
    }

    pub(crate) fn cpus(&self) -> usize {
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
        let read = (!plan.is_read()).then(|| {
            let builder = self.provisioner_builder(plan).observer(observer.clone());
            builder.open()?.read_declared(plan)
        });
        let read = read.transpose()?;
        let plan = read.as_ref().unwrap_or(plan);
        self.check(plan)?;
        let cancel =
            Cancel::new().map_err(|source| Error::io("open a pipe for", "the run", source))?;
        let sizes = plan.stages().iter().map(PlannedStage::batch_size);
        let queues = sizes.chain([1]).map(|size| Queue::new(size, QUEUE)).collect();
        let (policy, secrets) = (self.failure_policy, Secrets::from_env(plan));
        let devices = self.found_devices();
        let run = Run::new(cancel, policy, observer, secrets, queues, devices, Node::local());
        let run = self.configured(run);
        if plan.stages().iter().any(PlannedStage::needs_python) {
            warn_of_variables(&run);
        }
        let Driven { provisioner, environments, mut stages } = self.drive(
            plan,
            &run,
            || feed(&run, plan.stages().first(), tasks),
            |_| drain(&run, plan.stages().last(), sink),
        );
        run.templates.keep();
        let failed = run.take_failed();
        for stage in &mut stages {
            // Also tasks with unreadable data, which is noticed after the stage has finished.
            let own = failed.iter().filter(|failed| failed.stage == stage.name);
            stage.failed = own.map(|failed| failed.tasks.len() as u64).sum();
        }
        let result = if let Some(error) = run.take_error() {
            plan.forget(&error);
            Err(error)
        } else {
            // The request may have come too late to drop a task, but it ended the input.
            let is_stopped = run.is_stopped() || self.stop.as_ref().is_some_and(Stop::is_wanted);
            if !is_stopped {
                tell_dropped(plan, &stages, &*run.observer);
            }
            let mut report = RunReport::new(plan, self.name());
            (report.failed, report.stages, report.environments) = (failed, stages, environments);
            (report.is_stopped, report.wall) = (is_stopped, begun.elapsed());
            Ok(report)
        };
        // The run kept its environments until here.
        drop(run);
        if let Some(provisioner) = provisioner {
            provisioner.settle();
        }
        result
    }
}

/// The results of a run's stages.
pub(crate) struct Driven {
    pub(crate) provisioner: Option<Provisioner>,
    pub(crate) environments: Vec<EnvReport>,
    pub(crate) stages: Vec<StageReport>,
}

impl LocalExecutor {
    /// Makes the environments of a plan and runs nothing.
    pub(crate) fn prepare(
        &self,
        plan: &Plan,
        observer: Arc<dyn Observer>,
    ) -> Result<Vec<EnvReport>, Error> {
        let cancel =
            Cancel::new().map_err(|source| Error::io("open a pipe for", "the run", source))?;
        let queues = (0..=plan.stages().len()).map(|_| Queue::new(1, QUEUE)).collect();
        let devices = Devices::new(Vec::new());
        let (policy, secrets) = (self.failure_policy, Secrets::from_env(plan));
        let run = Run::new(cancel, policy, observer, secrets, queues, devices, Node::local());
        let (_, environments) = self.provide(plan, &run);
        run.take_error().map_or(Ok(environments), Err)
    }

    /// Runs the stages of a plan until all are finished or the run is cancelled. `feed` fills the
    /// first queue on a thread of its own, and `drain` empties the last one on this thread.
    pub(crate) fn drive(
        &self,
        plan: &Plan,
        run: &Run,
        feed: impl FnOnce() + Send,
        drain: impl FnOnce(&[StageRun<'_>]) -> Result<(), Error>,
    ) -> Driven {
        let indices = 0..plan.stages().len();
        let stages: Vec<StageRun> =
            indices.map(|index| StageRun::new(run, plan.stages(), index)).collect();
        let over = &Over::default();
        let (provisioner, environments) = std::thread::scope(|watchers| {
            let watching = self.stop.as_ref().map_or(Ok(()), |stop| {
                let wind_down = || run.wind_down(plan.stages());
                let kill = || run.kill();
                let watch = move || over.watch(stop, self.stop_grace, wind_down, kill);
                Builder::new()
                    .name("curator-stop".to_owned())
                    .spawn_scoped(watchers, move || guarded(run, watch))
                    .map(drop)
            });
            let _ends = over.on_drop();
            // Until all threads end: a stage may be at work after the last one has finished.
            std::thread::scope(|scope| {
                let _guard = StopOnPanic(run);
                let thread = |name: &str| Builder::new().name(name.to_owned());
                let feeding = thread("curator-feed").spawn_scoped(scope, || guarded(run, feed));
                let provided = thread("curator-provide")
                    .spawn_scoped(scope, || guarded(run, || self.provide(plan, run)));
                let managing = stages.iter().map(|stage| {
                    let stages = &stages;
                    let manage = move || guarded(stage.run, || self.manage(stage, stages, scope));
                    thread("curator-manage").spawn_scoped(scope, manage).map(drop)
                });
                let started: io::Result<()> = watching
                    .and(feeding.map(drop))
                    .and_then(|()| managing.collect::<io::Result<()>>());
                let provided =
                    started.and(provided).map_err(|source| run.fail(Error::no_thread(source)));
                if let Err(error) = drain(&stages) {
                    run.fail(error);
                }
                match provided {
                    Ok(provided) => {
                        provided.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                    }
                    Err(()) => (None, Vec::new()),
                }
            })
        });
        let stages = stages.into_iter().map(StageRun::into_report).collect();
        Driven { provisioner, environments, stages }
    }

    /// Warns of a stage that asks for more than the machine has, and runs with less.
    #[expect(clippy::cast_precision_loss, reason = "no machine has that many")]
    fn tell_what_is_short(&self, stage: &StageRun<'_>) {
        let (cores, there) = (stage.planned.settings.resources.cpus, self.cpus());
        if cores > there as f64 {
            stage.warn(format!(
                "it asks for {cores} cores for each worker, and the run has {there}: its workers \
                 share these with the other stages"
            ));
        }
        let (wanted, there) = (stage.planned.gpus(), stage.run.devices.count());
        if wanted > there as f64 {
            let has = match there {
                0 => "is given none: its workers run without".to_owned(),
                there => format!("is given {there}: a worker gets that many"),
            };
            stage.warn(format!("it asks for {}, and the run {has}", gpus_text(wanted)));
        }
    }

    /// Starts a stage's workers once its environment is ready, and more where it falls behind.
    fn manage<'scope, 'env>(
        &self,
        stage: &'env StageRun<'env>,
        stages: &'env [StageRun<'env>],
        scope: &'scope Scope<'scope, 'env>,
    ) {
        self.tell_what_is_short(stage);
        // The stage must not end before its first slot, nor between the start of one and the next.
        let _hold = stage.hold();
        let environment = if stage.planned.needs_python() {
            let Some(environment) = stage.run.environments[stage.index].wait() else { return };
            Some(environment)
        } else {
            None
        };
        if stage.planned.behaviour.as_python().is_some() && !stage.wait_for_turn() {
            return;
        }
        let (first, most) = worker_counts(stage.planned, self.cpus());
        let nursery = environment.as_ref().map(|it| nursery_of(stage, stages, most, it));
        let start = || {
            let (environment, nursery) = (environment.clone(), nursery.clone());
            let index = stage.open_slot();
            let body = move || {
                guarded(stage.run, || match (&stage.planned.behaviour, &environment, &nursery) {
                    (Behaviour::Python(code), Some(environment), Some(nursery)) => {
                        python_slot::run(Birth { stage, code, index, environment, nursery });
                    }
                    (Behaviour::Rust(code), environment, _) => {
                        rust_slot::run(stage, code, index, environment.as_ref());
                    }
                    (Behaviour::Python(_), ..) => {}
                });
                stage.end_turn();
                stage.close_slot(index);
            };
            if let Err(source) =
                Builder::new().name("curator-slot".to_owned()).spawn_scoped(scope, body)
            {
                stage.close_slot(index);
                stage.run.fail(Error::no_thread(source));
            }
        };
        (0..first).for_each(|_| start());
        let mut behind = 0;
        while first < most && !stage.queue().wait_finished(TICK) {
            let is_behind = wants_worker(stage, stages, self.cpus());
            behind = if is_behind { behind + 1 } else { 0 };
            if behind == PATIENCE {
                start();
                behind = 0;
            }
        }
    }
}

/// Returns a number of GPUs in words: `0.5 GPUs`, `1 GPU`.
fn gpus_text(gpus: f64) -> String {
    if (gpus - 1.0).abs() < f64::EPSILON { "1 GPU".to_owned() } else { format!("{gpus} GPUs") }
}

/// Warns of variables that a person may have set for the stages, which do not see them.
fn warn_of_variables(run: &Run) {
    for name in ["PYTHONPATH", "PYTHONHOME"] {
        if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
            let message = format!(
                "`{name}` of this program is not passed on to workers; a stage can set it in \
                 `env_vars`"
            );
            run.emit(&Event::Warning { stage: None, message });
        }
    }
}

/// Ends the run if the thread panics, so that no other thread waits for it forever.
struct StopOnPanic<'a>(&'a Run);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

pub(crate) fn guarded<T>(run: &Run, body: impl FnOnce() -> T) -> T {
    let _guard = StopOnPanic(run);
    body()
}
