//! Payloads there and back, from 64 KiB on: how the cost grows.
//!
//! A kind of payload is a name, the stage that it meets, and how a task of it is made and checked;
//! tables are to become another one.

use curator::venv_cache::BoxError;
use curator::{Pipeline, Task};

use super::flow::Flow;
use super::{Lab, stage};
use crate::peer::budget;
use crate::peers::{Peer, Runs, pool};
use crate::progress;
use crate::sample::Sample;
use crate::table::Table;

/// Sizes with their names, how many of them a run sends, and whether the budget is about them.
const SIZES: [(&str, usize, usize, bool); 3] = [
    ("64 KiB", 64 << 10, 1000, false),
    ("1 MiB", 1 << 20, 200, false),
    ("10 MiB", 10 << 20, 40, true),
];
/// What the stage does: the classes of `stages.py` and the functions of `pools.py`.
const WORKS: [(&str, &str, &str); 2] =
    [("Same", "same", "there and back"), ("Copied", "copied", "copied by its stage")];

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("large payloads");
    table.section("bytes there and back, one worker: per payload");
    for (class, work, does) in WORKS {
        for (name, size, count, is_budgeted) in SIZES {
            let (mut ours, mut apply, mut imap) = (Vec::new(), Runs::default(), Runs::default());
            let payload = format!("bytes:{size}");
            for _ in 0..lab.runs(3, 2) {
                lab.world.settle()?;
                ours.push(run(lab, class, size, count)?);
                let peer = |way| pool(lab.python(), way, work, &payload, count.min(100), 1);
                apply.add(|| peer("apply"));
                imap.add(|| peer("imap"));
            }
            let apply = Peer::new("Pool.apply", apply.sample());
            let is_budgeted = is_budgeted && class == "Same";
            let apply = if is_budgeted { apply.with_goal(budget::PAYLOADS) } else { apply };
            let peers = vec![apply, Peer::new("Pool.imap, chunks of 1", imap.sample())];
            table.add_beside(&format!("{name} {does}"), &Sample::new(ours), peers);
        }
    }
    Ok(())
}

fn run(lab: &Lab<'_>, class: &str, size: usize, count: usize) -> Result<f64, BoxError> {
    let pipeline = Pipeline::new("large").with_stage(stage(class).with_num_workers(1));
    // Made before the clock runs, as the peers send the same bytes again and again.
    let tasks = (0..count).map(|number| Task::new(payload(number, size))).collect();
    let is_whole = |task: &Task| {
        let bytes = task.data.as_bytes().unwrap_or_default();
        let number = bytes.first().copied().unwrap_or_default();
        bytes.len() == size && bytes.last() == Some(&!number)
    };
    Ok(Flow::run(&lab.executor(), &pipeline, tasks, is_whole)?.seconds_a_task())
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
