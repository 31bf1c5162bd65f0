//! The task itself, and what of it outlives the stage that consumes it.

use std::sync::Arc;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::json::Json;
use super::source::{SourceTask, Sources};
use crate::{Data, TaskId, Timing};

/// What flows between stages: some data, and where it comes from.
///
/// A stage changes `data`, `dataset_name` and `metadata` as it likes. The id and the timings belong
/// to the executor: it gives every task that a stage returns a new id, whatever task the stage made
/// it from.
///
/// ```
/// use serde_json::json;
/// use stage::Task;
///
/// let task = Task::new(json!({ "text": "hello" })).with_dataset_name("greetings");
/// assert!(task.data.has("text"));
/// assert_eq!(task.id().to_string(), "0");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct Task {
    #[serde(default)]
    id: TaskId,
    /// The data set that the task belongs to; empty for none. What a stage returns without one
    /// inherits its parent's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dataset_name: String,
    /// What the task carries.
    pub data: Data,
    /// Anything else that should travel with the data. A stage that makes a new task from nothing
    /// gives it none.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "object")]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    timings: Vec<Timing>,
    #[serde(skip)]
    sources: Sources,
}

impl Task {
    /// A task with this data, and no data set and metadata.
    pub fn new(data: impl Into<Data>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// The task that a pipeline without input starts with: id `0`, data `null`.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Gives the tasks that a user hands in their ids: the i-th is `0_i`, and one that
    /// [knows](Self::with_source) its number has that.
    pub fn numbered<I: IntoIterator<Item: Into<Self>>>(
        tasks: I,
    ) -> impl Iterator<Item = Self> + use<I> {
        let root = TaskId::root();
        (0..).zip(tasks).map(move |(index, task)| {
            let task: Self = task.into();
            let index = task.sources().first().map_or(index, |source| source.index());
            task.with_id(root.child(index))
        })
    }

    /// The same task as one that a user hands in under a number of its own, and that is followed
    /// until nothing made of it is left. By default, a task is numbered by its place, and nobody
    /// follows it.
    pub fn with_source(self, source: SourceTask) -> Self {
        Self { sources: Sources::of(source), ..self }
    }

    /// The same task as one that was made of these; see [`with_source`](Self::with_source).
    pub fn with_sources(self, sources: impl IntoIterator<Item = SourceTask>) -> Self {
        let sources: Vec<Sources> = sources.into_iter().map(Sources::of).collect();
        Self { sources: Sources::together(sources.iter()), ..self }
    }

    /// The same task, followed by nobody.
    pub fn without_source(self) -> Self {
        Self { sources: Sources::None, ..self }
    }

    /// The tasks handed in that this one was made of, as far as they are followed.
    #[must_use]
    pub fn sources(&self) -> &[Arc<SourceTask>] {
        self.sources.as_slice()
    }

    /// The same task with other data; metadata, data set and history stay.
    pub fn with_data(self, data: impl Into<Data>) -> Self {
        Self { data: data.into(), ..self }
    }

    /// The same task in another data set. By default, a task is in none.
    pub fn with_dataset_name(self, dataset_name: impl Into<String>) -> Self {
        Self { dataset_name: dataset_name.into(), ..self }
    }

    /// The same task with other metadata. By default, there is none.
    pub fn with_metadata(self, metadata: Map<String, Value>) -> Self {
        Self { metadata, ..self }
    }

    /// The same task under another id. For executors: what a stage sets here is not kept.
    pub fn with_id(self, id: TaskId) -> Self {
        Self { id, ..self }
    }

    /// The same task with one more timing. For executors: what a stage adds here is not kept.
    pub fn add_timing(mut self, timing: Timing) -> Self {
        self.timings.push(timing);
        self
    }

    /// Where the task comes from.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// What each stage so far has cost this task, in order. Tasks that a stage made of one share
    /// its history.
    #[must_use]
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// What the tasks that a stage makes of this one inherit.
    ///
    /// Taken before the stage consumes the task, given to
    /// [`Output::into_tasks`](crate::Output::into_tasks) after.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        Lineage {
            id: self.id.clone(),
            dataset_name: self.dataset_name.clone(),
            timings: self.timings.clone(),
            sources: self.sources.clone(),
        }
    }
}

impl From<Value> for Task {
    fn from(value: Value) -> Self {
        Self::new(value)
    }
}

/// An object with its numbers and the order of its keys as they were written.
fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match Json::deserialize(from)?.into_value().map_err(D::Error::custom)? {
        Value::Object(object) => Ok(object),
        _ => Err(D::Error::custom("an object is wanted here")),
    }
}

/// A task as a file holds it, perhaps with what a run wrote about its failures.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whole {
    #[serde(default)]
    id: TaskId,
    #[serde(default)]
    dataset_name: String,
    data: Data,
    #[serde(default, deserialize_with = "object")]
    metadata: Map<String, Value>,
    #[serde(default)]
    timings: Vec<Timing>,
    #[serde(default, rename = "failures")]
    _failures: IgnoredAny,
}

impl Whole {
    pub(super) fn into_task(self) -> Task {
        let Self { id, dataset_name, data, metadata, timings, .. } = self;
        Task { id, dataset_name, data, metadata, timings, sources: Sources::None }
    }
}

/// What a task leaves to the tasks that a stage makes of it: its id, its data set, its timings, and
/// the tasks handed in that it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    pub(super) id: TaskId,
    dataset_name: String,
    timings: Vec<Timing>,
    sources: Sources,
}

impl Lineage {
    /// The id of the task that it was taken of.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// The same with one more timing: the one of the stage that consumes the task.
    #[must_use]
    pub fn add_timing(mut self, timing: Timing) -> Self {
        self.timings.push(timing);
        self
    }

    /// What an aggregate of several tasks inherits: the first one's data set, and what all of them
    /// have cost.
    pub(super) fn aggregate(parents: &[Self]) -> Self {
        Self {
            id: TaskId::aggregate(parents.iter().map(|parent| &parent.id)),
            dataset_name: parents
                .first()
                .map(|parent| parent.dataset_name.clone())
                .unwrap_or_default(),
            timings: Timing::sum(parents.iter().flat_map(|parent| &parent.timings)),
            sources: Sources::together(parents.iter().map(|parent| &parent.sources)),
        }
    }

    /// Makes `task` a descendant under `id`.
    pub(super) fn adopt(&self, task: Task, id: TaskId) -> Task {
        let dataset_name = if task.dataset_name.is_empty() {
            self.dataset_name.clone()
        } else {
            task.dataset_name
        };
        let (timings, sources) = (self.timings.clone(), self.sources.clone());
        Task { id, dataset_name, timings, sources, ..task }
    }
}
