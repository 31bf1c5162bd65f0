//! Runs that continue where an earlier run was interrupted.

mod code;
mod journal;
mod question;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stage::Task;

use crate::run::{
    Ended, Error, Event, Executor, Group, Groups, Intake, Observer, Plan, RunReport, Sink,
};
use crate::sync::Mutex;
use journal::{Entry, Journal, Opened};
use question::Answer;

/// What fails where the journal has no room.
const WRITE: &str = "write the checkpoint";

/// A folder in which runs record their finished tasks and the outputs.
///
/// A task that was handed in is finished once everything made from it has left the last stage or
/// was dropped by a stage. A run with a checkpoint skips the finished tasks. At its end, it hands
/// the outputs of this run and of earlier ones to its sink, in the order in which the tasks were
/// handed in. A task that failed is not finished, nor is a task that shares an aggregate with it:
/// both run again.
///
/// The record survives `kill -9` at any instant: only tasks under way run again. After a power
/// loss, the tasks of the last second run again, too. The contents of an aggregate depend on the
/// remaining tasks, so an interrupted run may produce other aggregates than an uninterrupted one.
///
/// Results of different work are not mixed: a checkpoint is refused if the tasks, or anything that
/// decides their outputs, have changed. For each stage, that is its Python files (its own, and the
/// files of its folder, of `working_dir` and of `py_modules` that they name), its arguments,
/// packages, variables, batch size, inputs and outputs; and the base. It does not see the text of
/// Rust code, nor data files that a stage reads outside of `py_modules`, since the stage may write
/// them, too. The folder holds digests of all these. Digests of variables and arguments are slow to
/// compute, so that a secret in them is costly to guess.
///
/// ```
/// use std::sync::Arc;
///
/// use backends::{Checkpoint, LocalExecutor, Plan};
/// use serde_json::json;
/// use stage::{Context, Pipeline, RustStage, Task};
///
/// # fn main() -> Result<(), backends::Error> {
/// let double = RustStage::from_fn("double", |task: Task, _: &mut Context| {
///     let number = task.data.as_json().and_then(|data| data.as_i64()).unwrap_or(0);
///     Ok::<_, stage::Error>(task.with_data(json!(2 * number)))
/// });
/// let plan = Plan::new(&Pipeline::new("demo").with_stage(double))?;
/// # let dir = tempfile::tempdir().expect("a temporary folder");
/// # let dir = dir.path();
/// for known in [0, 2] {
///     let checkpoint = Checkpoint::open(dir, &plan)?;
///     assert_eq!(checkpoint.finished(), known);
///     let mut outputs = Vec::new();
///     let mut sink = |task: Task| Ok(outputs.push(task.data));
///     let mut tasks = [json!(1), json!(2)].into_iter().map(Task::new);
///     checkpoint.run(&LocalExecutor::default(), &plan, &mut tasks, Arc::new(()), &mut sink)?;
///     assert_eq!(outputs, [json!(2).into(), json!(4).into()]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Checkpoint {
    dir: PathBuf,
    /// The finished tasks, with the digests of their inputs.
    finished: BTreeMap<u64, String>,
    journal: Journal,
    on_unfinished: Option<OnUnfinished>,
    /// The numbers of damaged lines of the record.
    damaged: Vec<usize>,
    /// Whether changed tasks are accepted.
    accepts: bool,
    /// Held for the lifetime of this value.
    _lock: File,
}

impl Checkpoint {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    ///
    /// [`Error::NotOurs`] if it holds files that are no checkpoint, [`Error::CheckpointInUse`] if
    /// another run has it open, [`Error::OtherPipeline`] if it belongs to other work,
    /// [`Error::Cache`] if the base cannot be used, and [`Error::Io`], also if another user owns
    /// the folder or a file in it, or could have written there. Nothing is made or touched then.
    pub fn open(dir: impl Into<PathBuf>, plan: &Plan) -> Result<Self, Error> {
        Self::open_as(dir.into(), plan, false)
    }

    /// Opens the folder for work that may have changed. Finished tasks stay finished, as if the
    /// current work had done them. A task that has itself changed runs again, and the outputs of
    /// tasks that are no longer handed in are dropped.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), except for the allowed changes.
    pub fn open_changed(dir: impl Into<PathBuf>, plan: &Plan) -> Result<Self, Error> {
        Self::open_as(dir.into(), plan, true)
    }

    fn open_as(dir: PathBuf, plan: &Plan, accepts: bool) -> Result<Self, Error> {
        let mut answer = Answer::find(&dir, plan, accepts)?;
        let failed = |action| {
            let dir = dir.display().to_string();
            move |source| Error::io(action, dir, source)
        };
        let (folder, access) = answer.claim(&dir)?;
        let lock = access.open_lock(&dir.join("lock"));
        let lock = lock.map_err(failed("lock the checkpoint"))?;
        let taken = files::Patience::LONG.attempt(|| match lock.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed("lock the checkpoint")(source)),
        })?;
        if taken.is_none() {
            return Err(Error::CheckpointInUse { dir });
        }
        // By now another run may have made it a checkpoint, or changed it.
        if !answer.still_holds(&folder, access)? {
            answer = Answer::find(&dir, plan, accepts)?;
        }
        answer.keep(&folder)?;
        let Opened { journal, finished, damaged } =
            Journal::open(&folder, access).map_err(failed("read the checkpoint"))?;
        Ok(Self { dir, finished, journal, on_unfinished: None, damaged, accepts, _lock: lock })
    }

    /// Sets a function that receives the tasks that a run leaves unfinished, with those that share
    /// outputs with them, from several threads. Default: none.
    #[must_use]
    pub fn with_unfinished(self, on_unfinished: impl Fn(&Group) + Send + 'static) -> Self {
        Self { on_unfinished: Some(Box::new(on_unfinished)), ..self }
    }

    /// Returns the number of finished tasks.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished.len()
    }

    /// Returns the numbers of the finished tasks, in order.
    pub fn finished_tasks(&self) -> impl Iterator<Item = u64> {
        self.finished.keys().copied()
    }

    /// Returns the folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs the remaining ones of these tasks, which are those of earlier runs, possibly with more
    /// at the end.
    ///
    /// The report covers this run alone.
    ///
    /// # Errors
    ///
    /// [`Error::OtherInput`] if a finished task has changed or been left out, and
    /// [`Error::ShorterInput`] if the last ones are no longer handed in; `sink` receives nothing
    /// then. Otherwise those of [`Executor::execute`].
    pub fn run(
        self,
        executor: &dyn Executor,
        plan: &Plan,
        tasks: &mut (dyn Iterator<Item = Task> + Send),
        observer: Arc<dyn Observer>,
        sink: &mut Sink<'_>,
    ) -> Result<RunReport, Error> {
        let dir = self.dir.display().to_string();
        let path = self.journal.path().to_owned();
        let keeper = Arc::new(Mutex::new(Keeper::new(self.journal, self.on_unfinished)));
        let intake = {
            let keeper = keeper.clone();
            Arc::new(Intake::new(move |ended| keeper.lock().ended(ended)))
        };
        let observer: Arc<dyn Observer> = {
            let intake = intake.clone();
            Arc::new(move |event: &Event| {
                // First, so that it is noted before its effects.
                intake.on_event(event);
                observer.on_event(event);
            })
        };
        if let Some(message) = told_of_damage(&dir, &self.damaged) {
            observer.on_event(&Event::Warning { stage: None, message });
        }
        let mut seen = Seen {
            finished: self.finished,
            redone: BTreeMap::new(),
            gone: BTreeSet::new(),
            changed: None,
            next: 0,
            is_over: false,
        };
        let result = {
            let mut left = Left { tasks, intake: &intake, seen: &mut seen, accepts: self.accepts };
            let mut keep = |task: Task| -> Result<(), stage::BoxError> {
                if task.sources().is_empty() {
                    let (executor, task) = (executor.name().to_owned(), task.id().to_string());
                    return Err(Error::Unfollowed { executor, task }.into());
                }
                keeper.lock().came_out(&task);
                // Dropping the task reports its end, which needs the lock.
                drop(task);
                let error = keeper.lock().take_error();
                error.map_or(Ok(()), |error| Err(Error::io(WRITE, &*dir, error).into()))
            };
            executor.execute(plan, &mut left, observer, &mut keep).map_err(own)
        };
        let report = result?;
        if let Some(index) = seen.changed {
            return Err(Error::OtherInput { index });
        }
        let done = keeper.lock().finish();
        done.map_err(|source| Error::io(WRITE, dir, source))?;
        // A stopped run may not have reached the end of its input.
        let is_whole = seen.is_over && !report.is_stopped;
        let last = seen.finished.last_key_value().map(|(index, _)| *index);
        if let Some(last) = last.filter(|last| is_whole && *last >= seen.next && !self.accepts) {
            return Err(Error::ShorterInput { finished: last + 1, now: seen.next });
        }
        let end = if is_whole { seen.next } else { u64::MAX };
        journal::hand_out(&path, end, &seen.redone, &seen.gone, sink)?;
        Ok(report)
    }
}

/// Returns the error of the checkpoint itself, for which an executor blames the sink.
fn own(error: Error) -> Error {
    match error {
        Error::Sink { task, source } => match source.downcast() {
            Ok(own) => *own,
            Err(source) => Error::Sink { task, source },
        },
        error => error,
    }
}

/// Returns the warning about damaged lines of a journal, if there are any.
fn told_of_damage(dir: &str, damaged: &[usize]) -> Option<String> {
    let lines: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| {
        format!(
            "the checkpoint `{dir}` was damaged (`journal.jsonl`, line {}): the tasks that stood \
             there are done again",
            lines.join(", ")
        )
    })
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("dir", &self.dir)
            .field("finished", &self.finished.len())
            .finish_non_exhaustive()
    }
}

/// The tasks that are not finished.
struct Left<'a> {
    tasks: &'a mut (dyn Iterator<Item = Task> + Send),
    intake: &'a Intake,
    seen: &'a mut Seen,
    /// Whether a changed task runs again.
    accepts: bool,
}

/// The known tasks, compared with those that are handed in now.
struct Seen {
    finished: BTreeMap<u64, String>,
    /// The changed tasks, with their digests, which run again.
    redone: BTreeMap<u64, String>,
    /// The finished tasks that are no longer handed in, though later ones are.
    gone: BTreeSet<u64>,
    /// A finished task that has changed.
    changed: Option<u64>,
    next: u64,
    /// Whether the input has ended.
    is_over: bool,
}

impl Seen {
    /// Goes on behind the task with this number. The finished tasks in between are gone: what
    /// stands in their places now is no task. Returns the first of them.
    fn go_behind(&mut self, index: u64) -> Option<u64> {
        let between = self.next..index.max(self.next);
        self.next = index + 1;
        let gone: Vec<u64> = self.finished.range(between).map(|(index, _)| *index).collect();
        self.gone.extend(&gone);
        gone.first().copied()
    }
}

impl Iterator for Left<'_> {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        let seen = &mut *self.seen;
        while seen.changed.is_none() {
            let Some(task) = self.tasks.next() else {
                seen.is_over = true;
                break;
            };
            // If lines of the input were skipped, the reader has set the number.
            let index = task.sources().first().map_or(seen.next, |source| source.index());
            seen.changed = seen.go_behind(index).filter(|_| !self.accepts);
            if seen.changed.is_some() {
                break;
            }
            let Some(known) = seen.finished.get(&index) else {
                return Some(self.intake.hand_in(index, task));
            };
            let digest = question::digest(&task);
            if *known == digest {
                continue;
            }
            if self.accepts {
                seen.redone.insert(index, digest);
                return Some(self.intake.hand_in(index, task));
            }
            seen.changed = Some(index);
        }
        None
    }
}

/// Records the outputs of tasks that have ended.
struct Keeper {
    journal: Journal,
    groups: Groups,
    /// Receives the tasks that are not kept because a part failed.
    on_unfinished: Option<OnUnfinished>,
    error: Option<io::Error>,
}

/// Receives unfinished tasks.
type OnUnfinished = Box<dyn Fn(&Group) + Send>;

impl Keeper {
    fn new(journal: Journal, on_unfinished: Option<OnUnfinished>) -> Self {
        Self { journal, groups: Groups::default(), on_unfinished, error: None }
    }

    fn came_out(&mut self, task: &Task) {
        self.groups.came_out(task);
    }

    fn ended(&mut self, ended: Ended) {
        let Some(group) = self.groups.ended(ended) else { return };
        if group.is_whole() {
            let digests =
                group.tasks.iter().map(|(index, ended)| (*index, question::digest(&ended.task)));
            let tasks = digests.collect();
            let written = self.journal.add(&Entry { tasks, outputs: group.outputs });
            self.error = self.error.take().or(written.err());
        } else if let Some(on_unfinished) = &self.on_unfinished {
            on_unfinished(&group);
        }
    }

    fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.journal.sync(),
        }
    }
}
