//! Arrow tables through three Python stages, and the memory that the largest tables take.

use std::cell::RefCell;
use std::sync::Arc;

use curator::stage::Table as Arrow;
use curator::stage::arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use curator::venv_cache::BoxError;
use curator::{Pipeline, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::{Lab, copy, stage};
use super::payloads::worker;
use crate::bases::MeasuredBase;
use crate::budget::Budget;
use crate::memory::{Memory, peak};
use crate::peers::{Peer, Runs, pool};
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table, times};
use crate::world::World;

/// Sizes with their names, the tables in a run, and the number of runs.
const SIZES: [(&str, usize, usize, usize); 4] = [
    ("1 MiB", 1 << 20, 60, 3),
    ("16 MiB", 16 << 20, 24, 2),
    ("64 MiB", 64 << 20, 12, 2),
    ("256 MiB", 256 << 20, 9, 1),
];
/// What each stage does: the functions of `works.py`, in words.
const WORKS: [(&str, &str); 2] = [("same", "passed on"), ("renewed", "made anew")];
const STAGES: u8 = 3;
/// The bytes of a row: five numbers of 8 bytes, and a text of 16 bytes with its offset.
const ROW: usize = 5 * 8 + 16 + 4;
/// Tables that go first, until all memory has been used once, where one stage is measured.
const WARM: usize = 3;
/// Number of the largest tables that go through while memory is watched.
const WATCHED: usize = 8;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    let base = MeasuredBase::tables(lab.world)?;
    let mut copies = Vec::new();
    for (work, does) in WORKS {
        table.section(format!("tables through {STAGES} Python stages, {does} by each: per table"));
        for (name, size, count, runs) in SIZES {
            progress(&format!("tables of {name}, {does}"));
            let (mut ours, mut imap) = (Vec::new(), Runs::default());
            for _ in 0..lab.runs(runs, 1) {
                lab.world.settle()?;
                ours.push(run(lab, &base, work, size, count)?);
                let payload = format!("table:{size}");
                // The pools get fewer, since they take ten times as long and have nothing to warm
                // up.
                let count = count.min(60).div_ceil(3);
                imap.add(|| pool(&base.python, "imap", work, &payload, count, STAGES.into()));
            }
            let (ours, copy) = (Sample::new(ours), copy(&pieces(&arrow(size)?)?));
            let added = added(lab, &base, work, size, count)?;
            copies.push((size, format!("a table of {name} {does}"), added));
            let what = format!("a table of {name}, {does}");
            let peers = vec![Peer::new("a chain of Pool.imap", imap.sample())];
            table.add_beside(&what, &ours, peers);
            table.add(Row::seconds(format!("{what}: one copy of it in memory"), &copy));
        }
    }
    table.section("what the second stage adds to its own work, in copies of the table in memory");
    let largest = SIZES.map(|(_, size, ..)| size).into_iter().max();
    for (size, what, added) in copies {
        let sample = |part: fn(&Added) -> f64| Sample::new(added.iter().map(part).collect());
        let (way, stage) = (sample(|it| it.way), sample(|it| it.stage));
        let all = sample(|it| it.way + it.stage);
        table.add(Row::times(format!("{what}: to the stage and from it"), &way));
        table.add(Row::times(format!("{what}: in the stage's process"), &stage));
        let row = Row::times(&what, &all);
        // For small tables, copies are not what costs.
        if Some(size) == largest {
            let budget = Budget::TableCopies;
            table.add(row.within(budget, budget.limit()));
            let [way, stage] = [way, stage].map(|part| times(part.median()));
            let reason =
                format!("{what} takes {way} to its stage, and {stage} from it by `pyarrow`");
            table.explain(budget, reason);
        } else {
            table.add(row);
        }
    }
    memory(lab, &base, table)
}

/// Returns the seconds for each table.
fn run(
    lab: &Lab<'_>,
    base: &MeasuredBase,
    work: &str,
    size: usize,
    count: usize,
) -> Result<f64, BoxError> {
    let data = arrow(size)?;
    let rows = data.rows();
    let is_whole = |task: Task| task.data.as_table().is_some_and(|table| table.rows() == rows);
    let executor = World::executor(&base.base(), &lab.cache);
    let tasks = vec![Task::new(data); count + 1].into_iter();
    Ok(Flow::run_warm(&executor, &pipeline(work), tasks, is_whole)?.seconds_a_task())
}

/// The time a stage takes for a table beyond its own work, in copies of the table in memory.
#[derive(Clone, Copy, Debug)]
struct Added {
    /// Time outside its process.
    way: f64,
    /// Time inside its process.
    stage: f64,
}

/// Measures what the middle stage adds for each table. Copies alternate with tables, since memory
/// is not equally fast at all times.
fn added(
    lab: &Lab<'_>,
    base: &MeasuredBase,
    work: &str,
    size: usize,
    count: usize,
) -> Result<Vec<Added>, BoxError> {
    let middle = usize::from(STAGES / 2);
    let data = arrow(size)?;
    let pieces = pieces(&data)?;
    let seen = RefCell::new(Vec::new());
    let note = |task: Task| {
        let own = task.metadata.get("own").and_then(|own| own[middle].as_f64());
        seen.borrow_mut().push((own.unwrap_or_default(), copy(&pieces).median()));
        task.data.as_table().is_some()
    };
    let executor = World::executor(&base.base(), &lab.cache);
    let tasks = vec![Task::new(data); count + WARM].into_iter();
    let flow = Flow::run_single(&executor, &pipeline(work), tasks, note)?;
    let middle = middle.to_string();
    let batches = flow.batches.iter().filter(|(stage, ..)| *stage == middle);
    let tables = batches
        .zip(seen.into_inner())
        .skip(WARM)
        .map(|((_, code, way), (own, copy))| Added { way: way / copy, stage: (code - own) / copy });
    Ok(tables.collect())
}

fn pipeline(work: &str) -> Pipeline {
    (0..STAGES).fold(Pipeline::new("tables"), |pipeline, number| {
        let stage = match work {
            "same" => worker(work),
            _ => stage("Timed").with_args(json!([work])).with_num_workers(1),
        };
        pipeline.with_stage(stage.with_name(number.to_string()))
    })
}

/// Measures the memory of a run of the largest tables, beyond that of a run of small tables.
fn memory(lab: &Lab<'_>, base: &MeasuredBase, table: &mut Table) -> Result<(), BoxError> {
    let (name, size, ..) = SIZES[SIZES.len() - 1];
    table.section(format!("{WATCHED} tables of {name} in turn: memory at the most"));
    for (work, does) in WORKS {
        progress(&format!("the memory of tables of {name}, {does}"));
        let watch = |size| -> Result<Memory, BoxError> {
            let (ran, peak, looks) = peak(|| run(lab, base, work, size, WATCHED - 1));
            ran?;
            progress(&format!("{looks} looks at the memory of all processes"));
            Ok(peak)
        };
        let idle = watch(ROW)?;
        let busy = watch(size)?;
        let row = |what: &str, bytes: u64| {
            #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 bytes")]
            let sample = Sample::new(vec![bytes as f64]);
            Row::bytes(format!("tables of {name}, {does}: {what}"), &sample)
        };
        table.add(row("this process and its workers", busy.all));
        table.add(row("of these, shared memory", busy.shared));
        table.add(row("the same run with tables of one row", idle.all));
        // This process keeps the one table that it sends repeatedly.
        let held = idle.all + size as u64 + busy.shared;
        let beyond =
            row("beyond that, shared memory and the table sent", busy.all.saturating_sub(held));
        #[expect(clippy::cast_precision_loss, reason = "it is 256 MiB")]
        let limit = size as f64 * Budget::TableMemory.limit();
        // A table that a stage makes belongs to the stage, not to the path.
        let is_judged = work == "same";
        table.add(if is_judged { beyond.within(Budget::TableMemory, limit) } else { beyond });
    }
    Ok(())
}

/// The sizes of a table's parts, column by column: a copy of a table is never one piece.
fn pieces(table: &Arrow) -> Result<Vec<usize>, BoxError> {
    Ok(table.to_ipc_parts()?.iter().map(<[u8]>::len).collect())
}

/// Returns a table of about `size` bytes, with at least one row.
fn arrow(size: usize) -> Result<Arrow, BoxError> {
    let rows = i32::try_from(size / ROW)?.max(1);
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for at in 0..3 {
        let numbers: Int64Array = (0..rows).map(|row| i64::from(row + at)).collect();
        columns.push((format!("number_{at}"), Arc::new(numbers)));
    }
    for at in 0..2 {
        let numbers: Float64Array = (0..rows).map(|row| f64::from(row + at)).collect();
        columns.push((format!("float_{at}"), Arc::new(numbers)));
    }
    let texts = StringArray::from_iter_values((0..rows).map(|_| "sixteen letters."));
    columns.push(("text".to_owned(), Arc::new(texts)));
    Ok(RecordBatch::try_from_iter(columns)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_size_that_it_is_called_by() {
        for size in [1 << 20, 16 << 20] {
            let ipc = arrow(size).unwrap().to_ipc().unwrap().len();
            // Arrow may mark which values are present, with one bit for each.
            assert!(ipc.abs_diff(size) < size / 50, "{ipc} bytes for {size}");
        }
        assert_eq!(arrow(1).unwrap().rows(), 1);
    }
}
