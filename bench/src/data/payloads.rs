//! Payloads there and back, from 64 KiB on: how the cost grows.

use curator::venv_cache::BoxError;
use curator::{Pipeline, PythonStage, Task};
use serde_json::json;

use super::flow::Flow;
use super::{Lab, copy, stage};
use crate::budget::Budget;
use crate::peers::{Peer, Runs, pool};
use crate::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};

/// Sizes with their names, how many of them a run sends, and whether the budget is about them.
const SIZES: [(&str, usize, usize, bool); 3] = [
    ("64 KiB", 64 << 10, 1000, false),
    ("1 MiB", 1 << 20, 200, false),
    ("10 MiB", 10 << 20, 20, true),
];
/// What the stage does with a payload: the functions of `works.py`, in words, and whether the budget
/// is about it.
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
                let peer = |way| pool(lab.python(), way, work, &payload, count.min(100), 1);
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
    // Made before the clock runs, as the peers send the same bytes again and again.
    let tasks = (0..count).map(|number| Task::new(payload(number, size))).collect();
    let is_whole = |task: &Task| {
        let bytes = task.data.as_bytes().unwrap_or_default();
        let [first, last] =
            [bytes.first(), bytes.last()].map(|byte| byte.copied().unwrap_or_default());
        let is_right =
            if work == "answered" { first == b'y' && last == b'y' } else { first == !last };
        bytes.len() == size && is_right
    };
    Ok(Flow::run_warm(&lab.executor(), &pipeline, tasks, is_whole)?.seconds_a_task())
}

/// The stage that does a work, with one worker.
pub(super) fn worker(work: &str) -> PythonStage {
    // What is given back is the task itself, as stages do that look at their tasks.
    let stage = match work {
        "same" => stage("Same"),
        _ => stage("Work").with_args(json!([work])),
    };
    stage.with_num_workers(1)
}

/// Bytes that begin with a number and end with its complement.
fn payload(number: usize, size: usize) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "it is a mark, and may come again")]
    let mark = number as u8;
    let mut bytes = vec![b'x'; size];
    bytes[0] = mark;
    bytes[size - 1] = !mark;
    bytes
}
