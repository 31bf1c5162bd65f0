//! The task itself, and the parts of it that outlive the consuming stage.

use std::sync::Arc;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::json::Json;
use super::source::{SourceTask, Sources};
use crate::{Data, TaskId, Timing};

/// The unit that flows between stages: some data, and its origin.
///
/// A stage may change `data`, `dataset_name` and `metadata`. The id and the timings belong to the
/// executor: it gives every output of a stage a new id, whatever task the stage made it from.
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
    /// The data set that the task belongs to; empty for none. An output without one inherits its
    /// parent's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dataset_name: String,
    /// The data.
    pub data: Data,
    /// Any other values that should travel with the data. A stage that creates a new task leaves it
    /// empty.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "object")]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    timings: Vec<Timing>,
    #[serde(skip)]
    sources: Sources,
}

impl Task {
    /// Creates a task with this data, and no data set and metadata.
    pub fn new(data: impl Into<Data>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Creates the task that starts a pipeline without input: id `0`, data `null`.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Gives ids to the tasks that a user hands in: the i-th is `0_i`, and one that
    /// [has](Self::with_source) its own number keeps it.
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

    /// Sets the source task, which gives the task its number and is followed until nothing made
    /// from it is left. Default: a task is numbered by its place and not followed.
    pub fn with_source(self, source: SourceTask) -> Self {
        Self { sources: Sources::of(source), ..self }
    }

    /// Sets the source tasks that it was made from; see [`with_source`](Self::with_source).
    pub fn with_sources(self, sources: impl IntoIterator<Item = SourceTask>) -> Self {
        let sources: Vec<Sources> = sources.into_iter().map(Sources::of).collect();
        Self { sources: Sources::together(sources.iter()), ..self }
    }

    /// Stops following the task.
    pub fn without_source(self) -> Self {
        Self { sources: Sources::None, ..self }
    }

    /// Returns the source tasks of this one, if they are followed.
    #[must_use]
    pub fn sources(&self) -> &[Arc<SourceTask>] {
        self.sources.as_slice()
    }

    /// Sets the data; metadata, data set and history stay.
    pub fn with_data(self, data: impl Into<Data>) -> Self {
        Self { data: data.into(), ..self }
    }

    /// Sets the data set. Default: none.
    pub fn with_dataset_name(self, dataset_name: impl Into<String>) -> Self {
        Self { dataset_name: dataset_name.into(), ..self }
    }

    /// Sets the metadata. Default: none.
    pub fn with_metadata(self, metadata: Map<String, Value>) -> Self {
        Self { metadata, ..self }
    }

    /// Sets the id. For executors: an id that a stage sets is not kept.
    pub fn with_id(self, id: TaskId) -> Self {
        Self { id, ..self }
    }

    /// Adds a timing. For executors: a timing that a stage adds is not kept.
    pub fn add_timing(mut self, timing: Timing) -> Self {
        self.timings.push(timing);
        self
    }

    /// Returns the task's id, which shows its origin.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Returns the costs of each stage so far for this task, in order. Tasks that a stage made from
    /// one share its history.
    #[must_use]
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// Returns the values that the outputs of a stage for this task inherit.
    ///
    /// The executor takes it before the stage consumes the task, and passes it to
    /// [`Output::into_tasks`](crate::Output::into_tasks) afterwards.
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

/// Reads an object with its numbers and the order of its keys as written.
fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match Json::deserialize(from)?.into_value().map_err(D::Error::custom)? {
        Value::Object(object) => Ok(object),
        _ => Err(D::Error::custom("an object is wanted here")),
    }
}

/// A task in a file, possibly with the failures that a run wrote.
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

/// The values that the outputs of a stage inherit from a task: its id, its data set, its timings,
/// and its source tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    pub(super) id: TaskId,
    dataset_name: String,
    timings: Vec<Timing>,
    sources: Sources,
}

impl Lineage {
    /// Returns the id of its task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Adds a timing: that of the stage that consumes the task.
    #[must_use]
    pub fn add_timing(mut self, timing: Timing) -> Self {
        self.timings.push(timing);
        self
    }

    /// Returns the values that an aggregate of several tasks inherits: the first one's data set,
    /// and the costs of all of them.
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
