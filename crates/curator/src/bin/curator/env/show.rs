//! `env show`: shows an environment in detail.

use std::path::Path;
use std::process::ExitCode;

use curator::backends::provision::EnvDetails;
use curator::venv_cache::{Key, Listed};
use serde_json::{Value, json};

use super::store::Store;
use crate::arguments::OneKey;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &OneKey, store: &Store) -> Result<ExitCode, Failure> {
    let (cache, listed) = (store.cache(), store.listed(&arguments.key)?);
    let key = listed.key;
    let (manifest, in_use) = (&listed.manifest, cache.is_in_use(&key)?);
    let needed_by: Vec<_> = cache
        .list()?
        .into_iter()
        .filter(|other| other.manifest.needs.iter().any(|need| need.key == key))
        .map(|other| other.key)
        .collect();
    if arguments.output.json {
        return output::json(&json!({
            "key": key,
            "path": listed.dir.join(&manifest.python),
            "dir": listed.dir,
            "base": manifest.base,
            "needs": manifest.needs.iter().map(|need| need.key).collect::<Vec<_>>(),
            "needed_by": needed_by,
            "strategy": manifest.strategy,
            "in_use": in_use,
            "moved_from": listed.moved_from(),
            "created": manifest.created,
            "last_used": output::unix_seconds(listed.last_used),
            "files": manifest.files,
            "bytes": manifest.bytes,
            "own_files": manifest.own_files,
            "own_bytes": manifest.own_bytes,
            "details": EnvDetails::of_listed(&listed),
        }));
    }
    output::text(&as_text(&listed, &needed_by, in_use))
}

/// Returns what people read of an environment, field by field.
fn as_text(listed: &Listed, needed_by: &[Key], in_use: bool) -> String {
    let manifest = &listed.manifest;
    let details = &manifest.details;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = |value: &Value, line: &dyn Fn(&Value) -> String| {
        let values = value.as_array().into_iter().flatten();
        values.map(line).collect::<Vec<_>>().join("\n")
    };
    let package =
        |package: &Value| format!("{} {}", text(&package["name"]), text(&package["version"]));
    let strategy = match details["strategy_reason"].as_str() {
        Some(reason) => format!("{}, because {reason}", manifest.strategy),
        None => manifest.strategy.clone(),
    };
    let own = output::bytes(manifest.own_bytes);
    let size = format!("{own} of its own, {} in all", output::bytes(manifest.bytes));
    let used = output::ago(listed.last_used);
    let used = if in_use { format!("now, taken {used}") } else { used };
    let base = manifest.base.as_ref();
    output::fields(&[
        ("key", listed.key.to_string()),
        ("interpreter", listed.dir.join(&manifest.python).display().to_string()),
        ("built in", listed.moved_from().map(elsewhere).unwrap_or_default()),
        ("base", base.map(|base| base.python.clone()).unwrap_or_default()),
        ("needed by", needed_by.iter().map(output::short).collect::<Vec<_>>().join(", ")),
        ("strategy", strategy),
        ("size", size),
        ("built", output::ago(output::moment(manifest.created))),
        ("last used", used),
        ("made by", format!("{} {}", text(&details["tool"]), text(&details["tool_version"]))),
        ("asked for", lines(&details["spec"]["requirements"], &text)),
        ("added", lines(&details["added"], &package)),
        ("replaced", lines(&details["replaced"], &package)),
        ("warnings", lines(&details["warnings"], &text)),
    ])
}

/// Says that an environment lies where it cannot be used.
fn elsewhere(place: &Path) -> String {
    format!("{}: here, where it was moved or copied, it is of no use", place.display())
}
