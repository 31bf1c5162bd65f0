//! `env why`: explains why a package is in an environment.

use std::process::ExitCode;

use curator::backends::provision::{Origin, Why};

use super::store::Store;
use crate::arguments;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &arguments::Why, store: &Store) -> Result<ExitCode, Failure> {
    let details = store.details(&arguments.key)?;
    let Some(why) = details.why(&arguments.package) else {
        let key = output::short(&details.key);
        return Err(Failure::failed(&format!(
            "no `{}` in environment {key}\n\nhint: `curator env show {key} --json` tells its packages",
            arguments.package
        )));
    };
    if arguments.output.json {
        return output::json(&why);
    }
    output::text(&text(&why))
}

fn text(why: &Why) -> String {
    let origin = match (why.origin, &why.replaced) {
        (Origin::Base, _) => "is the base's".to_owned(),
        (Origin::Added, None) => "was added".to_owned(),
        (Origin::Added, Some(version)) => format!("was added, in place of the base's {version}"),
    };
    let mut lines = vec![format!("{} {} {origin}", why.package, why.version)];
    lines.extend(why.source.iter().map(|source| format!("  it came from {source}")));
    lines.extend(why.requested_by.iter().map(|line| format!("  the spec asks for {line}")));
    let dependents = why.required_by.iter();
    lines.extend(dependents.map(|it| format!("  {} asks for {}", it.package, it.requires)));
    if why.path.len() > 1 {
        lines.push(format!("  by way of {}", why.path.join(" -> ")));
    }
    if why.requested_by.is_empty() && why.required_by.is_empty() {
        lines.push("  nothing asks for it".to_owned());
    }
    lines.join("\n")
}
