//! `ps` and `stop`: the processes that runs keep warm.

use std::process::ExitCode;
use std::time::Duration;

use curator::backends::worker::warm::{Ended, WarmTemplate, WarmTemplates};
use serde_json::{Value, json};

use crate::arguments::Stop;
use crate::failure::Failure;
use crate::output::{self, Json};
use crate::terminal::say;

/// Modules that are named of those that a process has imported.
const NAMED: usize = 4;

/// Lists them (`ps`).
pub(crate) fn list(arguments: Json) -> Result<ExitCode, Failure> {
    let templates = found()?;
    if arguments.json {
        return output::json(&templates.iter().map(entry).collect::<Vec<_>>());
    }
    if templates.is_empty() {
        say("no process is kept warm");
        return output::text("");
    }
    let rows: Vec<[String; 6]> = templates.iter().map(row).collect();
    let head = ["PID", "ENVIRONMENT", "IDLE", "ENDS IN", "MEMORY", "HAS IMPORTED"];
    output::text(&output::table(head, &rows))
}

/// Ends them (`stop`).
pub(crate) fn stop(arguments: &Stop) -> Result<ExitCode, Failure> {
    let templates = found()?;
    // Look up all before ending the first, so that a misspelt key ends nothing.
    for wanted in &arguments.wanted {
        if !templates.iter().any(|it| is_named(it, wanted)) {
            let problem = format!("no process that is kept warm has the number or key `{wanted}`");
            return Err(Failure::failed(&problem).with_hint("`curator ps` lists them"));
        }
    }
    let is_wanted = |it: &&WarmTemplate| {
        arguments.all
            || arguments.owner.is_some_and(|owner| it.owner == Some(owner))
            || arguments.wanted.iter().any(|wanted| is_named(it, wanted))
    };
    let (mut ended, mut later) = (Vec::new(), Vec::new());
    for template in templates.iter().filter(is_wanted) {
        match WarmTemplates::of_user().end(template) {
            Ok(Ended::Now) => ended.push(template.pid),
            Ok(Ended::AfterItsRuns) => later.push(template.pid),
            Err(error) => {
                return Err(Failure::io(&format!("end process {}", template.pid), &error));
            }
        }
    }
    if arguments.output.json {
        return output::json(&json!({ "ended": ended, "in_use": later }));
    }
    let now = ended.iter().map(|pid| format!("ended   {pid}"));
    let then = later.iter().map(|pid| format!("in use  {pid}  it ends with the run"));
    output::text(&now.chain(then).collect::<Vec<_>>().join("\n"))
}

fn found() -> Result<Vec<WarmTemplate>, Failure> {
    let templates = WarmTemplates::of_user();
    let dir = templates.dir().display().to_string();
    templates.list().map_err(|error| {
        Failure::io(&format!("look into `{dir}`"), &error)
            .with_hint("remove it, or give yourself alone access to it (`chmod 700`)")
    })
}

fn is_named(template: &WarmTemplate, wanted: &str) -> bool {
    template.pid.to_string() == wanted
        || template.environments.first().is_some_and(|key| key.starts_with(wanted))
}

fn entry(template: &WarmTemplate) -> Value {
    let seconds = |it: Option<Duration>| it.map(|it| it.as_secs_f64());
    json!({
        "pid": template.pid,
        "environments": template.environments,
        "file": template.file,
        "imports": template.imports,
        "idle_seconds": seconds(template.idle),
        "ends_in_seconds": seconds(template.ends_in),
        "bytes": template.bytes,
    })
}

fn row(template: &WarmTemplate) -> [String; 6] {
    let environment = template.environments.first();
    let mut modules: Vec<&str> = template.imports.iter().map(String::as_str).collect();
    let more = modules.len().saturating_sub(NAMED);
    modules.truncate(NAMED);
    let imports = match more {
        0 => modules.join(", "),
        more => format!("{} and {more} more", modules.join(", ")),
    };
    [
        template.pid.to_string(),
        environment.map_or_else(|| "base".to_owned(), output::short),
        template.idle.map_or_else(|| "in use".to_owned(), span),
        template.ends_in.map(span).unwrap_or_default(),
        template.bytes.map(output::bytes).unwrap_or_default(),
        imports,
    ]
}

/// Formats a time for people: `90 s`, `12 min`, `3 h`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
