//! Payloads there and back, from 64 KiB up: how the cost grows.

use std::sync::mpsc;

use curator::stage::Data;
use curator::venv_cache::BoxError;
use curator::{Pipeline, PythonStage, Task};
use serde_json::json;

use super::flow::{Flow, PATIENCE};
use super::lab::{Lab, copy, stage};
use crate::budget::Budget;
use crate::peers::{Peer, Runs, pool};
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};

/// Sizes with their names, the payloads in a run, and whether the size counts for the budget.
const SIZES: [(&str, usize, usize, bool); 3] = [
    ("64 KiB", 64 << 10, 1000, false),
    ("1 MiB", 1 << 20, 200, false),
    ("10 MiB", 10 << 20, 300, true),
];
/// Number of payloads at once: enough that the worker never waits for one.
const AHEAD: usize = 6;
/// Maximum number of bytes that the pools send, since they take many times as long.
const BY_POOLS: usize = 200 << 20;
/// What the stage does with a payload: the functions of `works.py`, in words, and whether each
/// counts for the budget.
const WORKS: [(&str, &str, bool); 3] = [
    ("same", "given back", true),
    ("answered", "answered by as many other bytes", true),
    ("copied", "copied by its stage", false),
];

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    table.section("bytes there and back, one worker: per payload");
    for (work, does, is_budgeted) in WORKS {
        for (name, size, count, is_large) in SIZES {
            progress(&format!("{name} {does}"));
            let (mut ours, mut apply, mut imap) = (Vec::new(), Runs::default(), Runs::default());
            let payload = format!("bytes:{size}");
            for _ in 0..lab.runs(3, 2) {
                lab.world.settle()?;
                ours.push(run(lab, work, size, count)?);
                let count = count.min(100).min(BY_POOLS / size);
                let peer = |way| pool(lab.python(), way, work, &payload, count, 1);
                apply.add(|| peer("apply"));
                imap.add(|| peer("imap"));
            }
            let ours = Sample::new(ours);
            let apply = Peer::new("Pool.apply", apply.sample());
            let is_judged = is_budgeted && is_large;
            let apply = if is_judged { apply.with_budget(Budget::Payloads) } else { apply };
            let peers = vec![apply, Peer::new("Pool.imap, chunks of 1", imap.sample())];
            table.add_beside(&format!("{name} {does}"), &ours, peers);
            if is_judged {
                let copies = ours.median() / copy(&[size]).median();
                table.explain(
                    Budget::Payloads,
                    format!("{does}, it takes as long as {copies:.1} copies in memory"),
                );
            }
        }
    }
    table.section("the least that a payload can cost: one copy in memory that is warm");
    for (name, size, ..) in SIZES {
        table.add(Row::seconds(format!("a copy of {name}"), &copy(&[size])));
    }
    Ok(())
}

fn run(lab: &Lab<'_>, work: &str, size: usize, count: usize) -> Result<f64, BoxError> {
    let pipeline = Pipeline::new("large").with_stage(worker(work));
    // Peers send the same bytes again and again, so the output is reused as the next input.
    let (back, again) = mpsc::channel();
    for _ in 0..AHEAD {
        back.send(vec![b'x'; size])?;
    }
    // One more, which warms up and is not timed.
    let count = count + 1;
    let tasks = (0..count).map(move |number| {
        // If a run fails, it returns no bytes, so the wait has a time limit.
        Task::new(marked(again.recv_timeout(PATIENCE).unwrap_or_default(), number))
    });
    let take = |task: Task| {
        let Data::Bytes(bytes) = task.data else { return false };
        let [first, last] =
            [bytes.first(), bytes.last()].map(|byte| byte.copied().unwrap_or_default());
        let is_right =
            if work == "answered" { first == b'y' && last == b'y' } else { first == !last };
        let is_whole = bytes.len() == size && is_right;
        // The run needs the last ones no longer.
        let _ = back.send(bytes);
        is_whole
    };
    Ok(Flow::run_warm(&lab.executor(), &pipeline, tasks, take)?.seconds_a_task())
}

/// Returns the stage for a kind of work, with one worker.
pub(super) fn worker(work: &str) -> PythonStage {
    // The stage returns the task itself, as stages do that only look at their tasks.
    let stage = match work {
        "same" => stage("Same"),
        _ => stage("Work").with_args(json!([work])),
    };
    stage.with_num_workers(1)
}

/// Marks the bytes: they begin with a number and end with its complement.
fn marked(mut bytes: Vec<u8>, number: usize) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "it is a mark, and may come again")]
    let mark = number as u8;
    if let [first, .., last] = &mut *bytes {
        (*first, *last) = (mark, !mark);
    }
    bytes
}
