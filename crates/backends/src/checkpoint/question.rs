//! What a checkpoint is the record of: a pipeline, and tasks.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use stage::{Behaviour, Task};

use crate::error::Error;
use crate::plan::{Plan, PlannedStage};

/// The number of this form of a checkpoint.
const FORMAT: u32 = 1;

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
            let (code, args) = match &stage.behaviour {
                Behaviour::Python(code) => (code.to_string(), code.args().clone()),
                Behaviour::Rust(_) => ("Rust code".to_owned(), Value::Null),
            };
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

/// Writes down what is asked for, or compares it with what was asked before.
pub(super) fn check(dir: &Path, plan: &Plan) -> Result<(), Error> {
    let path = dir.join("checkpoint.json");
    let failed = |action, source| Error::io(action, path.display().to_string(), source);
    let asked = Question::of(plan);
    match fs::read(&path) {
        Ok(text) => {
            let known = serde_json::from_slice::<Question>(&text);
            match known {
                Ok(known) if known == asked => Ok(()),
                known => Err(Error::OtherPipeline {
                    dir: dir.to_owned(),
                    difference: known.map_or_else(
                        |_| "it cannot be read".to_owned(),
                        |known| known.difference(&asked),
                    ),
                }),
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = serde_json::to_vec_pretty(&asked)
                .map_err(|error| failed("write the checkpoint", error.into()))?;
            // Whole or not at all.
            let draft = dir.join("checkpoint.json.new");
            File::create(&draft)
                .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
                .and_then(|()| fs::rename(&draft, &path))
                .map_err(|error| failed("write the checkpoint", error))
        }
        Err(error) => Err(failed("read the checkpoint", error)),
    }
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
