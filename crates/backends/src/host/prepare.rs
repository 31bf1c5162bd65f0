//! The environments of a run, made on a node before its stages need them.

use std::io::{self, Write};
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
    let PrepareRequest { place, stages } = serde_json::from_reader(io::stdin().lock())?;
    let result = stages
        .into_iter()
        .map(|stage| stage.into_planned(&place, registry, false))
        .collect::<Result<Vec<_>, _>>()
        .and_then(|stages| {
            let plan = Plan::of_stages(stages);
            let observer = Arc::new(|event: &Event| say(&Line::Note(Note::Event(event.clone()))));
            executor(&place).prepare(&plan, observer)
        });
    match result {
        Ok(environments) => {
            for report in environments {
                say(&Line::Note(Note::Environment(report)));
            }
        }
        Err(error) => say(&Line::Fault(error.into())),
    }
    Ok(())
}

/// Who does not listen any more wants no answer.
fn say(line: &Line) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        let _ = io::stdout().lock().write_all(&text);
    }
}
