//! The environments of a run, made on a node before its stages need them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use serde::Serialize;
use stage::Registry;

use super::fault::Fault;
use super::request::{Note, PrepareRequest};
use super::stage::executor;
use crate::event::Event;
use crate::plan::Plan;

/// One line of the answer.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Note(Note),
    Fault(Fault),
}

/// Reads a request from the standard input, and answers with a line of JSON for all that happens.
pub(crate) fn serve(registry: &Registry) -> io::Result<()> {
    // A program's own code may print while it makes its stages: that is no answer.
    let answer = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdout(io::stderr())?;
    let answer = Arc::new(answer);
    let PrepareRequest { place, stages } = serde_json::from_reader(io::stdin().lock())?;
    let result = stages
        .into_iter()
        .map(|stage| stage.into_planned(&place, registry, false))
        .collect::<Result<Vec<_>, _>>()
        .and_then(|stages| {
            let plan = Plan::of_stages(stages);
            let ours = answer.clone();
            let observer =
                Arc::new(move |event: &Event| say(&ours, &Line::Note(Note::Event(event.clone()))));
            executor(&place).prepare(&plan, observer)
        });
    match result {
        Ok(environments) => {
            for report in environments {
                say(&answer, &Line::Note(Note::Environment(report)));
            }
        }
        Err(error) => say(&answer, &Line::Fault(error.into())),
    }
    Ok(())
}

/// Who does not listen any more wants no answer.
fn say(mut answer: &File, line: &Line) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        // One write, or lines of several threads would mix.
        let _ = answer.write_all(&text);
    }
}
