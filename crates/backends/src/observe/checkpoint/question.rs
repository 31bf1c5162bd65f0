//! What a checkpoint is the record of: a pipeline with its code, and tasks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use envspec::LoadedEnv;
use files::{Access, Draft, Folder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stage::{Behaviour, Task};
use venv_cache::{Base, Interpreter};

use super::code;
use crate::run::{Error, Plan, PlannedBase, PlannedStage};

/// The number of this form of a checkpoint.
const FORMAT: u32 = 2;

/// The file within a checkpoint that makes it one.
const FILE: &str = "checkpoint.json";

/// More than any of them has.
const LONGEST: u64 = 64 << 20;

/// How often a digest of what may be secret is digested again: about a hundredth of a second, for
/// each guess of somebody who has the file.
const STRETCH: u32 = 10_000;

/// What decides what comes of a task: digests of it by names that people know it by. How many
/// workers do it is not a part of it.
#[derive(Serialize, Deserialize)]
struct Question {
    format: u32,
    /// What the digests are made with, so that equal secrets of other checkpoints look different.
    salt: String,
    pipeline: String,
    /// None where no stage needs one.
    base: BTreeMap<String, String>,
    stages: Vec<AskedStage>,
}

#[derive(Serialize, Deserialize)]
struct AskedStage {
    name: String,
    parts: BTreeMap<String, String>,
}

/// What a checkpoint of earlier runs holds: nothing yet, or what can be asked of it.
enum Known {
    None,
    Readable(Box<Question>),
    Broken,
}

impl Question {
    fn of(plan: &Plan, salt: &str, records: Option<&Path>) -> Result<Self, Error> {
        let base = if plan.stages().iter().any(PlannedStage::needs_python) {
            base_parts(plan.base(), records)?
        } else {
            BTreeMap::new()
        };
        let stage = |stage: &PlannedStage| {
            let name = stage.settings.name.clone();
            let parts = stage_parts(stage, salt)
                .map_err(|source| Error::io("read the code of stage", name.clone(), source))?;
            Ok(AskedStage { name, parts })
        };
        let stages = plan.stages().iter().map(stage).collect::<Result<_, Error>>()?;
        let (salt, pipeline) = (salt.to_owned(), plan.name().to_owned());
        Ok(Self { format: FORMAT, salt, pipeline, base, stages })
    }

    /// What differs from what is asked now, in words; nothing if nothing does.
    fn difference(&self, now: &Self) -> Option<String> {
        if self.pipeline != now.pipeline {
            return Some(format!("it is of pipeline `{}`", self.pipeline));
        }
        let names = |question: &Self| {
            question.stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>().join("`, `")
        };
        if names(self) != names(now) {
            return Some(format!("its stages are `{}`", names(self)));
        }
        let mut differences = Vec::new();
        if let Some(parts) = changed(&self.base, &now.base) {
            differences.push(format!("the base had {parts}"));
        }
        for (stage, now) in self.stages.iter().zip(&now.stages) {
            if let Some(parts) = changed(&stage.parts, &now.parts) {
                differences.push(format!("stage `{}` had {parts}", stage.name));
            }
        }
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

/// The parts that differ, or that only one has.
fn changed(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
    let mut changed: Vec<&str> =
        names.filter(|name| then.get(*name) != now.get(*name)).map(String::as_str).collect();
    // What says most comes first: other code, arguments and packages.
    changed.sort_by_key(|name| name.starts_with("another"));
    (!changed.is_empty()).then(|| changed.join(", "))
}

/// The argument that stands for all of them, where there is one.
const DIGEST: &str = "__digest__";

/// What decides what a stage makes of a task.
fn stage_parts(stage: &PlannedStage, salt: &str) -> io::Result<BTreeMap<String, String>> {
    let mut parts = BTreeMap::new();
    let mut add = |name: String, digest: String| parts.insert(name, digest);
    let mut args = match &stage.behaviour {
        Behaviour::Python(code) => {
            add("another class or function".to_owned(), of_bytes(code.name().as_bytes()));
            code.args().clone()
        }
        // Its text is the program's.
        Behaviour::Rust(code) => {
            let name = code.origin().map_or_else(|| code.short_name(), |origin| &*origin.name);
            add("other Rust code".to_owned(), of_bytes(name.as_bytes()));
            code.origin().map(|origin| origin.args.clone()).unwrap_or_default()
        }
    };
    // Their order means nothing.
    // A stage that another program has sent differs in every run, and says itself what it is.
    if let Some(digest) = args.get_mut(DIGEST) {
        args = digest.take();
    }
    args.sort_all_objects();
    if !args.is_null() {
        add("other arguments".to_owned(), of_secret(args.to_string().as_bytes(), salt));
    }
    let settings = &stage.settings;
    for (name, value) in [
        ("batch_size", json!(settings.batch_size)),
        ("inputs", json!(settings.inputs)),
        ("outputs", json!(settings.outputs)),
    ] {
        add(format!("another `{name}`"), of_bytes(value.to_string().as_bytes()));
    }
    for (file, digest) in code::of_stage(stage)? {
        add(format!("another `{file}`"), digest);
    }
    let bare = LoadedEnv::default();
    let env = stage.env.as_ref().unwrap_or(&bare);
    if let Some(install) = &env.install {
        add("other packages".to_owned(), install.digest().to_string());
    }
    let paths = [("python", env.python.as_deref()), ("working_dir", env.working_dir.as_deref())];
    for (name, path) in paths.into_iter().filter_map(|(name, path)| Some((name, path?))) {
        add(format!("another `{name}`"), of_bytes(path.as_os_str().as_encoded_bytes()));
    }
    if let Some(command) = &env.py_executable {
        add("another `py_executable`".to_owned(), of_secret(command.as_bytes(), salt));
    }
    for (name, value) in &env.env_vars {
        add(format!("another `{name}` in `env_vars`"), of_secret(value.as_bytes(), salt));
    }
    for (name, value) in &env.engine_fields {
        add(format!("another `{name}`"), of_secret(value.to_string().as_bytes(), salt));
    }
    Ok(parts)
}

/// What the base is, and has.
fn base_parts(
    base: Option<&PlannedBase>,
    records: Option<&Path>,
) -> Result<BTreeMap<String, String>, Error> {
    let interpreter = |it: &Interpreter| {
        let build = format!("{} {} {}", it.implementation(), it.version(), it.platform());
        of_bytes(build.as_bytes())
    };
    let found = match base {
        Some(PlannedBase::Managed(env)) => {
            let bare = match &env.python {
                Some(python) => Interpreter::describe(python, records),
                None => Base::discover(records).map(|base| base.interpreter().clone()),
            };
            let install = env.install.as_ref().ok_or(Error::EmptyManagedBase)?;
            let bare = interpreter(&bare.map_err(Error::cache)?);
            return Ok([
                ("another interpreter".to_owned(), bare),
                ("other packages".to_owned(), install.digest().to_string()),
            ]
            .into());
        }
        Some(PlannedBase::Python(python)) => Base::open(python, records),
        None => Base::discover(records),
    };
    let found = found.map_err(Error::cache)?;
    Ok([
        ("another interpreter".to_owned(), interpreter(found.interpreter())),
        ("other packages".to_owned(), found.fingerprint().to_string()),
    ]
    .into())
}

/// What a folder is found to be the checkpoint of, against what is asked now.
pub(super) struct Answer {
    question: Question,
    /// Whether it has to be written down.
    is_new: bool,
    /// What the folder said then; none if it was empty or not there.
    seen: Option<Vec<u8>>,
}

impl Answer {
    /// Compares what is asked now with what was asked before. What has changed is refused, unless
    /// the caller accepts it.
    pub(super) fn find(dir: &Path, plan: &Plan, accepts: bool) -> Result<Self, Error> {
        let refused = |difference| Err(Error::OtherPipeline { dir: dir.to_owned(), difference });
        let broken = || "what it was made for cannot be read".to_owned();
        let (known, seen) = known(dir)?;
        let salt = match &known {
            Known::Readable(known) => known.salt.clone(),
            Known::None | Known::Broken => salt()?,
        };
        // What interpreters say of themselves is kept beside it, once there is a folder.
        let records = dir.join("interpreters");
        let records = matches!(known, Known::Readable(_)).then_some(records.as_path());
        let question = Question::of(plan, &salt, records)?;
        match known {
            Known::None => Ok(Self { question, is_new: true, seen }),
            Known::Broken if accepts => Ok(Self { question, is_new: true, seen }),
            Known::Broken => refused(broken()),
            Known::Readable(known) if known.format != FORMAT => {
                refused("it was made by another version of this program".to_owned())
            }
            Known::Readable(known) => match known.difference(&question) {
                None => Ok(Self { question, is_new: false, seen }),
                Some(_) if accepts => Ok(Self { question, is_new: true, seen }),
                Some(difference) => refused(difference),
            },
        }
    }

    /// Makes the folder a checkpoint, if it is empty, by the question that is written down in it
    /// before all else. Gives the folder, and whose files are trusted in it.
    pub(super) fn claim(&mut self, dir: &Path) -> Result<(Folder, Access), Error> {
        let failed = |action, source| Error::io(action, dir.display().to_string(), source);
        // For this user alone: what is in it is trusted by the next run.
        Folder::make(dir, 0o700).map_err(|error| failed("make the checkpoint", error))?;
        let open = || Ok((Folder::open(dir)?, Access::of_root(dir)?));
        let (folder, access) = open().map_err(|error| failed("read the checkpoint", error))?;
        if self.seen.is_none() {
            match self.write(&folder, draft().new_only()) {
                // Another run was quicker. Which of them goes on, the lock tells.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other.map_err(|error| failed("write the checkpoint", error))?,
            }
        }
        Ok((folder, access))
    }

    /// Whether the folder says what it said when it was looked at, or when it was claimed.
    pub(super) fn still_holds(&self, folder: &Folder, access: Access) -> Result<bool, Error> {
        let now = read(folder.path(), access).map_err(|source| {
            Error::io("read the checkpoint", folder.path().display().to_string(), source)
        })?;
        Ok(now.is_some() && now == self.seen)
    }

    /// Writes it down, where that is not done yet.
    pub(super) fn keep(&mut self, folder: &Folder) -> Result<(), Error> {
        if !self.is_new {
            return Ok(());
        }
        self.write(folder, draft()).map_err(|source| {
            Error::io("write the checkpoint", folder.path().display().to_string(), source)
        })
    }

    fn write(&mut self, folder: &Folder, draft: Draft<'_>) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.question)?;
        draft.write_in(folder, FILE, &text)?;
        (self.is_new, self.seen) = (false, Some(text));
        Ok(())
    }
}

/// For nobody else's eyes: its digests may be guessed at.
fn draft() -> Draft<'static> {
    Draft::default().with_mode(0o600).synced()
}

/// What a folder is the checkpoint of, and the text that says so. One that holds something else is
/// refused, and so is one that a stranger could have written; nothing in it is touched.
fn known(dir: &Path) -> Result<(Known, Option<Vec<u8>>), Error> {
    let failed = |source| Error::io("read the checkpoint", dir.display().to_string(), source);
    let folder = match Folder::open(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Known::None, None)),
        folder => folder.map_err(failed)?,
    };
    let access = Access::of_root(dir).map_err(failed)?;
    let occupants = folder.occupants().map_err(failed)?;
    let Some(found) = occupants.into_iter().next() else { return Ok((Known::None, None)) };
    // Another run may be about to write it down, which comes first.
    let text = read(dir, access).map_err(failed)?;
    let Some(value) = text.as_deref().and_then(parsed) else {
        return Err(Error::NotOurs { what: "checkpoint", dir: dir.to_owned(), found });
    };
    Ok((said(&value), text))
}

/// What the text of a checkpoint says.
fn said(value: &Value) -> Known {
    if let Ok(question) = serde_json::from_value::<Question>(value.clone()) {
        return Known::Readable(Box::new(question));
    }
    // Another version's has other fields.
    let format = value["format"].as_u64().and_then(|format| u32::try_from(format).ok());
    match format.filter(|format| *format != FORMAT) {
        Some(format) => Known::Readable(Box::new(Question {
            format,
            salt: String::new(),
            pipeline: String::new(),
            base: BTreeMap::new(),
            stages: Vec::new(),
        })),
        None => Known::Broken,
    }
}

/// What is written down, if anything is.
fn read(dir: &Path, access: Access) -> io::Result<Option<Vec<u8>>> {
    match access.read(&dir.join(FILE), LONGEST) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    }
}

/// The same as a value, if that is the question of a checkpoint.
fn parsed(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let is_one = ["format", "pipeline", "stages"].iter().all(|field| value.get(field).is_some());
    is_one.then_some(value)
}

/// The digest of a task that is handed in.
pub(super) fn digest(task: &Task) -> String {
    of_bytes(task.to_json_line().as_bytes())
}

/// As much of a SHA-256 as tells tasks of one run apart.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    short(&Sha256::digest(bytes).into())
}

/// The same of what may be secret: the digest tells it to nobody who does not guess it, and each
/// guess costs.
fn of_secret(bytes: &[u8], salt: &str) -> String {
    let mut digest: [u8; 32] =
        Sha256::new().chain_update(salt).chain_update(bytes).finalize().into();
    for _ in 0..STRETCH {
        digest = Sha256::new().chain_update(digest).chain_update(salt).finalize().into();
    }
    short(&digest)
}

fn short(digest: &[u8; 32]) -> String {
    let mut start = [0; 16];
    start.copy_from_slice(&digest[..16]);
    format!("{:032x}", u128::from_be_bytes(start))
}

fn salt() -> Result<String, Error> {
    let mut random = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(|source| Error::io("read", "/dev/urandom", source))?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}
