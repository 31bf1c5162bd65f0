//! What a client wants done.

use std::path::PathBuf;
use std::time::Duration;

use curator::backends::Plan;
use curator::backends::worker::{Frame, Kind};
use curator::stage::PipelineFile;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::Fault;
use crate::pipeline::Loaded;

/// What to do with a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Do {
    /// Run it.
    Run,
    /// Tell what a run would do about its environments.
    Plan,
    /// Show it.
    Describe,
}

/// The first frame of a client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// What the client was made for: both come in one package, and a mixture is a mistake.
    version: String,
    #[serde(rename = "do")]
    pub(super) what: Do,
    /// As a pipeline file has it.
    pipeline: Box<RawValue>,
    /// The folder that relative paths start at.
    dir: PathBuf,
    #[serde(default)]
    pub(super) checkpoint: Option<Folder>,
    #[serde(default)]
    pub(super) record: Option<PathBuf>,
    #[serde(default)]
    pub(super) locked: Option<PathBuf>,
    #[serde(default)]
    pub(super) stop_grace_seconds: Option<f64>,
    /// The process with which templates end that are kept.
    #[serde(default)]
    pub(super) owner: Option<u32>,
    /// Whether the report comes as a page as well.
    #[serde(default)]
    pub(super) page: bool,
    /// Whether what each stage cost a task comes with it.
    #[serde(default)]
    pub(super) timings: bool,
    /// What the code of the stages declares, as plans tell of it: `stage`, `setting`, `declared`,
    /// `value`, `is_overridden`.
    #[serde(default)]
    pub(super) declared: Value,
    /// Whether the end of each task that was sent is told.
    #[serde(default)]
    pub(super) follow: bool,
}

/// Where a run that is broken off goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    #[serde(default)]
    pub(super) accept_changes: bool,
}

impl Request {
    pub(super) fn read(frame: &Frame) -> Result<Self, Fault> {
        if frame.kind != Kind::Open {
            return Err(Fault::usage("the first frame of a client says what it wants done"));
        }
        let request: Self = serde_json::from_slice(&frame.meta)
            .map_err(|error| Fault::usage(&format!("a request that cannot be read: {error}")))?;
        let ours = env!("CARGO_PKG_VERSION");
        if request.version != ours {
            let theirs = &request.version;
            return Err(Fault::usage(&format!(
                "the client is of version {theirs}, and the program of {ours}: install them together"
            )));
        }
        Ok(request)
    }

    /// Checks the pipeline, and reads what it refers to.
    pub(super) fn load(&self) -> Result<Loaded, Fault> {
        let file = PipelineFile::from_json(self.pipeline.get(), &self.dir)?;
        file.build()?;
        let plan = Plan::new(&file.pipeline())?;
        Ok(Loaded { file, plan })
    }

    pub(super) fn stop_grace(&self) -> Option<Duration> {
        self.stop_grace_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}
