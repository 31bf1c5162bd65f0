//! `env lock`: what a spec resolves to.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::arguments::Lock;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &Lock, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let provisioner = arguments.base.open(cache_dir)?;
    let env = arguments.spec.read(&provisioner)?.into_spec()?;
    let lines = provisioner.lock(&env)?;
    if arguments.output.json {
        return output::json(&json!({ "requirements": lines }));
    }
    output::text(&lines.join("\n"))
}
