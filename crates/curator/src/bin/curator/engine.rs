//! The engine that runs a pipeline, from its file and the command line.

use std::path::Path;

use curator::LocalExecutor;
use curator::backends::{Executor, FailurePolicy};
use curator::stage::{Backend, Engine};

/// The engine that was asked for.
pub(crate) fn executor(
    engine: &Engine,
    backend: Backend,
    policy: FailurePolicy,
    cache_dir: Option<&Path>,
) -> Box<dyn Executor> {
    match backend {
        Backend::Local => Box::new(local(engine, policy, cache_dir)),
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
