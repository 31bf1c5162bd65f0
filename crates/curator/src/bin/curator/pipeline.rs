//! The pipeline of a command: reads the file and applies changes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use curator::backends::{self, Checkpoint, Plan, Provisioner};
use curator::stage::{self, Assignment, PipelineFile};

use crate::failure::Failure;

/// A pipeline file, and changes to it.
#[derive(Debug, Args)]
pub(crate) struct PipelineArguments {
    /// The pipeline file: TOML, or JSON if its name ends in `.json`. Paths in it are relative to
    /// the file's folder.
    #[arg(value_name = "PIPELINE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Changes a field of the file, with key and value as in TOML (`stage.clean.batch_size=8`,
    /// `'failure_policy="record"'`); may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) assignments: Vec<String>,
}

/// A pipeline that has been read, checked and prepared.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) file: PipelineFile,
    pub(crate) plan: Plan,
}

impl PipelineArguments {
    /// Reads the file, applies the changes, checks the result, and reads the files it refers to.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let path = &self.file;
        let text = files::read_text(path, files::MOST_TEXT).map_err(|error| {
            let problem = format!("cannot read the pipeline `{}`: {error}", path.display());
            let hint = match error.kind() {
                ErrorKind::NotFound => "\n\nhint: `curator init` writes one to start from",
                _ => "",
            };
            Failure::usage(&(problem + hint))
        })?;
        // Some editors begin a file with this mark, which TOML allows and JSON does not.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let dir = std::path::absolute(path)
            .map_err(|error| Failure::io("find the current folder", &error))?;
        let dir = dir.parent().unwrap_or(Path::new("/")).to_owned();
        let is_json = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
        let read = if is_json {
            PipelineFile::from_json(text, dir)
        } else {
            PipelineFile::from_toml(text, dir)
        };
        let file = read.map_err(|error| wrong(path, &error))?;
        let assignments: Vec<Assignment> = self
            .assignments
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(Path::new("--set"), &error))?;
        let file = file
            .with_assignments(&assignments)
            .map_err(|error| wrong(Path::new("--set"), &error))?;
        file.build().map_err(|error| wrong(path, &error))?;
        let plan = Plan::new(&file.pipeline()).map_err(|error| match error {
            backends::Error::Pipeline { source } => wrong(path, &source),
            error => error.into(),
        })?;
        Ok(Loaded { file, plan })
    }
}

impl Loaded {
    /// Reads what the code of the stages declares.
    pub(crate) fn read_declared(&mut self, cache_dir: Option<&Path>) -> Result<(), Failure> {
        if !self.plan.is_read() {
            self.plan = self.provisioner(cache_dir)?.read_declared(&self.plan)?;
        }
        Ok(())
    }

    /// Returns a provisioner over the base that the plan asks for.
    pub(crate) fn provisioner(
        &self,
        cache_dir: Option<&Path>,
    ) -> Result<Provisioner, backends::Error> {
        Provisioner::builder().base_of(&self.plan).cache_dir(cache_dir).open()
    }

    /// Opens a checkpoint of the plan, also one of work that has changed since, if that is accepted.
    pub(crate) fn checkpoint(
        &self,
        dir: &Path,
        accepts_changes: bool,
    ) -> Result<Checkpoint, backends::Error> {
        if accepts_changes {
            Checkpoint::open_changed(dir, &self.plan)
        } else {
            Checkpoint::open(dir, &self.plan)
        }
    }
}

/// Returns what is wrong with a file, and where in it.
fn wrong(path: &Path, error: &stage::Error) -> Failure {
    let problem = format!("{}: {error}", path.display());
    Failure::usage(&match error.hint() {
        Some(hint) => format!("{problem}\n\nhint: {hint}"),
        None => problem,
    })
}
