//! The work that a checkpoint belongs to: a pipeline with its code, and tasks.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use envspec::LoadedEnv;
use files::{Access, Draft, Folder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stage::{Behaviour, Task};
use venv_cache::{Base, Interpreter};

use super::code::{self, short};
use crate::random::random;
use crate::run::{Error, Plan, PlannedBase, PlannedStage};

/// The version of the checkpoint's format.
const FORMAT: u32 = 2;

/// The file that makes a folder a checkpoint.
const FILE: &str = "checkpoint.json";

/// A limit far above the size of any such file.
const LONGEST: u64 = 64 << 20;

/// Number of repeated digests of a possible secret: about 10 ms for each guess of an attacker who
/// has the file.
const STRETCH: u32 = 10_000;

/// Everything that decides the outputs of a task: digests by names that people recognize. The
/// number of workers is not in it.
#[derive(Serialize, Deserialize)]
struct Question {
    format: u32,
    /// Makes digests of equal secrets differ between checkpoints.
    salt: String,
    pipeline: String,
    /// None if no stage needs a base.
    base: BTreeMap<String, String>,
    stages: Vec<AskedStage>,
}

#[derive(Serialize, Deserialize)]
struct AskedStage {
    name: String,
    parts: BTreeMap<String, String>,
}

/// The contents of a checkpoint of earlier runs: none yet, or the work that they belong to.
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

    /// Returns the differences from the current work in words; none if there are none.
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

/// Returns the parts that differ, or that only one side has.
fn changed(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
    let mut changed: Vec<&str> =
        names.filter(|name| then.get(*name) != now.get(*name)).map(String::as_str).collect();
    // The most helpful ones come first: other code, arguments and packages.
    changed.sort_by_key(|name| name.starts_with("another"));
    (!changed.is_empty()).then(|| changed.join(", "))
}

/// The argument that stands for all others, if there is one.
const DIGEST: &str = "__digest__";

/// Returns the parts of a stage that decide its outputs.
fn stage_parts(stage: &PlannedStage, salt: &str) -> io::Result<BTreeMap<String, String>> {
    let mut parts = BTreeMap::new();
    let mut add = |name: String, digest: String| parts.insert(name, digest);
    let mut args = match &stage.behaviour {
        Behaviour::Python(code) => {
            add("another class or function".to_owned(), of_bytes(code.name().as_bytes()));
            code.args().clone()
        }
        // The program compiles its text.
        Behaviour::Rust(code) => {
            let name = code.origin().map_or_else(|| code.short_name(), |origin| &*origin.name);
            add("other Rust code".to_owned(), of_bytes(name.as_bytes()));
            code.origin().map(|origin| origin.args.clone()).unwrap_or_default()
        }
    };
    // The order of arguments has no meaning. A stage that another program has sent differs in every
    // run, and brings its own digest.
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

/// Returns the parts of the base: its identity, and its packages.
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

/// The comparison of a folder's checkpoint with the current work.
pub(super) struct Answer {
    question: Question,
    /// Whether the work is still to be written down.
    is_new: bool,
    /// The earlier text of the folder; none if it was empty or missing.
    seen: Option<Vec<u8>>,
}

impl Answer {
    /// Compares the current work with the earlier one. A change is refused unless the caller
    /// accepts it.
    pub(super) fn find(dir: &Path, plan: &Plan, accepts: bool) -> Result<Self, Error> {
        let refused = |difference| Err(Error::OtherPipeline { dir: dir.to_owned(), difference });
        let broken = || "what it was made for cannot be read".to_owned();
        let (known, seen) = known(dir)?;
        let salt = match &known {
            Known::Readable(known) => known.salt.clone(),
            Known::None | Known::Broken => salt()?,
        };
        // The descriptions of interpreters are kept beside it, once the folder exists.
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

    /// Makes the folder a checkpoint, if it is empty: the work is written down before anything
    /// else. Returns the folder, and whose files are trusted in it.
    pub(super) fn claim(&mut self, dir: &Path) -> Result<(Folder, Access), Error> {
        let failed = |action, source| Error::io(action, dir.display().to_string(), source);
        // For this user alone, since the next run trusts its contents.
        let made = Folder::make_root(dir, 0o700);
        let access = made.map_err(|error| failed("make the checkpoint", error))?;
        let folder = Folder::open(dir).map_err(|error| failed("read the checkpoint", error))?;
        if self.seen.is_none() {
            match self.write(&folder, draft().new_only()) {
                // Another run was faster. The lock decides which one continues.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other.map_err(|error| failed("write the checkpoint", error))?,
            }
        }
        Ok((folder, access))
    }

    /// Returns whether the folder is unchanged since it was read or claimed.
    pub(super) fn still_holds(&self, folder: &Folder, access: Access) -> Result<bool, Error> {
        let now = read(folder.path(), access).map_err(|source| {
            Error::io("read the checkpoint", folder.path().display().to_string(), source)
        })?;
        Ok(now.is_some() && now == self.seen)
    }

    /// Writes the work down, if that is still to be done.
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

/// Returns a draft that only its owner can read, since its digests can be guessed.
fn draft() -> Draft<'static> {
    Draft::default().with_mode(0o600).synced()
}

/// Returns the work that a folder is the checkpoint of, and its text. A folder with other contents
/// is refused, and so is one that another user could have written; nothing in it is touched.
fn known(dir: &Path) -> Result<(Known, Option<Vec<u8>>), Error> {
    let failed = |source| Error::io("read the checkpoint", dir.display().to_string(), source);
    let folder = match Folder::open(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Known::None, None)),
        folder => folder.map_err(failed)?,
    };
    let access = Access::of_root(dir).map_err(failed)?;
    let occupants = folder.occupants().map_err(failed)?;
    let Some(found) = occupants.into_iter().next() else { return Ok((Known::None, None)) };
    // Another run may be writing it at the moment, and would win.
    let text = read(dir, access).map_err(failed)?;
    let Some(value) = text.as_deref().and_then(parsed) else {
        return Err(Error::NotOurs { what: "checkpoint", dir: dir.to_owned(), found });
    };
    Ok((said(&value), text))
}

/// Reads the text of a checkpoint.
fn said(value: &Value) -> Known {
    if let Ok(question) = serde_json::from_value::<Question>(value.clone()) {
        return Known::Readable(Box::new(question));
    }
    // Another version has other fields.
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

/// Returns the text, if there is one.
fn read(dir: &Path, access: Access) -> io::Result<Option<Vec<u8>>> {
    match access.read(&dir.join(FILE), LONGEST) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    }
}

/// Returns the text as a value, if it is that of a checkpoint.
fn parsed(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let is_one = ["format", "pipeline", "stages"].iter().all(|field| value.get(field).is_some());
    is_one.then_some(value)
}

/// Returns the digest of a task that is handed in.
pub(super) fn digest(task: &Task) -> String {
    of_bytes(task.to_json_line().as_bytes())
}

/// Returns enough of a SHA-256 to distinguish the tasks of one run.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    short(&Sha256::digest(bytes).into())
}

/// Returns the digest of a possible secret, which can only be found by guessing, and each guess is
/// costly.
fn of_secret(bytes: &[u8], salt: &str) -> String {
    let mut digest: [u8; 32] =
        Sha256::new().chain_update(salt).chain_update(bytes).finalize().into();
    for _ in 0..STRETCH {
        digest = Sha256::new().chain_update(digest).chain_update(salt).finalize().into();
    }
    short(&digest)
}

fn salt() -> Result<String, Error> {
    random::<16>().map_err(|source| Error::io("draw", "the salt of a checkpoint", source))
}
