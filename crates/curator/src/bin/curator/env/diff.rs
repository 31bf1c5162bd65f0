//! `env diff`: compares two environments.

use std::process::ExitCode;

use curator::backends::provision::Change;
use serde_json::json;

use super::store::Store;
use crate::arguments::Diff;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &Diff, store: &Store) -> Result<ExitCode, Failure> {
    let left = store.details(&arguments.left)?;
    let right = store.details(&arguments.right)?;
    let diff = left.diff(&right);
    if arguments.output.json {
        return output::json(&json!({
            "left": left.key,
            "right": right.key,
            "packages": diff.packages,
            "only_left": diff.only_left,
            "only_right": diff.only_right,
            "settings": diff.settings,
        }));
    }
    let mut rows = Vec::new();
    let mut add = |kind: &str, changes: &[Change]| {
        for change in changes {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            rows.push([
                format!("{kind}{}", change.name),
                value(&change.left),
                value(&change.right),
            ]);
        }
    };
    add("", &diff.packages);
    add("[setting] ", &diff.settings);
    let (only_left, only_right) = (diff.only_left.join(", "), diff.only_right.join(", "));
    if !only_left.is_empty() || !only_right.is_empty() {
        rows.push(["[asked for]".to_owned(), only_left, only_right]);
    }
    if rows.is_empty() {
        return output::text("no difference");
    }
    let head = ["", &output::short(&left.key), &output::short(&right.key)];
    output::text(&output::table(head, &rows))
}
