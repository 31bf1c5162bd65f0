//! `env refresh`: resolves a spec again.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::{Environment, Provisioner};
use curator::envspec::LoadedEnv;
use curator::stage::Isolation;

use super::create;
use crate::arguments::Create;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::spec::{EnvArguments, Wanted, recorded};

pub(crate) fn run(arguments: &Create, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let progress = Arc::new(Progress::new());
    let EnvArguments { spec, base, strategy } = &arguments.env;
    let provisioner = strategy.apply(base.builder(cache_dir)?).observer(progress.clone()).open()?;
    let (provisioner, env) = if spec.is_empty() && base.is_managed() {
        (provisioner, LoadedEnv::default())
    } else {
        match spec.read(&provisioner)? {
            Wanted::Spec(env) => (provisioner, *env),
            Wanted::Found(environment) if base.is_default() && strategy.is_default() => {
                let provisioner = provisioner.like(&environment)?;
                let env = asked_for(&provisioner, &environment)?;
                (provisioner, env)
            }
            Wanted::Found(environment) => {
                let env = asked_for(&provisioner, &environment)?;
                (provisioner, env)
            }
        }
    };
    let refreshed = provisioner.refresh(&env, Isolation::Shared);
    progress.finish();
    create::print(&refreshed?, arguments.output.json)
}

/// Returns the spec with the key of a cached environment; the empty spec stands for a managed base.
fn asked_for(provisioner: &Provisioner, found: &Environment) -> Result<LoadedEnv, Failure> {
    let (env, key) = if found.is_managed_base() {
        (LoadedEnv::default(), provisioner.base_key()?)
    } else {
        let env = recorded(found)?;
        let key = provisioner.key(&env, Isolation::Shared)?;
        (env, key)
    };
    if key.as_ref() == found.key() {
        return Ok(env);
    }
    Err(Failure::usage(
        "the environment's spec has another key now: the base is another one or has changed, or \
         the settings of the package manager have\n\nhint: leave --base, --managed-base and \
         --strategy out to refresh the environment as it was made, or make the one for now with \
         `curator env create` and the spec itself",
    ))
}
