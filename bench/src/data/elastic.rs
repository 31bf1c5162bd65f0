//! Stages that find their own number of workers, beside the best fixed numbers.
//!
//! The stages take known times and no processor, so that what is measured is who gets the workers.
//! Every fixed assignment of the workers is tried that could be the best: one is passed over only
//! where its slowest stage alone would take longer than the best run so far.

use curator::backends::Event;
use curator::venv_cache::BoxError;
use curator::{LocalExecutor, Pipeline, Task};
use serde_json::json;

use super::flow::Flow;
use super::{Lab, stage};
use crate::peer::budget;
use crate::peers::Peer;
use crate::progress;
use crate::sample::Sample;
use crate::table::Table;

/// How many workers may be at work at once.
const CORES: usize = 6;
const TASKS: usize = 1200;
/// What a stage takes for a task, in seconds, where it is the slow one and where it is not.
const SLOW: f64 = 8e-3;
const FAST: f64 = 2e-3;
/// After how many tasks another stage is the slow one, in the shape where that changes.
const PERIOD: usize = 250;

/// A pipeline of three stages by what its tasks take in each.
type Shape = (&'static str, fn(usize) -> [f64; 3]);

const SHAPES: [Shape; 3] = [
    ("front-heavy", |_| [SLOW, FAST, FAST]),
    ("middle-heavy", |_| [FAST, SLOW, FAST]),
    ("alternating", |task| match (task / PERIOD) % 2 {
        0 => [SLOW, FAST, FAST],
        _ => [FAST, FAST, SLOW],
    }),
];

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("elastic stages");
    let count = lab.runs(TASKS, TASKS / 3);
    table.section(format!("three stages share {CORES} workers: {count} tasks, start included"));
    for (name, costs) in SHAPES {
        let costs: Vec<[f64; 3]> = (0..count).map(costs).collect();
        let (best, workers) = best_fixed(lab, &costs)?;
        let mut ours = Vec::new();
        for _ in 0..lab.runs(3, 1) {
            lab.world.settle()?;
            ours.push(run(lab, &costs, None)?);
        }
        let [first, second, third] = workers;
        let fixed = format!("the best fixed workers ({first}, {second}, {third})");
        let fixed = Peer::new(fixed, Ok(Sample::new(vec![best]))).with_goal(budget::ELASTIC);
        table.add_beside(&format!("elastic, {name}"), &Sample::new(ours), vec![fixed]);
    }
    Ok(())
}

/// The shortest run with fixed numbers of workers, and those.
fn best_fixed(lab: &Lab<'_>, costs: &[[f64; 3]]) -> Result<(f64, [usize; 3]), BoxError> {
    let least = |workers: &[usize; 3]| {
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        let stage = |at: usize| costs.iter().map(|cost| cost[at]).sum::<f64>() / workers[at] as f64;
        (0..3).map(stage).fold(0.0, f64::max)
    };
    let mut assignments: Vec<[usize; 3]> = Vec::new();
    for first in 1..CORES - 1 {
        for second in 1..CORES - first {
            assignments.push([first, second, CORES - first - second]);
        }
    }
    assignments.sort_by(|left, right| least(left).total_cmp(&least(right)));
    let mut best = (f64::INFINITY, [1; 3]);
    for workers in assignments {
        if least(&workers) < best.0 {
            let seconds = run(lab, costs, Some(workers))?;
            if seconds < best.0 {
                best = (seconds, workers);
            }
        }
    }
    Ok(best)
}

/// The seconds of a run, its start included, with fixed numbers of workers or those that it finds.
fn run(lab: &Lab<'_>, costs: &[[f64; 3]], workers: Option<[usize; 3]>) -> Result<f64, BoxError> {
    let mut pipeline = Pipeline::new("elastic");
    for at in 0..3 {
        let name = at.to_string();
        let sleep = stage("Sleep").with_args(json!([name])).with_name(format!("sleep-{name}"));
        pipeline = pipeline.with_stage(match workers {
            Some(workers) => sleep.with_num_workers(workers[at]),
            None => sleep,
        });
    }
    let tasks = costs
        .iter()
        .map(|[first, second, third]| Task::new(json!({ "0": first, "1": second, "2": third })));
    let executor: LocalExecutor = lab.executor().with_cpus(CORES);
    let flow = Flow::run(&executor, &pipeline, tasks.collect(), |_| true)?;
    if workers.is_none() {
        progress(&found_workers(&flow));
    }
    Ok(flow.last)
}

/// When which stage got another worker: where to look if the run takes too long.
fn found_workers(flow: &Flow) -> String {
    let starts = flow.events.iter().filter_map(|(at, event)| match event {
        Event::WorkerReady { stage, .. } => Some(format!("{stage} {at:.2} s")),
        _ => None,
    });
    let starts: Vec<String> = starts.collect();
    format!("of {:.2} s: {}", flow.last, starts.join(", "))
}
