//! `env verify`: compares environments with the record of their build.

use std::process::ExitCode;

use curator::backends::provision::{Damage, Problem};
use curator::venv_cache::{Budget, Key, Unusable};
use serde_json::json;

use super::store::Store;
use crate::arguments::Verify;
use crate::failure::Failure;
use crate::output;

/// Maximum number of damaged files shown for one environment.
const SHOWN: usize = 20;

pub(crate) fn run(arguments: &Verify, store: &Store) -> Result<ExitCode, Failure> {
    let (keys, leftovers, mounted) = if let Some(prefix) = &arguments.key {
        (vec![store.key(prefix)?], 0, Vec::new())
    } else {
        let keys = store.cache().list()?.into_iter().map(|listed| listed.key).collect();
        let report = store.cache().prune(&Budget::default().with_dry_run())?;
        (keys, report.leftovers, report.mounted)
    };
    let mut checked = Vec::new();
    for key in keys {
        let found = match store.provisioner().inspect(&key)? {
            Some(environment) => Ok(environment.damage()?),
            None => match store.cache().unusable(&key)? {
                // One that was removed meanwhile is not damaged.
                None | Some(Unusable::Absent) => continue,
                Some(unusable) => Err(unusable.to_string()),
            },
        };
        checked.push((key, found));
    }
    let is_whole = |found: &Result<Vec<Damage>, _>| found.as_ref().is_ok_and(Vec::is_empty);
    let damaged = checked.iter().filter(|(_, found)| !is_whole(found)).count();
    if arguments.output.json {
        let entries: Vec<_> = checked
            .iter()
            .map(|(key, found)| {
                let damage = found.as_deref().unwrap_or_default();
                let unusable = found.as_ref().err();
                json!({ "key": key, "whole": is_whole(found), "damage": damage, "unusable": unusable })
            })
            .collect();
        output::json(&json!({
            "environments": entries,
            "leftovers": leftovers,
            "mounted": mounted,
        }))?;
    } else {
        let mut lines: Vec<String> =
            checked.iter().flat_map(|(key, found)| lines(key, found)).collect();
        if leftovers > 0 {
            let what = output::count(leftovers, "damaged or half-built folder");
            lines.push(format!("{what}, which the next use or `prune` clears away"));
        }
        lines.extend(mounted.iter().map(|path| {
            let path = path.display();
            format!("`{path}` is damaged or half-built, and a mount: unmount it, and `prune` clears it away")
        }));
        if damaged > 0 {
            lines.push("remove what is damaged with `curator env remove KEY`".to_owned());
        }
        output::text(&lines.join("\n"))?;
    }
    Ok(ExitCode::from(u8::from(damaged > 0)))
}

/// Returns the lines about one environment: its damage, or why it is of no use.
fn lines(key: &Key, found: &Result<Vec<Damage>, String>) -> Vec<String> {
    let key = output::short(key);
    let damage = match found {
        Ok(damage) if damage.is_empty() => return vec![format!("{key}  whole")],
        Ok(damage) => damage,
        Err(unusable) => return vec![format!("{key}  of no use: {unusable}")],
    };
    let mut lines = vec![format!("{key}  damaged: {}", output::count(damage.len(), "file"))];
    lines.extend(damage.iter().take(SHOWN).map(line));
    if damage.len() > SHOWN {
        lines.push(format!("  and {} more", damage.len() - SHOWN));
    }
    lines
}

fn line(damage: &Damage) -> String {
    let problem = match damage.problem {
        Problem::Gone => "is gone".to_owned(),
        Problem::Length { recorded, found } => format!("has {found} bytes instead of {recorded}"),
        Problem::Contents => "was edited".to_owned(),
        Problem::Base => "is made of links into a base that has changed since".to_owned(),
        Problem::List => "lists other files than were installed".to_owned(),
        _ => "is damaged".to_owned(),
    };
    let path = match damage.problem {
        Problem::Base => "the environment".into(),
        _ => damage.path.display().to_string(),
    };
    format!("  {path} {problem}")
}
