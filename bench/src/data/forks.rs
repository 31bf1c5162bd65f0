//! Workers that are forked from a template, beside workers that are started: until they are ready,
//! and the memory of eight.

use curator::backends::Event;
use curator::venv_cache::BoxError;
use curator::{Pipeline, PythonStage, Task};
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

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("workers that are forked");
    table.section("a stage whose file imports pandas and pyarrow: workers, forked and started");
    let base = MeasuredBase::frames(lab.world)?;
    let stage = PythonStage::from_file(script("imports.py"), "Imported").with_batch_size(1);
    let executor = World::executor(&base.base(), &lab.cache);
    let kinds = [("forked", executor.clone()), ("started", executor.with_templates(false))];
    let mut medians = Vec::new();
    for (kind, executor) in &kinds {
        // Each task has a worker of its own; the first one waits for the imports in either case.
        let pipeline = Pipeline::new("forks")
            .with_stage(stage.clone().with_num_workers(1).with_recycle_after(1));
        lab.world.settle()?;
        let tasks = vec![Task::new(json!({})); lab.runs(40, 10)].into_iter();
        let flow = Flow::run(executor, &pipeline, tasks, |_| true)?;
        let ready = flow.events.iter().filter_map(|(_, event)| match event {
            Event::WorkerReady { duration, .. } => Some(duration.as_secs_f64()),
            _ => None,
        });
        let sample = Sample::new(ready.skip(1).collect());
        medians.push(sample.median());
        let what = format!("a further worker, {kind}: from when it is wanted until it is ready");
        table.add(Row::seconds(what, &sample));
    }
    if let [forked, started] = medians[..] {
        table.compare("a further worker, forked", "started", forked, started, None);
    }
    for (kind, executor) in &kinds {
        let mut bytes = Vec::new();
        for run in 0..lab.runs(3, 1) {
            // Tasks wait for all eight: the first worker alone would have done them before the last one
            // has imported anything.
            let folder = lab.world.root().join(format!("together-{kind}-{run}"));
            std::fs::create_dir_all(&folder)?;
            let stage = PythonStage::from_file(script("imports.py"), "Together")
                .with_args(json!([folder, 8]))
                .with_batch_size(1)
                .with_num_workers(8);
            let pipeline = Pipeline::new("forks").with_stage(stage);
            lab.world.settle()?;
            let before = memory::Memory::now().all;
            let tasks = vec![Task::new(json!({})); 64].into_iter();
            let run = || Flow::run(executor, &pipeline, tasks, |_| true);
            let (flow, peak, _) = memory::peak(run);
            flow?;
            #[expect(clippy::cast_precision_loss, reason = "no machine has that much")]
            bytes.push(peak.all.saturating_sub(before) as f64);
        }
        table.add(Row::bytes(format!("eight workers, {kind}: memory"), &Sample::new(bytes)));
    }
    Ok(())
}
