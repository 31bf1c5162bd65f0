//! The report of a run, as a file.

use std::path::{Path, PathBuf};

use curator::RunReport;
use curator::backends::{Error, Plan, Provisioner, Recorder};
use curator::envspec::LoadedEnv;

use super::destinations;
use crate::failure::Failure;
use crate::whole;

/// Where a report goes, and in which form.
#[derive(Debug)]
pub(crate) struct ReportFile {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Html,
    Json,
}

impl Form {
    fn of(extension: &str) -> Option<Self> {
        match extension {
            "html" => Some(Self::Html),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl ReportFile {
    /// Creates a report at this path, in the form that the end of its name tells.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let form = destinations::extension(path).as_deref().and_then(Form::of);
        let form = form.ok_or_else(|| {
            let problem =
                format!("--report `{}` ends in neither `.html` nor `.json`", path.display());
            Failure::usage(&problem)
        })?;
        Ok(Self { path: path.to_owned(), form })
    }

    /// Writes what was recorded of a run that ended so.
    pub(crate) fn write(
        &self,
        recorder: &Recorder,
        result: Result<&RunReport, &Error>,
    ) -> Result<(), Failure> {
        let failed = |error: &std::io::Error| {
            Failure::io(&format!("write the report `{}`", self.path.display()), error)
        };
        let profile = recorder.finish(result);
        let text = match self.form {
            Form::Html => profile.to_html(),
            Form::Json => {
                serde_json::to_string_pretty(&profile).map_err(|it| failed(&it.into()))? + "\n"
            }
        };
        whole::write(&self.path, text.as_bytes()).map_err(|error| failed(&error))
    }
}

/// Has the recorder know what is in the environments of a run that failed: those that were ready
/// are in the cache. Where they cannot be read the report lacks them.
pub(crate) fn describe(recorder: &Recorder, plan: &Plan, cache_dir: Option<&Path>) {
    let keys = recorder.keys();
    let has_base = recorder.has_base();
    if keys.is_empty() && !has_base {
        return;
    }
    let builder = Provisioner::builder().base_of(plan).cache_dir(cache_dir);
    let Ok(provisioner) = builder.open() else { return };
    if has_base && let Ok(base) = provisioner.base_environment(&LoadedEnv::default()) {
        recorder.describe(base.report());
    }
    for key in keys {
        if let Ok(environment) = provisioner.find_by_prefix(&key) {
            recorder.describe(environment.report());
        }
    }
}
