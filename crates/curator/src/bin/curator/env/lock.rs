//! `env lock`: what a spec resolves to.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::arguments::Lock;
use crate::failure::Failure;
use crate::output;
use crate::spec::{Wanted, recorded};

pub(crate) fn run(arguments: &Lock, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut provisioner = arguments.base.open(cache_dir)?;
    let env = match arguments.spec.read(&provisioner)? {
        Wanted::Spec(env) => *env,
        Wanted::Found(environment) => {
            if arguments.base.is_default() {
                provisioner = provisioner.like(&environment)?;
            }
            recorded(&environment)?
        }
    };
    let lines = provisioner.lock(&env)?;
    if arguments.output.json {
        return output::json(&json!({ "requirements": lines }));
    }
    output::exactly(&lines.join("\n"))
}
