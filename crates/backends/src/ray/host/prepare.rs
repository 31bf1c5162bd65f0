//! The environments of a run, made on a node before its stages need them.
//!
//! The driver (`python/curator_ray.py`, `prepare_node` in `curator_ray_actor.py`) has each node start
//! this program with the specs of all stages. [`serve`] makes the environments over the base of that
//! node, from its cache. The host of a stage (`stage`) later asks for the same environment and finds it.
//! With [`RayEnv::Native`](crate::RayEnv), Ray makes the packages instead: see `ray/native.rs`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stage::Registry;

use super::fault::Fault;
use super::request::{Note, PrepareRequest};
use super::stage::executor;
use crate::run::{Event, Plan};

/// One line of the answer.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Note(Note),
    Fault(Fault),
}

/// Reads a request from the standard input, and answers with a line of JSON for every event. The
/// end of the standard input ends this program.
pub(crate) fn serve(registry: &Registry) -> io::Result<()> {
    // A program's own code may print while it makes its stages; that must not mix with the answer.
    let answer = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdout(io::stderr())?;
    let answer = Arc::new(answer);
    // The input stays open after the request.
    let mut input = serde_json::Deserializer::from_reader(io::stdin());
    let PrepareRequest { place, stages } = PrepareRequest::deserialize(&mut input)?;
    // The requester keeps the other end open. When it closes, the environments are no longer
    // wanted, or the request is complete.
    std::thread::Builder::new().name("curator-asker".to_owned()).spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    })?;
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

/// Sends a line of the answer. If the requester has gone, it is dropped.
fn say(mut answer: &File, line: &Line) {
    if let Ok(mut text) = serde_json::to_vec(line) {
        text.push(b'\n');
        // One write, or lines of several threads would mix.
        let _ = answer.write_all(&text);
    }
}
