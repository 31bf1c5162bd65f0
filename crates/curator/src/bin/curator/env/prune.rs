//! `env prune`: removes environments down to a budget.

use std::collections::BTreeSet;
use std::mem::take;
use std::process::ExitCode;

use curator::backends::worker::warm::WarmTemplates;
use curator::venv_cache::{Budget, Key, PruneReport};
use serde_json::{Value, json};

use super::store::Store;
use crate::arguments::Prune;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &Prune, store: &Store) -> Result<ExitCode, Failure> {
    let cache = store.cache();
    let budget = budget(arguments)?;
    if arguments.all && !arguments.dry_run {
        // What is kept warm in them waits for runs that may never come.
        let keys: Vec<String> = cache.list()?.iter().map(|it| it.key.to_string()).collect();
        WarmTemplates::of_user().leave(&keys);
    }
    let mut report = cache.prune(&budget)?;
    let waiting = if arguments.all && arguments.dry_run {
        take_waiting(&mut report, &waiting())
    } else {
        Vec::new()
    };
    if arguments.output.json {
        output::json(&as_json(&report, &waiting, arguments.dry_run))?;
    } else {
        output::text(&lines(&report, &waiting, arguments.dry_run).join("\n"))?;
    }
    // Files that could not be deleted are a failure, although the environment is gone.
    Ok(if report.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the keys of environments in which imports are kept warm that no run uses now.
fn waiting() -> BTreeSet<String> {
    let templates = WarmTemplates::of_user().list().unwrap_or_default();
    let idle = templates.into_iter().filter(|template| template.idle.is_some());
    idle.flat_map(|template| template.environments).collect()
}

/// Takes from those in use what nothing but such imports keeps, which `--all` ends.
fn take_waiting(report: &mut PruneReport, waiting: &BTreeSet<String>) -> Vec<Key> {
    let (taken, in_use) =
        take(&mut report.in_use).into_iter().partition(|key| waiting.contains(&key.to_string()));
    report.in_use = in_use;
    taken
}

/// Returns the budget that the arguments ask for; without a limit, the one of the variables.
fn budget(arguments: &Prune) -> Result<Budget, Failure> {
    let has_limit =
        arguments.all || arguments.max_bytes.is_some() || arguments.older_than.is_some();
    let mut budget = if has_limit { Budget::default() } else { Budget::from_env()? };
    if let Some(max_bytes) = arguments.max_bytes {
        budget = budget.with_max_bytes(max_bytes);
    }
    if let Some(age) = arguments.older_than {
        budget = budget.with_older_than(age);
    }
    if arguments.all {
        budget = budget.with_all();
    }
    if arguments.dry_run {
        budget = budget.with_dry_run();
    }
    Ok(budget)
}

fn as_json(report: &PruneReport, waiting: &[Key], is_dry_run: bool) -> Value {
    let left: Vec<Value> = report
        .left
        .iter()
        .map(|left| {
            json!({
                "key": left.key,
                "bytes": left.bytes,
                "path": left.path.to_string_lossy(),
                "owner": left.owner,
                "problem": left.problem,
            })
        })
        .collect();
    let removed: Vec<Value> = report
        .removed
        .iter()
        .map(|removed| json!({ "key": removed.key, "bytes": removed.bytes }))
        .collect();
    json!({
        "dry_run": is_dry_run,
        "removed": removed,
        "freed_bytes": report.freed_bytes(),
        "in_use": report.in_use,
        "kept_warm": waiting,
        "refused": report.refused,
        "mounted": report.mounted,
        "foreign": report.foreign,
        "leftovers": report.leftovers,
        "left": left,
        "kept": report.kept,
        "kept_bytes": report.kept_bytes,
        "bytecode_bytes": report.bytecode_bytes,
        "answers": report.memos,
        "answer_bytes": report.memo_bytes,
    })
}

fn lines(report: &PruneReport, waiting: &[Key], is_dry_run: bool) -> Vec<String> {
    let verb = if is_dry_run { "would remove" } else { "removed" };
    let mut lines: Vec<String> = report
        .removed
        .iter()
        .map(|removed| {
            format!("{verb} {}  {}", output::short(&removed.key), output::bytes(removed.bytes))
        })
        .collect();
    let stays = |key, why: &str| format!("kept    {}  {why}", output::short(key));
    lines.extend(waiting.iter().map(|key| {
        format!("{verb} {}  with the imports that are kept warm in it", output::short(key))
    }));
    lines.extend(report.in_use.iter().map(|key| stays(key, "in use")));
    lines.extend(report.refused.iter().map(|key| stays(key, "not yours to remove")));
    let mounted = report.mounted.iter();
    lines.extend(mounted.map(|path| format!("kept    {}  a mount: unmount it", path.display())));
    let foreign = report.foreign.iter();
    lines.extend(foreign.map(|path| format!("kept    {}  no folder of the cache", path.display())));
    lines.extend(report.left.iter().map(|left| {
        format!(
            "left    {}  {} of user {} in `{}` ({}): they go when that user next opens the cache",
            left.key.as_ref().map_or_else(|| "of before   ".to_owned(), output::short),
            output::bytes(left.bytes),
            left.owner,
            left.path.display(),
            left.problem,
        )
    }));
    if report.leftovers > 0 {
        lines.push(format!("{verb} {} of builds", output::count(report.leftovers, "leftover")));
    }
    if report.bytecode_bytes > 0 {
        lines.push(format!("{verb} bytecode of bases ({})", output::bytes(report.bytecode_bytes)));
    }
    if report.memos > 0 {
        let (answers, bytes) = (output::count(report.memos, "kept answer"), report.memo_bytes);
        lines.push(format!("{verb} {answers} ({})", output::bytes(bytes)));
    }
    lines.push(format!(
        "{verb} {} ({}), {} kept ({})",
        output::count(report.removed.len(), "environment"),
        output::bytes(report.freed_bytes()),
        report.kept,
        output::bytes(report.kept_bytes),
    ));
    lines
}
