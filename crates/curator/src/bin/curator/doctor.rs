//! `doctor`: checks this machine.

use std::path::Path;
use std::process::ExitCode;

use curator::backends::provision::{Finding, Status};
use serde_json::json;

use crate::arguments::Doctor;
use crate::failure::Failure;
use crate::output;
use crate::terminal;

pub(crate) fn run(arguments: &Doctor, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let findings = arguments.base.builder(cache_dir)?.examine();
    let worst = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Good);
    if arguments.output.json {
        output::json(&json!({ "status": worst, "findings": findings }))?;
    } else {
        output::text(&findings.iter().map(lines).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(ExitCode::from(u8::from(worst == Status::Bad)))
}

fn lines(finding: &Finding) -> String {
    let (word, colour) = match finding.status {
        Status::Good => ("ok", "32"),
        Status::Warning => ("warning", "33"),
        Status::Bad => ("bad", "31"),
    };
    // Pad before colouring, since colours have no width.
    let word = terminal::coloured(&format!("{word:<8}"), colour);
    // A package manager's message may have several lines, which stay in their column.
    let margin = format!("\n{:25}", "");
    let message = finding.message.trim_end().replace('\n', &margin);
    let line = format!("{word}{:<17}{message}", finding.subject);
    match &finding.advice {
        Some(advice) => format!("{line}{margin}{advice}"),
        None => line,
    }
}
