//! What a checkpoint is the record of: a pipeline, and tasks.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use files::{Draft, Folder};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use stage::{Behaviour, Task};

use crate::error::Error;
use crate::plan::{Plan, PlannedStage};

/// The number of this form of a checkpoint.
const FORMAT: u32 = 2;

/// The file within a checkpoint that makes it one.
const FILE: &str = "checkpoint.json";

/// More than any of them has.
const LONGEST: u64 = 64 << 20;

/// What decides what comes of a task, as far as that can be told from outside of the code: how many
/// workers do it is not a part of it, and neither is the code's text, which may be mended.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    format: u32,
    pipeline: String,
    stages: Vec<AskedStage>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct AskedStage {
    name: String,
    code: String,
    /// Digests, as these may be secret.
    args: String,
    packages: Option<String>,
}

impl Question {
    fn of(plan: &Plan) -> Self {
        let stage = |stage: &PlannedStage| {
            let (code, mut args) = match &stage.behaviour {
                Behaviour::Python(code) => (code.to_string(), code.args().clone()),
                Behaviour::Rust(_) => ("Rust code".to_owned(), Value::Null),
            };
            // Their order means nothing.
            args.sort_all_objects();
            let install = stage.env.as_ref().and_then(|env| env.install.as_ref());
            AskedStage {
                name: stage.settings.name.clone(),
                code,
                args: of_bytes(args.to_string().as_bytes()),
                packages: install.map(|install| install.digest().to_string()),
            }
        };
        let stages = plan.stages().iter().map(stage).collect();
        Self { format: FORMAT, pipeline: plan.name().to_owned(), stages }
    }

    /// What differs from another one, in words.
    fn difference(&self, other: &Self) -> String {
        if self.format != other.format {
            return "it was made by another version of this program".to_owned();
        }
        if self.pipeline != other.pipeline {
            return format!("it is of pipeline `{}`", self.pipeline);
        }
        let names = |question: &Self| {
            question.stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>().join("`, `")
        };
        if names(self) != names(other) {
            return format!("its stages are `{}`", names(self));
        }
        let pairs = self.stages.iter().zip(&other.stages);
        let stage = pairs.clone().find(|(stage, other)| stage != other);
        let Some((stage, other)) = stage else { return "it cannot be read".to_owned() };
        let what = if stage.code != other.code {
            "code"
        } else if stage.args != other.args {
            "arguments"
        } else {
            "packages"
        };
        format!("stage `{}` had other {what}", stage.name)
    }
}

/// Makes sure that the folder is a checkpoint: an empty one becomes one, by the question that is
/// written down in it before all else. In another nothing is touched.
pub(super) fn claim(dir: &Path, plan: &Plan) -> Result<Folder, Error> {
    let failed = |action, source| Error::io(action, dir.display().to_string(), source);
    fs::create_dir_all(dir).map_err(|error| failed("make the checkpoint", error))?;
    let folder = Folder::open(dir).map_err(|error| failed("read the checkpoint", error))?;
    let asked = Question::of(plan);
    let occupants = folder.occupants().map_err(|error| failed("read the checkpoint", error))?;
    if let Some(found) = occupants.into_iter().next() {
        // Another run may be about to write it down, which comes first.
        return match read(&folder) {
            Some(_) => Ok(folder),
            None => Err(Error::NotOurs { what: "checkpoint", dir: dir.to_owned(), found }),
        };
    }
    let text = serde_json::to_vec_pretty(&asked)
        .map_err(|error| failed("write the checkpoint", error.into()))?;
    match Draft::default().with_mode(0o666).synced().new_only().write_in(&folder, FILE, &text) {
        // Another run was quicker. Which of them goes on, the lock tells.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(folder),
        other => other.map(|()| folder).map_err(|error| failed("write the checkpoint", error)),
    }
}

/// The question of a checkpoint; of one of another version perhaps only that it is one.
fn read(folder: &Folder) -> Option<Result<Question, ()>> {
    let file = folder.open_file(FILE, OFlags::RDONLY, 0).ok()?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    let value: Value = serde_json::from_slice(&text).ok()?;
    let is_one = ["format", "pipeline", "stages"].iter().all(|field| value.get(field).is_some());
    is_one.then(|| serde_json::from_value(value).map_err(drop))
}

/// Compares what is asked for with what was asked before.
pub(super) fn check(folder: &Folder, plan: &Plan) -> Result<(), Error> {
    let asked = Question::of(plan);
    let difference = match read(folder) {
        Some(Ok(known)) if known == asked => return Ok(()),
        Some(Ok(known)) => known.difference(&asked),
        _ => "it cannot be read".to_owned(),
    };
    Err(Error::OtherPipeline { dir: folder.path().to_owned(), difference })
}

/// The digest of a task that is handed in.
pub(super) fn digest(task: &Task) -> String {
    of_bytes(task.to_json_line().as_bytes())
}

/// As much of a SHA-256 as tells tasks of one run apart.
fn of_bytes(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut start = [0; 16];
    start.copy_from_slice(&digest[..16]);
    format!("{:032x}", u128::from_be_bytes(start))
}
