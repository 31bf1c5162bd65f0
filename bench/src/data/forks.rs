//! Workers that are forked from a template, beside workers that are started: until they are ready,
//! and the memory of one and of eight.

use curator::backends::Event;
use curator::venv_cache::BoxError;
use curator::{LocalExecutor, Pipeline, PythonStage, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::Lab;
use crate::bases::MeasuredBase;
use crate::memory;
use crate::peers::script;
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};
use crate::world::World;

/// Number of workers at once.
const WORKERS: usize = 8;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("workers that are forked");
    table.section("a stage whose file imports pandas and pyarrow: workers, forked and started");
    let base = MeasuredBase::frames(lab.world)?;
    let stage = |class| PythonStage::from_file(script("imports.py"), class);
    let executor = World::executor(&base.base(), &lab.cache);
    let workers = lab.runs(40, 10);
    add_workers(lab, &executor, [stage("Imported"), stage("Together")], workers, table)
}

/// Measures workers of a stage, and eight at once of one whose class is `Together`.
pub(super) fn add_workers(
    lab: &Lab<'_>,
    executor: &LocalExecutor,
    [stage, together]: [PythonStage; 2],
    workers: usize,
    table: &mut Table,
) -> Result<(), BoxError> {
    let kinds = [("forked", executor.clone()), ("started", executor.clone().with_templates(false))];
    let mut medians = Vec::new();
    for (kind, executor) in &kinds {
        let sample = until_ready(lab, executor, &stage, workers)?;
        medians.push(sample.median());
        let what = format!("a further worker, {kind}: from when it is wanted until it is ready");
        table.add(Row::seconds(what, &sample));
    }
    if let [forked, started] = medians[..] {
        table.compare("a further worker, forked", "started", forked, started, None);
    }
    let [forked, started] = &kinds;
    let [mut eight, mut one, mut apart] = [const { Vec::new() }; 3];
    for _ in 0..lab.runs(3, 1) {
        eight.push(memory_of(WORKERS, lab, &forked.1, &together)?);
        one.push(memory_of(1, lab, &started.1, &together)?);
        apart.push(memory_of(WORKERS, lab, &started.1, &together)?);
    }
    let one = Sample::new(one);
    let row = Row::bytes("eight workers, forked: memory", &Sample::new(eight));
    table.add(row.against(one.median()));
    table.add(Row::bytes("one worker, started: memory", &one));
    table.add(Row::bytes("eight workers, started: memory", &Sample::new(apart)));
    Ok(())
}

/// Returns the seconds until each worker but the first is ready.
fn until_ready(
    lab: &Lab<'_>,
    executor: &LocalExecutor,
    stage: &PythonStage,
    workers: usize,
) -> Result<Sample, BoxError> {
    // Each task has a worker of its own; the first one waits for the imports in either case.
    let stage = stage.clone().with_batch_size(1).with_num_workers(1).with_recycle_after(1);
    let pipeline = Pipeline::new("forks").with_stage(stage);
    lab.world.settle()?;
    let tasks = vec![Task::new(json!({})); workers].into_iter();
    let flow = Flow::run(executor, &pipeline, tasks, |_| true)?;
    let ready = flow.events.iter().filter_map(|(_, event)| match event {
        Event::WorkerReady { duration, .. } => Some(duration.as_secs_f64()),
        _ => None,
    });
    Ok(Sample::new(ready.skip(1).collect()))
}

/// Returns the bytes that so many workers add.
fn memory_of(
    workers: usize,
    lab: &Lab<'_>,
    executor: &LocalExecutor,
    together: &PythonStage,
) -> Result<f64, BoxError> {
    // Tasks wait for all of them: the first worker alone would have done them before the last one has
    // imported anything.
    let folder = tempfile::tempdir_in(lab.world.root())?;
    let stage = together
        .clone()
        .with_args(json!([folder.path(), workers]))
        .with_batch_size(1)
        .with_num_workers(workers);
    let pipeline = Pipeline::new("forks").with_stage(stage);
    lab.world.settle()?;
    let before = memory::Memory::now().all;
    let tasks = vec![Task::new(json!({})); 64].into_iter();
    let (flow, peak, _) = memory::peak(|| Flow::run(executor, &pipeline, tasks, |_| true));
    flow?;
    #[expect(clippy::cast_precision_loss, reason = "no machine has that much")]
    Ok(peak.all.saturating_sub(before) as f64)
}
