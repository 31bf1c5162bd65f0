//! What the meta data of each kind of frame holds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::run::PythonError;

/// Engine to worker, once: its identity and its stage.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Start<'a> {
    pub(crate) stage: &'a str,
    pub(crate) worker: usize,
    /// The process group that it is in, which ends as a whole.
    pub(crate) group: i32,
    pub(crate) node: &'a str,
    /// The key of the environment that it must find itself in.
    pub(crate) environment: Option<&'a str>,
    /// The distributions whose versions it must report, by normal name.
    pub(crate) packages: &'a [String],
    /// Where bytecode of the base is kept outside of it, if it is.
    pub(crate) bytecode: Option<&'a Value>,
    pub(crate) code: &'a Value,
    pub(crate) args: &'a Value,
    pub(crate) inputs: &'a [String],
    pub(crate) outputs: &'a [String],
    /// Whether it has to wait for its devices before it loads the code.
    pub(crate) awaits_devices: bool,
    /// Whether tasks have a time limit: each result is then sent at once.
    pub(crate) is_timed: bool,
    /// From how many bytes on an output goes into an arena; null if none ever does.
    pub(crate) arenas_from: Option<usize>,
}

/// Engine to template, once: what it imports.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StartTemplate<'a> {
    /// What tells it from a worker.
    pub(crate) is_template: bool,
    /// The process group that it is in, which ends as a whole.
    pub(crate) group: i32,
    /// As for a worker.
    pub(crate) packages: &'a [String],
    pub(crate) bytecode: Option<&'a Value>,
    /// Whether it, or one that is forked from it, may stay after the run.
    pub(crate) may_stay: bool,
    /// The code whose first imports it makes. Of several, it makes those that all begin with.
    pub(crate) sources: &'a [Importer],
}

/// What a stage's code imports first, told by its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Importer {
    pub(crate) file: Option<String>,
    pub(crate) module: Option<String>,
    /// Modules that are imported before those of the code.
    pub(crate) preload: Vec<String>,
}

/// Template to engine, once: its imports are made.
#[derive(Debug, Deserialize)]
pub(crate) struct Preloaded {
    /// What speaks against forking workers from it.
    pub(crate) problem: Option<String>,
    /// What is to be told of that, since no worker tells it.
    pub(crate) warning: Option<String>,
}

/// Engine to template: fork a worker, which gets these variables besides, or loses those without a
/// value.
#[derive(Debug, Serialize)]
pub(crate) struct Fork<'a> {
    pub(crate) vars: &'a std::collections::BTreeMap<String, Option<String>>,
}

/// Engine to template: a signal for a worker's group; zero where the worker is to be reaped.
#[derive(Debug, Serialize)]
pub(crate) struct OfChild {
    pub(crate) pid: i32,
    pub(crate) signal: i32,
}

/// Template to engine: what became of an order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    /// The worker that was forked.
    pub(crate) pid: Option<i32>,
    /// Why none was.
    pub(crate) problem: Option<String>,
    /// How a worker ended, as the system tells it.
    pub(crate) status: Option<i32>,
}

/// Engine to template: stay for later runs.
#[derive(Debug, Serialize)]
pub(crate) struct Stay<'a> {
    /// How long it stays without a visit.
    pub(crate) seconds: u64,
    /// A process with whose end it ends.
    pub(crate) owner: Option<u32>,
    /// Where it listens, if it does not yet: the folder, and what its file's name begins with.
    pub(crate) place: Option<(&'a std::path::Path, &'a str)>,
    /// The keys of the environments that it is in: its own, and the managed base's.
    pub(crate) environments: &'a [String],
}

/// Engine to template that stayed: what it must still be.
#[derive(Debug, Serialize)]
pub(crate) struct Visit<'a> {
    /// As for a worker.
    pub(crate) packages: &'a [String],
    /// The code whose first imports must be those that it has made.
    pub(crate) source: &'a Importer,
}

/// Template that stayed to engine.
#[derive(Debug, Deserialize)]
pub(crate) struct Welcome {
    /// Why it is not what a run would start now.
    pub(crate) problem: Option<String>,
    pub(crate) proof: Proof,
}

/// Engine to worker, once, if it waits for that: the devices that it has.
#[derive(Debug, Serialize)]
pub(crate) struct Devices {
    /// The value of `CUDA_VISIBLE_DEVICES`; none if the spec sets it.
    pub(crate) visible: Option<String>,
}

/// Engine to worker, once: run the hooks.
#[derive(Debug, Serialize)]
pub(crate) struct Setup<'a> {
    /// Whether this worker is the one that runs `setup_on_node`.
    pub(crate) on_node: bool,
    /// The settings that hold in place of those that its code declares.
    pub(crate) overrides: &'a Map<String, Value>,
}

/// Worker to engine, first: which environment it really runs in.
#[derive(Debug, Deserialize)]
pub(crate) struct Proof {
    pub(crate) python: String,
    pub(crate) prefix: String,
    pub(crate) version: [u32; 3],
    pub(crate) environment: Option<String>,
    /// Every version of each distribution that was asked for, as `sys.path` shows them.
    pub(crate) packages: std::collections::BTreeMap<String, Vec<String>>,
}

/// Worker to engine, once its code is loaded: what that declares about itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Loaded {
    /// By the name of the setting.
    pub(crate) settings: std::collections::BTreeMap<String, Found>,
    /// Names that are nearly one of a setting, with that.
    pub(crate) near: Vec<(String, String)>,
    /// The method that made the declarations, which came too late for the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
}

/// What is declared for a setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Found {
    Value(Value),
    /// It could not be read, or not be sent: why.
    Unread(String),
}

/// Engine to worker: tasks, and which parts of the arenas are theirs.
#[derive(Debug, Serialize)]
pub(crate) struct BatchTasks<'a>(pub(crate) Option<Shares>, pub(crate) Vec<Input<'a>>);

/// Where in the arenas the shared data of a batch is, and where its outputs may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shares(
    /// Where its input begins.
    pub(crate) usize,
    /// Where its outputs may go.
    pub(crate) usize,
    /// How many bytes they may take there.
    pub(crate) usize,
);

/// One task on its way to a worker: id, kind of data, length, and, unless both are empty,
/// metadata and dataset. The kind is a capital letter if the data is shared.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Input<'a> {
    Short(&'a str, &'static str, usize),
    Full(&'a str, &'static str, usize, &'a Map<String, Value>, &'a str),
}

/// How far a worker came before it failed to get ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its code was being imported and constructed.
    Load,
    /// `setup_on_node` or `setup` was running.
    Setup,
}

/// Worker to engine: its code could not be loaded or set up.
#[derive(Debug, Deserialize)]
pub(crate) struct Failed {
    pub(crate) phase: Phase,
    pub(crate) error: PythonError,
}

/// Worker to engine, last: torn down.
#[derive(Debug, Deserialize)]
pub(crate) struct Bye {
    pub(crate) error: Option<PythonError>,
}

/// Worker to engine: how long a batch took, in nanoseconds, what became of it, the batches whose
/// shared input the stage still has tables in, the keys that the stage promises and an output
/// lacks, which are told once, and what the stage's code has come to declare.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchResult(
    pub(crate) u64,
    pub(crate) Answer,
    #[serde(default)] pub(crate) Vec<u64>,
    #[serde(default)] pub(crate) Vec<String>,
    #[serde(default)] pub(crate) Option<Loaded>,
);

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Answer {
    /// One entry per task.
    Entries(Vec<Entry>),
    /// All the tasks together became these.
    Aggregate(Vec<OutputRecord>),
    /// `process_batch` itself raised.
    Failed(PythonError),
}

/// What became of one task.
#[derive(Debug)]
pub(crate) enum Entry {
    Outputs(Vec<OutputRecord>),
    Raised(PythonError),
}

/// One output: kind of data, length, and, unless both are empty, metadata and dataset. Of data that
/// is a task's own, as it came, the place of the task in the batch instead of the length.
#[derive(Debug)]
pub(crate) struct OutputRecord {
    pub(crate) kind: OutputKind,
    pub(crate) length: usize,
    pub(crate) rest: Option<(Map<String, Value>, String)>,
}

/// The kind of an output's data, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum OutputKind {
    #[serde(rename = "j")]
    Json,
    #[serde(rename = "b")]
    Bytes,
    #[serde(rename = "t")]
    Table,
    #[serde(rename = "J")]
    SharedJson,
    #[serde(rename = "B")]
    SharedBytes,
    #[serde(rename = "T")]
    SharedTable,
    #[serde(rename = "=")]
    Same,
}
