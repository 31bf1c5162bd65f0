//! The files that a plan is made from, which a run must not write to.

use std::collections::BTreeSet;
use std::path::PathBuf;

use envspec::LoadedEnv;
use stage::PythonSource;

use super::{Plan, PlannedBase};

impl Plan {
    /// Returns the files that the pipeline names: lists of packages, with those that they include,
    /// packages and modules that are one file, and the files of the stages. Files in the folders
    /// that it names are not among them.
    #[must_use]
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = self.lists.clone();
        if let Some(PlannedBase::Managed(env)) = &self.base {
            files.extend(named(env));
        }
        for stage in &self.stages {
            files.extend(stage.env.iter().flat_map(named));
            if let Some(PythonSource::File(file)) =
                stage.behaviour.as_python().map(stage::PythonCode::source)
            {
                files.insert(file.clone());
            }
        }
        files.retain(|path| path.is_file());
        files
    }
}

fn named(env: &LoadedEnv) -> impl Iterator<Item = PathBuf> {
    let packages = env.install.iter().flat_map(|install| install.contents.keys());
    packages.chain(&env.py_modules).chain(&env.working_dir).cloned()
}
