//! The report of a run, as a file.

use std::fs;
use std::path::{Path, PathBuf};

use curator::RunReport;

use crate::failure::Failure;

/// Where a report goes, and in which form.
#[derive(Debug)]
pub(crate) struct ReportFile {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Json,
}

impl Form {
    fn of(extension: &str) -> Option<Self> {
        (extension == "json").then_some(Self::Json)
    }
}

impl ReportFile {
    /// The form is told by the name's end.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let form = path.extension().and_then(|it| it.to_str()).and_then(Form::of);
        let form = form.ok_or_else(|| {
            let problem = format!("--report `{}` does not end in `.json`", path.display());
            Failure::usage(&problem)
        })?;
        Ok(Self { path: path.to_owned(), form })
    }

    pub(crate) fn write(&self, report: &RunReport) -> Result<(), Failure> {
        let failed = |error: &std::io::Error| {
            Failure::io(&format!("write the report `{}`", self.path.display()), error)
        };
        let text = match self.form {
            Form::Json => serde_json::to_string_pretty(report).map_err(|it| failed(&it.into()))?,
        };
        fs::write(&self.path, text + "\n").map_err(|error| failed(&error))
    }
}
