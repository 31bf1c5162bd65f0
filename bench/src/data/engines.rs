//! The time that NeMo Curator takes for the documented example on Ray's engines, measured once.

use std::time::Duration;

use curator::venv_cache::BoxError;

use super::lab::Lab;
use crate::bases::MeasuredBase;
use crate::peers::{EngineRuns, nemo_curator};
use crate::progress::progress;

/// Number of tasks of the job, in a full and in a quick run.
pub(super) const TASKS: [usize; 2] = [2000, 500];
/// The engines, with their common names.
const ENGINES: [(&str, &str); 3] =
    [("ray-data", "Ray Data"), ("ray-actor-pool", "Ray Actor Pool"), ("xenna", "Xenna")];
/// Time limit of an engine for all of its runs.
const PATIENCE: Duration = Duration::from_mins(5);

/// The engines' figures, and the base that they used.
pub(super) struct Engines {
    pub(super) runs: Vec<(&'static str, EngineRuns)>,
    pub(super) base: Option<MeasuredBase>,
    /// Why figures are missing, if they are.
    pub(super) problem: Option<String>,
}

impl Engines {
    pub(super) fn run(lab: &Lab<'_>, with_many: bool) -> Self {
        let mut engines = Self { runs: Vec::new(), base: None, problem: None };
        engines.problem = engines.fill(lab, with_many).err().map(|error| error.to_string());
        engines
    }

    fn fill(&mut self, lab: &Lab<'_>, with_many: bool) -> Result<(), BoxError> {
        let base = MeasuredBase::nemo(lab.world)?;
        let python = base.python.clone();
        self.base = Some(base);
        // A quick run has time for one engine only.
        for (engine, name) in ENGINES.into_iter().take(lab.runs(3, 1)) {
            progress(&format!("the documented example by NeMo Curator on {name}"));
            lab.world.settle()?;
            let tasks = if with_many { lab.runs(TASKS[0], TASKS[1]) } else { 0 };
            self.runs.push((name, nemo_curator(lab.world, &python, engine, tasks, PATIENCE)?));
        }
        Ok(())
    }
}
