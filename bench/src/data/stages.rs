//! Small tasks through one stage, and through up to eight, one worker each.

use curator::stage::Data;
use curator::venv_cache::BoxError;
use curator::{Pipeline, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::{Lab, stage};
use crate::budget::Budget;
use crate::peers::{Peer, Runs, pool};
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::Table;

const SIZE: usize = 1024;
const TASKS: usize = 20_000;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("small tasks through one stage");
    table.section("tasks of 1 KiB through one Python stage, one at a time: per task");
    for kind in ["bytes", "json"] {
        let (mut ours, mut imap, mut futures) = (Vec::new(), Runs::default(), Runs::default());
        let payload = format!("{kind}:{SIZE}");
        for _ in 0..lab.runs(3, 2) {
            lab.world.settle()?;
            ours.push(run(lab, 1, kind)?);
            imap.add(|| pool(lab.python(), "imap", "same", &payload, TASKS, 1));
            futures.add(|| pool(lab.python(), "futures", "same", &payload, TASKS / 10, 1));
        }
        let imap = Peer::new("Pool.imap, chunks of 1", imap.sample());
        let imap = if kind == "bytes" { imap.with_budget(Budget::Tasks) } else { imap };
        let peers = vec![imap, Peer::new("ProcessPoolExecutor", futures.sample())];
        table.add_beside(&format!("1 KiB of {kind}, one stage"), &Sample::new(ours), peers);
    }
    progress("small tasks through up to eight stages");
    table.section("bytes of 1 KiB through several Python stages, one at a time: per task");
    for (stages, name) in [(2, "two stages"), (4, "four stages"), (8, "eight stages")] {
        let (mut ours, mut imap) = (Vec::new(), Runs::default());
        for _ in 0..lab.runs(3, 1) {
            lab.world.settle()?;
            ours.push(run(lab, stages, "bytes")?);
            let payload = format!("bytes:{SIZE}");
            imap.add(|| pool(lab.python(), "imap", "same", &payload, TASKS / 4, stages));
        }
        let peers = vec![Peer::new("a chain of Pool.imap", imap.sample())];
        table.add_beside(&format!("1 KiB of bytes, {name}"), &Sample::new(ours), peers);
    }
    Ok(())
}

fn run(lab: &Lab<'_>, stages: usize, kind: &str) -> Result<f64, BoxError> {
    let mut pipeline = Pipeline::new("small");
    for number in 0..stages {
        let same = stage("Same").with_name(format!("same-{number}")).with_num_workers(1);
        pipeline = pipeline.with_stage(same);
    }
    let data: Data = match kind {
        "json" => json!({ "text": "x".repeat(SIZE) }).into(),
        _ => vec![b'x'; SIZE].into(),
    };
    let tasks = vec![Task::new(data.clone()); TASKS + 1].into_iter();
    let flow = Flow::run_warm(&lab.executor(), &pipeline, tasks, |task| task.data == data)?;
    Ok(flow.seconds_a_task())
}
