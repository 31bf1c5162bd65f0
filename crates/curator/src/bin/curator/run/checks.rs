//! The files that the arguments of a run name, checked before any work.

use curator::backends::Plan;

use super::apart::{self, Place};
use super::input::Input;
use super::results::Results;
use super::{Run, destinations};
use crate::failure::Failure;
use crate::streams;

impl Run {
    /// Refuses an output that would destroy an input, and two outputs in one place.
    pub(super) fn check_files(
        &self,
        plan: &Plan,
        input: &Input,
        output: &Results,
    ) -> Result<(), Failure> {
        let failed = self.failed.as_deref();
        if output.file().is_none() && failed.is_some_and(streams::is_stdout) {
            return Err(Failure::usage("--output and --failed are both the standard output"));
        }
        let mut inputs = vec![("the pipeline", Place::Path(&self.pipeline.file))];
        let named = plan.files();
        inputs.extend(named.iter().map(|path| ("a file of the pipeline", Place::Path(path))));
        match input {
            Input::File(path) => inputs.push(("--input", Place::Path(path))),
            Input::Stdin => inputs.push(("the standard input", Place::Stdin)),
            Input::None => {}
        }
        let written = match output.file() {
            Some(path) => ("--output", Some(Place::Path(path))),
            None => ("the standard output", Some(Place::Stdout)),
        };
        let failed = failed
            .map(|path| if streams::is_stdout(path) { Place::Stdout } else { Place::Path(path) });
        let report = self.report.as_deref().map(Place::Path);
        let outputs = [written, ("--failed", failed), ("--report", report)];
        let folders = [
            ("--checkpoint", self.checkpoint.as_deref()),
            ("--record", self.record.as_deref()),
            ("--locked", self.locked.as_deref()),
        ];
        apart::check(&inputs, &apart::given(outputs), &apart::given(folders))
    }

    /// Refuses files in formats that there are not.
    pub(super) fn check_formats(&self) -> Result<(), Failure> {
        let named = [
            ("--input", &self.input, true),
            ("--output", &self.output, false),
            ("--failed", &self.failed, false),
        ];
        named.into_iter().try_for_each(|(option, path, is_input)| match path {
            Some(path) => destinations::check_format(option, path, is_input),
            None => Ok(()),
        })
    }

    /// Refuses what could not be written in the end.
    pub(super) fn check_destinations(&self, output: &Results) -> Result<(), Failure> {
        let files = [
            ("--output", output.file()),
            ("--failed", self.failed.as_deref()),
            ("--report", self.report.as_deref()),
        ];
        if output.file().is_none() {
            destinations::check_stdout()?;
        }
        for (option, path) in files {
            match path {
                Some(path) if streams::is_stdout(path) => destinations::check_stdout()?,
                Some(path) => destinations::check_file(option, path)?,
                None => {}
            }
        }
        if let Some(dir) = &self.record {
            destinations::check_folder("--record", dir, &["record.json"])?;
        }
        if let Some(dir) = &self.checkpoint {
            let files = ["lock", "checkpoint.json", "journal.jsonl"];
            destinations::check_folder("--checkpoint", dir, &files)?;
        }
        Ok(())
    }
}
