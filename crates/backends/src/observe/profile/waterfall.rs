//! Where the time until a stage's first output went: steps, one after the other, from the begin of the run.
//!
//! They are all of that time, and none of it twice: each ends where the next one begins. A package manager
//! tells of its own phases as far as it does, and what goes on side by side (checks beside the compiler)
//! has the name of what was told last.

use serde_json::{Value, json};

use super::bins::rounded;
use super::tallies::{Life, Making, StageTally};
use crate::run::StartStep;

/// Steps that follow each other.
#[derive(Default)]
struct Steps {
    now: f64,
    steps: Vec<(&'static str, f64)>,
}

impl Steps {
    /// Adds a step that took the time until a moment. A moment that has passed took none.
    fn until(&mut self, moment: f64, name: &'static str) {
        if moment > self.now {
            match self.steps.iter_mut().find(|(same, _)| *same == name) {
                Some((_, time)) => *time += moment - self.now,
                None => self.steps.push((name, moment - self.now)),
            }
            self.now = moment;
        }
    }
}

/// Returns the steps of a stage; none before its first output. `base` is the managed base that was
/// made.
pub(super) fn value(
    stage: &StageTally,
    base: Option<&Making>,
    making: Option<&Making>,
    life: Option<&Life>,
) -> Option<Value> {
    let first = stage.first.as_ref()?;
    let mut steps = Steps::default();
    if let Some(making) = making {
        let end = making.end.unwrap_or(making.begin);
        let begin = making.phases.first().map_or(end, |(begin, _)| *begin);
        if let Some(ready) = base.and_then(|base| base.end) {
            steps.until(ready.min(begin), "base");
        }
        steps.until(begin, "lookup");
        for (place, (_, phase)) in making.phases.iter().enumerate() {
            let next = making.phases.get(place + 1).map_or(end, |(next, _)| *next);
            steps.until(next, phase.as_str());
        }
        steps.until(end, "lookup");
    }
    if let Some(life) = life {
        steps.until(life.begin, "waiting for a worker");
        for (moment, step) in &life.steps {
            let name = match step {
                StartStep::Template | StartStep::Forked | StartStep::Proven => "start",
                StartStep::Imported | StartStep::Loaded => "import",
                StartStep::Devices => "waiting for a device",
            };
            steps.until(*moment, name);
        }
        steps.until(life.ready, "setup");
    }
    steps.until(first.begin, "waiting for a task");
    let task = steps.now;
    steps.until(first.end, "process");
    let named = steps.steps.iter();
    let named = named.map(|(name, time)| json!({ "name": name, "seconds": rounded(*time) }));
    Some(json!({
        "first_task_seconds": rounded(task),
        "first_output_seconds": rounded(steps.now),
        "steps": named.collect::<Vec<_>>(),
    }))
}
