//! The executors on Ray: one adapter, three engines.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envspec::LoadedEnv;
use serde_json::{Map, Value};
use stage::{BaseSpec, Task};

use super::connection::Connection;
use super::driver::Driver;
use super::engine::{RayActorPool, RayData, RayEngine, RayEnv, Xenna};
use super::host::{self, ROLE};
use super::job::{Job, JobStage};
use super::session::{RayEnd, RayRun};
use crate::provision::{Environment, Provisioner};
use crate::random::random;
use crate::run::{
    Error, Executor, FailurePolicy, Observer, Plan, RunReport, STOP_GRACE, Sink, Stop,
};

/// Runs pipelines on Ray Data.
pub type RayDataExecutor = RayExecutor<RayData>;

/// Runs pipelines on pools of Ray actors.
pub type RayActorPoolExecutor = RayExecutor<RayActorPool>;

/// Runs pipelines on Xenna.
pub type XennaExecutor = RayExecutor<Xenna>;

/// Runs pipelines on an engine on Ray.
///
/// The base environment must have `ray` (from 2.50 and below 3; 2.60 is tested), Ray Data also
/// `pyarrow` and `pandas`, and Xenna `ray[default]` and `cosmos-xenna` (0.2 or 0.3). A driver in it
/// connects to Ray. On each node, the program itself serves as the worker, so its first line must
/// be [`serve_if_asked`](crate::serve_if_asked). The program is shipped to nodes that do not have
/// it.
///
/// The engine's own decisions are those that it makes for NeMo Curator: Ray Data and Xenna stream,
/// the actor pools run one stage after another, and a stage without a fixed number of workers gets
/// as many as the engine gives it. Hooks, the proof of the environment, retries of tasks, deadlines
/// and ids are those of [`LocalExecutor`](crate::LocalExecutor), since its machinery runs on the
/// nodes.
#[must_use]
pub struct RayExecutor<E> {
    connection: Connection,
    ray_env: RayEnv,
    base: Option<BaseSpec>,
    cache_dir: Option<PathBuf>,
    failure_policy: FailurePolicy,
    worker_program: Option<PathBuf>,
    options: Map<String, Value>,
    stop: Option<Stop>,
    stop_grace: Duration,
    engine: PhantomData<fn() -> E>,
}

impl<E: RayEngine> RayExecutor<E> {
    /// Creates an executor on this Ray. Nothing starts before a run; invalid settings are refused
    /// here.
    pub fn connect(connection: impl Into<Connection>) -> Result<Self, Error> {
        let connection = connection.into();
        connection.check()?;
        Ok(Self {
            connection,
            ray_env: RayEnv::default(),
            base: None,
            cache_dir: None,
            failure_policy: FailurePolicy::default(),
            worker_program: None,
            options: Map::new(),
            stop: None,
            stop_grace: STOP_GRACE,
            engine: PhantomData,
        })
    }

    /// Sets the maker of environments. Default: [`RayEnv::Cached`].
    pub fn with_ray_env(self, ray_env: RayEnv) -> Self {
        Self { ray_env, ..self }
    }

    /// Sets the base of the driver, in place of the pipelines' own. Default: the pipeline's. On the
    /// nodes of a cluster, the base is the Python of Ray there.
    pub fn with_base(self, base: impl Into<BaseSpec>) -> Self {
        Self { base: Some(base.into()), ..self }
    }

    /// Sets the environment cache, on this machine and on the nodes. Default: `$CURATOR_CACHE_DIR`,
    /// else `curator` in the user's cache folder.
    pub fn with_cache_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { cache_dir: Some(dir.into()), ..self }
    }

    /// Sets the policy for failing tasks. Default: [`FailurePolicy::FailFast`].
    pub fn with_failure_policy(self, failure_policy: FailurePolicy) -> Self {
        Self { failure_policy, ..self }
    }

    /// Sets the program that is the worker on the nodes: one that calls
    /// [`serve_if_asked`](crate::serve_if_asked), such as the command `curator`. Default: this
    /// program.
    pub fn with_worker_program(self, program: impl Into<PathBuf>) -> Self {
        Self { worker_program: Some(program.into()), ..self }
    }

    /// Sets an option of the engine: for Xenna the fields of its `PipelineConfig`
    /// (`execution_mode`, `cpu_allocation_percentage`, …) and of its `StreamingSpecificSpec`
    /// (`autoscale_interval_s`, …); for the actor pools `resource_wait_timeout_s` (60),
    /// `reserved_cpus` and `reserved_gpus` (0). An unknown one ends the run with an error.
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Sets a request that may end runs early. The engine continues with the tasks that it already
    /// has until the grace period is over. Default: none.
    pub fn with_stop(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Sets how long the engine may continue with its tasks after a request to
    /// [stop](Self::with_stop). Default: 20 s.
    pub fn with_stop_grace(self, stop_grace: Duration) -> Self {
        Self { stop_grace, ..self }
    }

    /// Refuses a plan that cannot run here, as far as this can be decided without the cluster:
    /// stages whose code cannot be sent, and specs that Ray would have to build and cannot.
    /// [`execute`] checks this first, too.
    ///
    /// [`execute`]: Executor::execute
    pub fn check(&self, plan: &Plan) -> Result<(), Error> {
        let stages = Job::stages(E::NAME, plan, self.ray_env)?;
        self.worker_program(&stages).map(drop)
    }

    /// Returns the program that is the worker, after checking that it knows the Rust stages.
    fn worker_program(&self, stages: &[JobStage<'_>]) -> Result<PathBuf, Error> {
        let wanted = stages
            .iter()
            .filter_map(|stage| Some((stage.name(), stage.registered_name()?)))
            .collect::<Vec<_>>();
        let (program, known) = match &self.worker_program {
            Some(program) if wanted.is_empty() => (program.clone(), Vec::new()),
            Some(program) => (program.clone(), names_of(program)?),
            None => {
                let registry = host::registered().ok_or(Error::NoWorkerProgram)?;
                let program = std::env::current_exe()
                    .map_err(|source| Error::io("find", "this program", source))?;
                (program, registry.names().map(str::to_owned).collect())
            }
        };
        match wanted.iter().find(|(_, name)| !known.iter().any(|known| known == name)) {
            Some((stage, name)) => Err(Error::UnknownRustStage {
                stage: (*stage).to_owned(),
                name: (*name).to_owned(),
            }),
            None => Ok(program),
        }
    }
}

/// Returns the Rust stages that another program knows.
fn names_of(program: &Path) -> Result<Vec<String>, Error> {
    let failed =
        |source| Error::io("ask for its Rust stages", program.display().to_string(), source);
    let answer =
        duct::cmd(program, [ROLE, "stages"]).stdin_null().stderr_null().read().map_err(failed)?;
    serde_json::from_str(&answer).map_err(|error| failed(error.into()))
}

impl<E: RayEngine> Executor for RayExecutor<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn execute(
        &self,
        plan: &Plan,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        observer: Arc<dyn Observer>,
        sink: &mut Sink<'_>,
    ) -> Result<RunReport, Error> {
        let begun = Instant::now();
        let provisioner = Provisioner::builder()
            .base_or_of(self.base.as_ref(), plan)
            .cache_dir(self.cache_dir.as_deref())
            .observer(observer.clone())
            .open()?;
        let read = (!plan.is_read()).then(|| provisioner.read_declared(plan)).transpose()?;
        let plan = read.as_ref().unwrap_or(plan);
        let stages = Job::stages(E::NAME, plan, self.ray_env)?;
        let program = self.worker_program(&stages)?;
        let open = provisioner.open_base()?;
        let shims = provisioner.shims();
        let base = Environment::new(open.core.clone(), &LoadedEnv::default(), shims)?;
        let job = Job {
            engine: E::NAME,
            run: random::<8>().map_err(|source| Error::io("draw", "the id of a run", source))?,
            init: self.connection.init_args(),
            options: &self.options,
            policy: self.failure_policy,
            program: &program,
            cache_dir: self.cache_dir.as_deref(),
            stages,
        };
        let driver = Driver::start(&base, shims, &job)?;
        let stop = self.stop.clone().map(|stop| (stop, self.stop_grace));
        let session = RayRun::new(plan, self.failure_policy, observer).with_stop(stop);
        let RayEnd { stages, environments, failed, is_stopped } =
            session.run(driver, E::NAME, tasks, sink).inspect_err(|error| plan.forget(error))?;
        let mut report = RunReport::new(plan, E::NAME);
        (report.failed, report.stages, report.environments) = (failed, stages, environments);
        report.is_stopped = is_stopped || self.stop.as_ref().is_some_and(Stop::is_wanted);
        report.wall = begun.elapsed();
        Ok(report)
    }
}

impl<E> Clone for RayExecutor<E> {
    fn clone(&self) -> Self {
        Self {
            connection: self.connection.clone(),
            ray_env: self.ray_env,
            base: self.base.clone(),
            cache_dir: self.cache_dir.clone(),
            failure_policy: self.failure_policy,
            worker_program: self.worker_program.clone(),
            options: self.options.clone(),
            stop: self.stop.clone(),
            stop_grace: self.stop_grace,
            engine: PhantomData,
        }
    }
}

impl<E: RayEngine> fmt::Debug for RayExecutor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RayExecutor")
            .field("engine", &E::NAME)
            .field("connection", &self.connection)
            .field("ray_env", &self.ray_env)
            .field("base", &self.base)
            .field("cache_dir", &self.cache_dir)
            .field("failure_policy", &self.failure_policy)
            .field("worker_program", &self.worker_program)
            .finish_non_exhaustive()
    }
}
