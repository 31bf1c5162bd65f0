//! `env create`: finds or builds an environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use curator::backends::{EnvState, Environment};
use serde_json::{Value, json};

use crate::arguments::Create;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &Create, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let provisioner = arguments.base.open(cache_dir)?;
    let environment = arguments.spec.read(&provisioner)?.prepare(&provisioner)?;
    print(&environment, arguments.output.json)
}

/// The result, as `create` and `refresh` print it.
pub(crate) fn print(environment: &Environment, is_json: bool) -> Result<ExitCode, Failure> {
    let report = environment.report();
    if !is_json {
        for warning in &report.warnings {
            eprint(warning);
        }
        return output::text(&environment.python().display().to_string());
    }
    let mut seconds = BTreeMap::from([("total".to_owned(), json!(report.duration.as_secs_f64()))]);
    if let (EnvState::Built, Some(cached)) = (report.state, environment.cached())
        && let Some(Value::Object(phases)) = cached.manifest().details.get("seconds")
    {
        seconds.extend(phases.clone());
    }
    output::json(&json!({
        "key": report.key,
        "path": report.python,
        "dir": environment.cached().map(|cached| cached.dir()),
        "strategy": report.strategy,
        "state": report.state,
        "seconds": seconds,
        "bytes_added": report.own_bytes,
        "added": report.added,
        "replaced": report.replaced,
        "warnings": report.warnings,
    }))
}

fn eprint(warning: &str) {
    use std::io::Write;
    // A warning that nobody can read stops nothing.
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
}
