//! Runs that can be taken up again where they were broken off.

mod code;
mod journal;
mod question;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stage::Task;

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::executor::{Executor, Sink};
use crate::groups::{Group, Groups};
use crate::intake::{Ended, Intake};
use crate::plan::Plan;
use crate::report::RunReport;
use journal::{Entry, Journal, Opened};
use question::Answer;

/// A folder in which runs keep which tasks are finished, and what came of them.
///
/// A task that was handed in is finished once all that was made of it has come out of the last
/// stage or was dropped by one. A run under a checkpoint passes over those that are finished
/// already, and hands what came out, of this run and of those before it, to its sink at its end, in
/// the order in which the tasks were handed in. A task that failed is not finished, and neither is
/// one that shares an aggregate with it: they are done again.
///
/// The record outlives the end of the process at any instant: what is finished by then is kept, and
/// only what was under way is done again. After a loss of power so are the last second's tasks.
/// What an aggregate holds depends on which tasks are left, so that a run that was broken off may
/// give other aggregates than one that was not.
///
/// Results of different work are not put together: a checkpoint is refused where the tasks, or what
/// decides what comes of them, have changed. That is, of each stage, its Python files (its own, and
/// those that it names of its folder, of `working_dir` and of `py_modules`), its arguments, packages,
/// variables, batch size, inputs and outputs; and the base. What is not seen: the text of Rust code,
/// and files of data that a stage reads from elsewhere than `py_modules`, since it may write them too. The folder holds digests of these, of variables and arguments
/// such that a secret could only be guessed, at some cost for each guess.
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
    /// What is finished, with the digests of the tasks that it was made of.
    finished: BTreeMap<u64, String>,
    journal: Journal,
    on_unfinished: Option<OnUnfinished>,
    /// Lines of the record that were damaged, by their numbers.
    damaged: Vec<usize>,
    /// Whether tasks may have changed.
    accepts: bool,
    /// Held for as long as this lives.
    _lock: File,
}

impl Checkpoint {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    ///
    /// [`Error::NotOurs`] if it holds something that is no checkpoint, [`Error::CheckpointInUse`] if
    /// another run has it open, [`Error::OtherPipeline`] if it was made by other work,
    /// [`Error::Cache`] if the base cannot be used, and [`Error::Io`], also if a stranger owns the
    /// folder or a file in it, or could have written there. Nothing is made or touched then.
    pub fn open(dir: impl Into<PathBuf>, plan: &Plan) -> Result<Self, Error> {
        Self::open_as(dir.into(), plan, false)
    }

    /// The same for work that may have changed: what is finished stays so, as if it had been done by
    /// what is asked for now. A task that has changed itself is done again, and what came of tasks
    /// that are no longer handed in is not handed on.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open), but for what may have changed.
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
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::CheckpointInUse { dir });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock the checkpoint")(source)),
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

    /// The same, telling of tasks that a run leaves unfinished, with those that share what came out
    /// of them, from several threads. By default, nobody is told.
    #[must_use]
    pub fn with_unfinished(self, on_unfinished: impl Fn(&Group) + Send + 'static) -> Self {
        Self { on_unfinished: Some(Box::new(on_unfinished)), ..self }
    }

    /// How many tasks are finished.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished.len()
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs what is left of these tasks, which are the same as in the runs before, and perhaps more.
    ///
    /// The report tells of this run alone.
    ///
    /// # Errors
    ///
    /// [`Error::OtherInput`] if a task that is finished has changed, [`Error::ShorterInput`] if one is
    /// not handed in any more; else as [`Executor::execute`]. `sink` is given nothing then.
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
            Arc::new(Intake::new(move |ended| lock(&keeper).ended(ended)))
        };
        let observer: Arc<dyn Observer> = {
            let intake = intake.clone();
            Arc::new(move |event: &Event| {
                // First, so that what it says is known before anything comes of it.
                intake.on_event(event);
                observer.on_event(event);
            })
        };
        if !self.damaged.is_empty() {
            let lines: Vec<String> = self.damaged.iter().map(ToString::to_string).collect();
            let message = format!(
                "the checkpoint `{dir}` was damaged (`journal.jsonl`, line {}): the tasks that stood \
                 there are done again",
                lines.join(", ")
            );
            observer.on_event(&Event::Warning { stage: None, message });
        }
        let mut seen = Seen {
            finished: self.finished,
            redone: BTreeMap::new(),
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
                lock(&keeper).came_out(&task);
                // It is told of its end when it is dropped, which needs the lock.
                drop(task);
                lock(&keeper).take_error().map_or(Ok(()), |error| Err(error.into()))
            };
            executor.execute(plan, &mut left, observer, &mut keep)
        };
        let report = result?;
        if let Some(index) = seen.changed {
            return Err(Error::OtherInput { index });
        }
        let done = lock(&keeper).finish();
        done.map_err(|source| Error::io("write the checkpoint", dir, source))?;
        // A run that was stopped may not have come to the end of its input.
        let is_whole = seen.is_over && !report.is_stopped;
        let last = seen.finished.last_key_value().map(|(index, _)| *index);
        if let Some(last) = last.filter(|last| is_whole && *last >= seen.next && !self.accepts) {
            return Err(Error::ShorterInput { finished: last + 1, now: seen.next });
        }
        let end = if is_whole { seen.next } else { u64::MAX };
        journal::hand_out(&path, end, &seen.redone, sink)?;
        Ok(report)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("dir", &self.dir)
            .field("finished", &self.finished.len())
            .finish_non_exhaustive()
    }
}

fn lock(keeper: &Mutex<Keeper>) -> MutexGuard<'_, Keeper> {
    keeper.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tasks that are not finished.
struct Left<'a> {
    tasks: &'a mut (dyn Iterator<Item = Task> + Send),
    intake: &'a Intake,
    seen: &'a mut Seen,
    /// Whether a task that has changed is done again.
    accepts: bool,
}

/// What is known of the tasks, against those that are handed in now.
struct Seen {
    finished: BTreeMap<u64, String>,
    /// Those that are others now, with their digests, and are done again.
    redone: BTreeMap<u64, String>,
    /// A task that is finished, and is another one now.
    changed: Option<u64>,
    next: u64,
    /// Whether there are no more.
    is_over: bool,
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
            // Where lines of the input were passed over, whoever read them knows the number.
            let index = task.sources().first().map_or(seen.next, |source| source.index());
            seen.next = index + 1;
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

/// Writes down what has come out of tasks that have ended.
struct Keeper {
    journal: Journal,
    groups: Groups,
    /// Told what is not kept, since something of it failed.
    on_unfinished: Option<OnUnfinished>,
    error: Option<io::Error>,
}

/// Told of tasks that are not finished.
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
