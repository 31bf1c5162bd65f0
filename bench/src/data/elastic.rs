//! Stages that find their own number of workers, beside the best fixed numbers.
//!
//! In some shapes, the stages sleep for known times, so that only the distribution of workers
//! counts. In other shapes, they use processor time, so that workers beyond the cores are useless.
//! Every fixed assignment of workers that could be the best is tried. An assignment is skipped only
//! if even its ideal run would be slower than the best run so far.

use curator::backends::Event;
use curator::venv_cache::BoxError;
use curator::{LocalExecutor, Pipeline, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::{Lab, stage};
use crate::budget::Budget;
use crate::peers::Peer;
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::Table;

/// Maximum number of workers at once, for stages that sleep.
const SLEEPERS: usize = 6;
const TASKS: usize = 900;
/// Seconds that a slow stage and a fast stage take for a task.
const SLOW: f64 = 8e-3;
const FAST: f64 = 2e-3;
/// Number of parts of a run, each with another slow stage, in the shapes where that changes.
const PERIODS: usize = 5;

/// The seconds that a task takes in each of three stages, by its number and the number of tasks.
type Costs = fn(usize, usize) -> [f64; 3];

const FRONT: Costs = |_, _| [SLOW, FAST, FAST];
const MIDDLE: Costs = |_, _| [FAST, SLOW, FAST];
const ALTERNATING: Costs = |task, count| match (task * PERIODS / count) % 2 {
    0 => [SLOW, FAST, FAST],
    _ => [FAST, FAST, SLOW],
};

const SHAPES: [(&str, Work, Costs); 5] = [
    ("front-heavy", Work::Sleep, FRONT),
    ("middle-heavy", Work::Sleep, MIDDLE),
    ("alternating", Work::Sleep, ALTERNATING),
    ("front-heavy, processor time", Work::Burn, FRONT),
    ("alternating, processor time", Work::Burn, ALTERNATING),
];

/// How a stage spends the time that a task names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Sleep,
    Burn,
}

impl Work {
    /// Returns its class in `stages.py`.
    fn class(self) -> &'static str {
        match self {
            Self::Sleep => "Sleep",
            Self::Burn => "Burn",
        }
    }

    /// Returns how many of these can run at once.
    fn cores(self) -> Result<usize, BoxError> {
        match self {
            Self::Sleep => Ok(SLEEPERS),
            Self::Burn => Ok(std::thread::available_parallelism()?.get()),
        }
    }

    /// Returns the fixed numbers of workers that may be the best.
    fn assignments(self, cores: usize) -> Vec<[usize; 3]> {
        let each = 1..=cores;
        let firsts = each.clone().flat_map(|first| each.clone().map(move |second| (first, second)));
        let all = firsts.flat_map(|(one, two)| each.clone().map(move |three| [one, two, three]));
        match self {
            // A sleeping stage has a core for itself.
            Self::Sleep => all.filter(|workers| workers.iter().sum::<usize>() == cores).collect(),
            // Each stage may have all cores while the others have nothing to do.
            Self::Burn => all.collect(),
        }
    }

    /// Returns a lower bound in seconds for any run with these workers.
    fn least(self, costs: &[[f64; 3]], workers: [usize; 3], cores: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        let [cores, first, second, third] =
            [cores, workers[0], workers[1], workers[2]].map(|it| it as f64);
        let sum = |at: usize| costs.iter().map(|cost| cost[at]).sum::<f64>();
        let [one, two, three] = [sum(0), sum(1), sum(2)];
        let all = if self == Self::Burn { (one + two + three) / cores } else { 0.0 };
        [one / first, two / second, three / third].into_iter().fold(all, f64::max)
    }
}

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    let count = lab.runs(TASKS, TASKS / 3);
    table.section(format!(
        "{count} tasks through three stages that share the cores, start included"
    ));
    for (name, work, costs) in SHAPES {
        progress(&format!("elastic stages, {name}"));
        // Tasks that use processor time share the few cores.
        let count = if work == Work::Burn { count / 3 } else { count };
        let costs: Vec<[f64; 3]> = (0..count).map(|task| costs(task, count)).collect();
        let cores = work.cores()?;
        let (best, workers) = best_fixed(lab, work, cores, &costs)?;
        let mut ours = Vec::new();
        for _ in 0..lab.runs(3, 1) {
            lab.world.settle()?;
            ours.push(run(lab, work, cores, &costs, None)?);
        }
        let [first, second, third] = workers;
        let fixed = format!("the best fixed workers ({first}, {second}, {third})");
        let fixed = Peer::new(fixed, Ok(Sample::new(vec![best]))).with_budget(Budget::Elastic);
        table.add_beside(&format!("elastic, {name}"), &Sample::new(ours), vec![fixed]);
    }
    Ok(())
}

/// Returns the shortest run with fixed numbers of workers, and those numbers.
fn best_fixed(
    lab: &Lab<'_>,
    work: Work,
    cores: usize,
    costs: &[[f64; 3]],
) -> Result<(f64, [usize; 3]), BoxError> {
    let mut assignments = work.assignments(cores);
    let least = |workers: &[usize; 3]| work.least(costs, *workers, cores);
    assignments.sort_by(|left, right| least(left).total_cmp(&least(right)));
    let mut best = (f64::INFINITY, [1; 3]);
    lab.world.settle()?;
    for workers in assignments {
        if least(&workers) < best.0 {
            let seconds = run(lab, work, cores, costs, Some(workers))?;
            if seconds < best.0 {
                best = (seconds, workers);
            }
        }
    }
    Ok(best)
}

/// Returns the seconds of a run, start included, with fixed or self-found numbers of workers.
fn run(
    lab: &Lab<'_>,
    work: Work,
    cores: usize,
    costs: &[[f64; 3]],
    workers: Option<[usize; 3]>,
) -> Result<f64, BoxError> {
    let mut pipeline = Pipeline::new("elastic");
    for at in 0..3 {
        let name = at.to_string();
        let stage = stage(work.class()).with_args(json!([name])).with_name(format!("stage-{name}"));
        pipeline = pipeline.with_stage(match workers {
            Some(workers) => stage.with_num_workers(workers[at]),
            None => stage,
        });
    }
    let tasks = costs
        .iter()
        .map(|[first, second, third]| Task::new(json!({ "0": first, "1": second, "2": third })));
    let executor: LocalExecutor = lab.executor().with_cpus(cores);
    let flow = Flow::run(&executor, &pipeline, tasks, |_| true)?;
    if workers.is_none() {
        progress(&found_workers(&flow));
    }
    Ok(flow.last)
}

/// Returns the times at which stages got another worker, for examining a slow run.
fn found_workers(flow: &Flow) -> String {
    let starts = flow.events.iter().filter_map(|(at, event)| match event {
        Event::WorkerReady { stage, .. } => Some(format!("{stage} {at:.2} s")),
        _ => None,
    });
    let starts: Vec<String> = starts.collect();
    format!("of {:.2} s: {}", flow.last, starts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_assignments_are_there() {
        let sleeping = Work::Sleep.assignments(6);
        assert_eq!(sleeping.len(), 10);
        assert!(sleeping.iter().all(|it| it.iter().sum::<usize>() == 6), "{sleeping:?}");
        let burning = Work::Burn.assignments(2);
        assert_eq!(burning.len(), 8);
        assert!(burning.contains(&[1, 1, 1]) && burning.contains(&[2, 2, 2]));
    }

    #[test]
    fn no_run_is_shorter_than_its_slowest_stage_or_than_all_cores_allow() {
        let costs = vec![[4.0, 2.0, 2.0]; 10];
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(close(Work::Sleep.least(&costs, [4, 1, 1], 6), 20.0));
        assert!(close(Work::Sleep.least(&costs, [1, 1, 4], 6), 40.0));
        assert!(close(Work::Burn.least(&costs, [2, 2, 2], 2), 40.0));
        assert!(close(Work::Burn.least(&costs, [1, 2, 2], 1), 80.0));
    }
}
