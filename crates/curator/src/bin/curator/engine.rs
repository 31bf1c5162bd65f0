//! The engine that runs a pipeline, from its file and the command line.

use std::path::Path;

use curator::LocalExecutor;
use curator::backends::{
    self, Connection, Executor, FailurePolicy, Plan, RayActorPool, RayData, RayEnv, RayExecutor,
    Xenna,
};
use curator::stage::{Backend, Engine, RayEnvironments};

/// The engine that was asked for. Nothing is started; a setting that cannot be is refused.
pub(crate) fn executor(
    engine: &Engine,
    backend: Backend,
    policy: FailurePolicy,
    cache_dir: Option<&Path>,
) -> Result<Box<dyn Executor>, backends::Error> {
    Ok(match backend {
        Backend::Local => Box::new(local(engine, policy, cache_dir)),
        Backend::RayData => Box::new(on_ray::<RayData>(engine, policy, cache_dir)?),
        Backend::RayActorPool => Box::new(on_ray::<RayActorPool>(engine, policy, cache_dir)?),
        Backend::Xenna => Box::new(on_ray::<Xenna>(engine, policy, cache_dir)?),
    })
}

/// Refuses what the engine that the file names would refuse, as far as can be told without it.
pub(crate) fn check(engine: &Engine, plan: &Plan) -> Result<(), backends::Error> {
    let policy = FailurePolicy::default();
    match engine.backend {
        Backend::Local => Ok(()),
        Backend::RayData => on_ray::<RayData>(engine, policy, None)?.check(plan),
        Backend::RayActorPool => on_ray::<RayActorPool>(engine, policy, None)?.check(plan),
        Backend::Xenna => on_ray::<Xenna>(engine, policy, None)?.check(plan),
    }
}

fn local(engine: &Engine, policy: FailurePolicy, cache_dir: Option<&Path>) -> LocalExecutor {
    let mut executor = LocalExecutor::default().with_failure_policy(policy);
    if let Some(dir) = cache_dir {
        executor = executor.with_cache_dir(dir);
    }
    if let Some(cpus) = engine.cpus {
        executor = executor.with_cpus(cpus);
    }
    if let Some(devices) = &engine.devices {
        executor = executor.with_devices(devices);
    }
    executor
}

fn on_ray<E: backends::Engine>(
    engine: &Engine,
    policy: FailurePolicy,
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
    let mut executor = RayExecutor::connect(connection)?.with_failure_policy(policy);
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
