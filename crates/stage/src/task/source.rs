//! The source tasks of a task, and the end of each source task.

use std::fmt;
use std::sync::Arc;

/// A task that was handed in, in the memory of the tasks made from it.
///
/// It travels with the task and everything that stages make from it. It calls back when the last of
/// these is gone: dropped by the caller after it left the pipeline, dropped by a stage, failed, or
/// lost with the run. Two are equal if their numbers are.
///
/// ```
/// use std::sync::mpsc;
///
/// use stage::{SourceTask, Task};
///
/// let (sender, ended) = mpsc::channel();
/// let source = SourceTask::new(7, move |index| _ = sender.send(index));
/// let task = Task::empty().with_source(source);
/// let copy = task.clone();
/// drop(task);
/// assert!(ended.try_recv().is_err());
/// drop(copy);
/// assert_eq!(ended.try_recv(), Ok(7));
/// ```
pub struct SourceTask {
    index: u64,
    on_end: Box<dyn Fn(u64) + Send + Sync>,
}

impl SourceTask {
    /// Creates the `index`-th task that is handed in, from 0. `on_end` is called with the number
    /// when nothing made from it is left, on any thread.
    pub fn new(index: u64, on_end: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { index, on_end: Box::new(on_end) }
    }

    /// Returns its number among the tasks handed in, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl Drop for SourceTask {
    fn drop(&mut self) {
        (self.on_end)(self.index);
    }
}

impl PartialEq for SourceTask {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl fmt::Debug for SourceTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceTask({})", self.index)
    }
}

/// The source tasks of a task: none if they are not followed, one, or, for an aggregate, several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Sources {
    #[default]
    None,
    One(Arc<SourceTask>),
    Several(Arc<[Arc<SourceTask>]>),
}

impl Sources {
    pub(super) fn of(source: SourceTask) -> Self {
        Self::One(Arc::new(source))
    }

    /// Joins the source tasks of several tasks, each once.
    pub(super) fn together<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut sources: Vec<Arc<SourceTask>> = parts.flat_map(Self::as_slice).cloned().collect();
        sources.sort_by_key(|source| source.index);
        sources.dedup_by_key(|source| source.index);
        match sources.len() {
            0 => Self::None,
            1 => Self::One(sources.remove(0)),
            _ => Self::Several(sources.into()),
        }
    }

    pub(super) fn as_slice(&self) -> &[Arc<SourceTask>] {
        match self {
            Self::None => &[],
            Self::One(source) => std::slice::from_ref(source),
            Self::Several(sources) => sources,
        }
    }
}
