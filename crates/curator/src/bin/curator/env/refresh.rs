//! `env refresh`: resolves a spec again.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::Provisioner;
use curator::stage::{Base, Isolation};

use super::create;
use crate::arguments::Create;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::spec::Wanted;

pub(crate) fn run(arguments: &Create, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let progress = Arc::new(Progress::new());
    let mut provisioner = arguments.base.open(cache_dir)?;
    let (env, key) = match arguments.spec.read(&provisioner)? {
        Wanted::Found(environment) => {
            let base = environment.cached().and_then(|cached| cached.manifest().base.clone());
            if let (Some(base), true) = (base, arguments.base.is_default())
                && base.key.is_none()
            {
                // The base that it was made over is the one that is meant.
                let base = Base::from(std::path::PathBuf::from(base.python));
                provisioner = Provisioner::new(Some(&base), cache_dir)?;
            }
            let key = environment.key().copied();
            (Wanted::Found(environment).into_spec()?, key)
        }
        wanted @ Wanted::Spec(_) => (wanted.into_spec()?, None),
    };
    let provisioner = arguments.strategy.apply(provisioner).with_observer(progress.clone());
    if let Some(key) = key
        && provisioner.key(&env, Isolation::Shared)? != Some(key)
    {
        return Err(Failure::usage(
            "over this base the spec has another key\n\nhint: name the base that the environment \
             was made over with --base or --managed-base, its strategy with --strategy, or give \
             the spec itself",
        ));
    }
    let refreshed = provisioner.refresh(&env, Isolation::Shared);
    progress.finish();
    create::print(&refreshed?, arguments.output.json)
}
