//! `env du`: measures disk usage.

use std::fmt::Write;
use std::process::ExitCode;

use curator::venv_cache::EnvUsage;
use serde_json::{Value, json};

use super::store::Store;
use crate::failure::Failure;
use crate::output::{self, Json};

pub(crate) fn run(arguments: Json, store: &Store) -> Result<ExitCode, Failure> {
    let usage = store.cache().usage()?;
    if arguments.json {
        let environments: Vec<Value> = usage
            .environments
            .iter()
            .map(|env| {
                json!({
                    "key": env.key,
                    "files": env.files,
                    "own_bytes": env.own_bytes,
                    "shared_with_environments": env.shared_with_environments,
                    "shared_with_others": env.shared_with_others,
                })
            })
            .collect();
        return output::json(&json!({
            "environments": environments,
            "own_bytes": usage.own_bytes,
            "shared_bytes": usage.shared_bytes,
            "tools_bytes": usage.tools_bytes,
            "bytecode_bytes": usage.bytecode_bytes,
            "answer_bytes": usage.memo_bytes,
            "trash_bytes": usage.trash_bytes,
        }));
    }
    let row = |env: &EnvUsage| {
        [
            output::short(&env.key),
            output::bytes(env.own_bytes),
            output::bytes(env.shared_with_environments),
            output::bytes(env.shared_with_others),
            env.files.to_string(),
        ]
    };
    let rows: Vec<_> = usage.environments.iter().map(row).collect();
    let head = ["KEY", "OWN", "SHARED WITH ENVS", "SHARED WITH OTHERS", "FILES"];
    let mut total = format!(
        "all: {} of their own, {} shared with bases and the package managers' caches; tools: {}; bytecode of \
         bases: {}; kept answers: {}",
        output::bytes(usage.own_bytes),
        output::bytes(usage.shared_bytes),
        output::bytes(usage.tools_bytes),
        output::bytes(usage.bytecode_bytes),
        output::bytes(usage.memo_bytes),
    );
    if usage.trash_bytes > 0 {
        let _ = write!(total, "; left of removed ones: {}", output::bytes(usage.trash_bytes));
    }
    if rows.is_empty() {
        output::text(&total)
    } else {
        output::text(&format!("{}\n{total}", output::table(head, &rows)))
    }
}
