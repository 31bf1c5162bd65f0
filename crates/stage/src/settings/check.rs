//! Checks for settings that make no sense.

use super::options::{RAY, XENNA};
use super::plain::Settings;
use super::row::ROWS;
use crate::Error;

impl Settings {
    /// Fails for values that make no sense and for options that no engine knows. Building a
    /// pipeline calls it for each stage.
    ///
    /// It refuses all that `nemo_curator` refuses: `gpus` with `gpu_memory_gb`, two ways to give
    /// the number of workers, unknown keys of `ray_stage_spec`, and keys that `ray_remote_args` may
    /// not hold. It also refuses faults that `nemo_curator` lets pass: unknown keys of
    /// `xenna_stage_spec`, values of the wrong type, and a `runtime_env` within `ray_remote_args`.
    pub fn check(&self) -> Result<(), Error> {
        check_name("stage", &self.name)?;
        let wrong = |setting, problem: &str| {
            let (stage, problem) = (self.name.clone(), problem.to_owned());
            Err(Error::Setting { stage, setting, problem })
        };
        if let Some(problem) = self.resources.problem() {
            return wrong("resources", &problem);
        }
        if let Some(problem) = self.workers.problem() {
            return wrong(self.workers.setting(), problem);
        }
        for row in ROWS {
            if let Some(problem) = (row.problem)(self) {
                return wrong(row.name(), &problem);
            }
        }
        RAY.check(&self.name, &self.ray_options, self.workers)?;
        XENNA.check(&self.name, &self.xenna_options, self.workers)
    }
}

/// Fails for a name that is empty or would break a line of a log.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(Error::Name { what, name: name.chars().take(64).collect() });
    }
    Ok(())
}
