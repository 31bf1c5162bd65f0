//! The engine that runs a pipeline, from its file and the command line.

use std::path::Path;
use std::time::Duration;

use curator::LocalExecutor;
use curator::backends::ray::{RayActorPool, RayData, RayExecutor, Xenna};
use curator::backends::worker::warm::KeepWarm;
use curator::backends::{self, Connection, Executor, FailurePolicy, Plan, RayEnv, Stop};
use curator::stage::{Backend, Engine, RayEnvironments};

/// Options of the command line for running.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) policy: FailurePolicy,
    pub(crate) stop: Stop,
    /// Time that workers have when the run is asked to stop.
    pub(crate) stop_grace: Option<Duration>,
    /// How long templates stay, in place of the file's.
    pub(crate) keep_warm: Option<Duration>,
    /// A process with which they end.
    pub(crate) owner: Option<u32>,
}

/// Returns the requested engine without starting anything; refuses invalid settings.
pub(crate) fn executor(
    engine: &Engine,
    backend: Backend,
    manner: Manner,
    cache_dir: Option<&Path>,
) -> Result<Box<dyn Executor>, backends::Error> {
    Ok(match backend {
        Backend::Local => Box::new(local(engine, manner, cache_dir)),
        Backend::RayData => Box::new(in_manner(on_ray::<RayData>(engine, cache_dir)?, manner)),
        Backend::RayActorPool => {
            Box::new(in_manner(on_ray::<RayActorPool>(engine, cache_dir)?, manner))
        }
        Backend::Xenna => Box::new(in_manner(on_ray::<Xenna>(engine, cache_dir)?, manner)),
    })
}

/// Refuses what the engine would refuse, as far as that is known without starting it.
pub(crate) fn check(engine: &Engine, backend: Backend, plan: &Plan) -> Result<(), backends::Error> {
    match backend {
        Backend::Local => with_devices(LocalExecutor::default(), engine).check(plan),
        Backend::RayData => on_ray::<RayData>(engine, None)?.check(plan),
        Backend::RayActorPool => on_ray::<RayActorPool>(engine, None)?.check(plan),
        Backend::Xenna => on_ray::<Xenna>(engine, None)?.check(plan),
    }
}

fn with_devices(executor: LocalExecutor, engine: &Engine) -> LocalExecutor {
    match &engine.devices {
        Some(devices) => executor.with_devices(devices),
        None => executor,
    }
}

fn local(engine: &Engine, manner: Manner, cache_dir: Option<&Path>) -> LocalExecutor {
    let Manner { policy, stop, stop_grace, keep_warm, owner } = manner;
    let mut executor = LocalExecutor::default().with_failure_policy(policy).with_stop(stop);
    if let Some(grace) = stop_grace {
        executor = executor.with_stop_grace(grace);
    }
    if let Some(dir) = cache_dir {
        executor = executor.with_cache_dir(dir);
    }
    if let Some(cpus) = engine.cpus {
        executor = executor.with_cpus(cpus);
    }
    executor = with_devices(executor, engine);
    if let Some(templates) = engine.templates {
        executor = executor.with_templates(templates);
    }
    if let Some(idle) = keep_warm.or(engine.keep_warm).filter(|idle| !idle.is_zero()) {
        let keep = KeepWarm::new(idle);
        executor = executor.with_keep_warm(match owner {
            Some(owner) => keep.with_owner(owner),
            None => keep,
        });
    }
    executor
}

fn in_manner<E: backends::ray::RayEngine>(
    executor: RayExecutor<E>,
    manner: Manner,
) -> RayExecutor<E> {
    let Manner { policy, stop, stop_grace, .. } = manner;
    let executor = executor.with_failure_policy(policy).with_stop(stop);
    match stop_grace {
        Some(grace) => executor.with_stop_grace(grace),
        None => executor,
    }
}

fn on_ray<E: backends::ray::RayEngine>(
    engine: &Engine,
    cache_dir: Option<&Path>,
) -> Result<RayExecutor<E>, backends::Error> {
    let mut connection = engine.address.as_deref().map_or_else(Connection::local, Connection::to);
    if let Some(num_cpus) = engine.num_cpus {
        connection = connection.with_num_cpus(num_cpus);
    }
    if let Some(num_gpus) = engine.num_gpus {
        connection = connection.with_num_gpus(num_gpus);
    }
    for (name, value) in &engine.init {
        connection = connection.with_init(name, value.clone());
    }
    let mut executor = RayExecutor::connect(connection)?;
    if let Some(ray_env) = engine.ray_env {
        executor = executor.with_ray_env(match ray_env {
            RayEnvironments::Cached => RayEnv::Cached,
            RayEnvironments::Native => RayEnv::Native,
        });
    }
    if let Some(dir) = cache_dir {
        executor = executor.with_cache_dir(dir);
    }
    for (name, value) in &engine.options {
        executor = executor.with_option(name, value.clone());
    }
    Ok(executor)
}
