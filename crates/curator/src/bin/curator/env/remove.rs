//! `env remove`: removes environments by key.

use std::process::ExitCode;

use curator::backends::worker::warm::WarmTemplates;
use curator::venv_cache::Error;
use serde_json::json;

use super::store::Store;
use crate::arguments::Remove;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &Remove, store: &Store) -> Result<ExitCode, Failure> {
    let cache = store.cache();
    // Look up all keys before removing the first, so that a misspelt key removes nothing.
    let mut keys = Vec::new();
    for prefix in &arguments.keys {
        let key = cache.find(prefix)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    // What is kept warm in them waits for runs that may never come.
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    WarmTemplates::of_user().leave(&texts);
    // Remove dependent environments first, whatever the order of the arguments.
    let mut pending = keys.clone();
    while !pending.is_empty() {
        let before = pending.len();
        let mut postponed = Vec::new();
        let mut reason = None;
        for key in pending {
            match cache.remove(&key) {
                Err(error @ Error::Needed { .. }) => {
                    postponed.push(key);
                    reason = Some(error);
                }
                // An environment that another process removed meanwhile is gone, as requested.
                other => _ = other?,
            }
        }
        match reason {
            Some(error) if postponed.len() == before => return Err(error.into()),
            _ => pending = postponed,
        }
    }
    if arguments.output.json {
        return output::json(&json!({ "removed": keys }));
    }
    let lines = keys.iter().map(|key| format!("removed {}", output::short(key)));
    output::text(&lines.collect::<Vec<_>>().join("\n"))
}
