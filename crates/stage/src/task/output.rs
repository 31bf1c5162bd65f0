//! The outputs of a stage for a task or a batch, and their ids.

use crate::{Error, Lineage, Task};

/// The output of a stage for one task: another, several, or none.
///
/// ```
/// use serde_json::json;
/// use stage::{Output, Task};
///
/// let task = Task::new(json!("a b"));
/// let one: Output = task.clone().into();
/// let several = Output::Many(vec![Task::new(json!("a")), Task::new(json!("b"))]);
/// assert_eq!((one.len(), several.len(), Output::<Task>::Dropped.len()), (1, 2, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<T = Task> {
    /// The task is dropped.
    Dropped,
    /// The task becomes another.
    One(T),
    /// The task becomes several (fan-out); an empty list drops it.
    Many(Vec<T>),
}

impl<T> Output<T> {
    /// Returns the number of output tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Dropped => 0,
            Self::One(_) => 1,
            Self::Many(tasks) => tasks.len(),
        }
    }

    /// Returns whether the task is dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the output tasks, in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::Dropped => Vec::new(),
            Self::One(task) => vec![task],
            Self::Many(tasks) => tasks,
        }
    }

    /// Changes each task; the first error ends it.
    pub fn try_map<U, E>(self, mut change: impl FnMut(T) -> Result<U, E>) -> Result<Output<U>, E> {
        Ok(match self {
            Self::Dropped => Output::Dropped,
            Self::One(task) => Output::One(change(task)?),
            Self::Many(tasks) => {
                Output::Many(tasks.into_iter().map(change).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl Output {
    /// Returns the tasks with their ids: `parent_0`, `parent_1`, …, also for a single one.
    #[must_use]
    pub fn into_tasks(self, parent: &Lineage) -> Vec<Task> {
        (0..)
            .zip(self.into_vec())
            .map(|(index, task)| parent.adopt(task, parent.id.child(index)))
            .collect()
    }
}

impl<T> From<T> for Output<T> {
    fn from(task: T) -> Self {
        Self::One(task)
    }
}

impl<T> From<Vec<T>> for Output<T> {
    fn from(tasks: Vec<T>) -> Self {
        Self::Many(tasks)
    }
}

impl<T> From<Option<T>> for Output<T> {
    fn from(task: Option<T>) -> Self {
        task.map_or(Self::Dropped, Self::One)
    }
}

/// The output of a stage for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutput<T = Task> {
    /// One entry for each task of the batch, in its order: the i-th entry is the output for the
    /// i-th task.
    PerTask(Vec<Output<T>>),
    /// The output for the batch as a whole.
    Aggregate(Output<T>),
}

impl BatchOutput {
    /// Returns the tasks with their ids.
    ///
    /// An entry's tasks are children of its own task, so a dropped task leaves its number unused
    /// and changes no other id. An aggregate's single task has the [aggregate
    /// id](crate::TaskId::aggregate) of the batch; several are its children.
    ///
    /// Fails with [`Error::EntryCount`] unless there is one entry for each parent.
    pub fn into_tasks(self, parents: &[Lineage]) -> Result<Vec<Task>, Error> {
        match self {
            Self::PerTask(entries) if entries.len() != parents.len() => {
                Err(Error::EntryCount { expected: parents.len(), given: entries.len() })
            }
            Self::PerTask(entries) => Ok(entries
                .into_iter()
                .zip(parents)
                .flat_map(|(entry, parent)| entry.into_tasks(parent))
                .collect()),
            Self::Aggregate(output) if output.len() == 1 => {
                let parent = Lineage::aggregate(parents);
                let adopt = |task| parent.adopt(task, parent.id.clone());
                Ok(output.into_vec().into_iter().map(adopt).collect())
            }
            Self::Aggregate(output) => Ok(output.into_tasks(&Lineage::aggregate(parents))),
        }
    }
}
