//! `env list`: lists the environments in the cache.

use std::process::ExitCode;

use curator::venv_cache::{Cache, Listed};
use serde_json::{Value, json};

use super::store::Store;
use crate::failure::Failure;
use crate::output::{self, Json};
use crate::terminal::say;

pub(crate) fn run(arguments: Json, store: &Store) -> Result<ExitCode, Failure> {
    let cache = store.cache();
    let environments = cache.list()?;
    if arguments.json {
        let entries = environments.iter().map(|listed| entry(cache, listed));
        return output::json(&entries.collect::<Result<Vec<_>, _>>()?);
    }
    if environments.is_empty() {
        say(&format!("no environments in `{}`", cache.root().display()));
        return output::text("");
    }
    let mut rows = Vec::new();
    for listed in &environments {
        let used = if cache.is_in_use(&listed.key)? {
            "now".to_owned()
        } else if listed.moved_from().is_some() {
            "built elsewhere".to_owned()
        } else {
            output::ago(listed.last_used)
        };
        let own = output::bytes(listed.manifest.own_bytes);
        let strategy = listed.manifest.strategy.clone();
        rows.push([output::short(&listed.key), used, own, strategy, asked_for(listed).join(", ")]);
    }
    output::text(&output::table(["KEY", "USED", "OWN SIZE", "STRATEGY", "PACKAGES"], &rows))
}

fn entry(cache: &Cache, listed: &Listed) -> Result<Value, Failure> {
    let manifest = &listed.manifest;
    Ok(json!({
        "key": listed.key,
        "path": listed.dir.join(&manifest.python),
        "dir": listed.dir,
        "base": manifest.base.as_ref().map(|base| &base.python),
        "strategy": manifest.strategy,
        "in_use": cache.is_in_use(&listed.key)?,
        "moved_from": listed.moved_from(),
        "created": manifest.created,
        "last_used": output::unix_seconds(listed.last_used),
        "bytes": manifest.bytes,
        "own_bytes": manifest.own_bytes,
        "packages": asked_for(listed),
    }))
}

/// Returns the requirements of the environment.
fn asked_for(listed: &Listed) -> Vec<String> {
    let requirements = listed.manifest.details["spec"]["requirements"].as_array();
    let texts = requirements.into_iter().flatten().filter_map(Value::as_str);
    texts.map(ToOwned::to_owned).collect()
}
