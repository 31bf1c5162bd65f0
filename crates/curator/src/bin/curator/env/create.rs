//! `env create`: finds or builds an environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use curator::backends::{EnvState, Environment};
use serde_json::json;

use crate::arguments::Create;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::terminal;

pub(crate) fn run(arguments: &Create, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let progress = Arc::new(Progress::new());
    let prepared = arguments.env.prepare(cache_dir, &progress);
    print(&prepared?, arguments.output.json)
}

/// Prints the result of `create` and `refresh`.
pub(crate) fn print(environment: &Environment, is_json: bool) -> Result<ExitCode, Failure> {
    let report = environment.report();
    if !is_json {
        for warning in &report.warnings {
            terminal::say(&format!("warning: {warning}"));
        }
        return output::exactly(&environment.python().display().to_string());
    }
    let mut seconds = BTreeMap::from([("total".to_owned(), report.duration.as_secs_f64())]);
    let details = environment.details();
    if let (EnvState::Built, Some(details)) = (report.state, &details) {
        seconds.extend(details.seconds.clone());
    }
    output::json(&json!({
        "key": report.key,
        "path": report.python,
        "dir": details.map(|details| details.dir),
        "strategy": report.strategy,
        "state": report.state,
        "seconds": seconds,
        "bytes_added": report.own_bytes,
        "added": report.added,
        "replaced": report.replaced,
        "warnings": report.warnings,
    }))
}
