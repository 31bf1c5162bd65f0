//! `schema`: the JSON Schema of pipeline files.

use std::process::ExitCode;

use curator::stage::PipelineFile;

use crate::failure::Failure;
use crate::output;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    output::json(&PipelineFile::schema())
}
