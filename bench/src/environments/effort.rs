//! What the subjects share.

use curator::RuntimeEnv;
use curator::backends::{DiskSource, Provisioner};
use curator::envspec::{LoadedEnv, Tool};
use curator::venv_cache::BoxError;

/// How often to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) quick: bool,
}

impl Effort {
    pub(super) fn runs(self, full: usize) -> usize {
        if self.quick { full.div_ceil(3) } else { full }
    }
}

/// Returns the spec of most measurements: one small package that replaces the base's version.
pub(super) fn packaging(tool: Tool, version: &str) -> Result<LoadedEnv, BoxError> {
    spec(tool, &[&format!("packaging=={version}")])
}

pub(super) fn spec(tool: Tool, lines: &[&str]) -> Result<LoadedEnv, BoxError> {
    let lines = lines.iter().copied();
    let env = match tool {
        Tool::Pip => RuntimeEnv::pip(lines),
        Tool::Uv => RuntimeEnv::uv(lines),
    };
    Ok(env.load(&DiskSource, &std::env::current_dir()?)?)
}

/// Opens the base in advance, so that no lookup or build includes that time.
pub(super) fn open_base(provisioner: &Provisioner) -> Result<(), BoxError> {
    provisioner.base_environment(&LoadedEnv::default())?;
    Ok(())
}
