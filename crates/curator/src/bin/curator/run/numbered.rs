//! The tasks of the input on their way into a run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use curator::Task;
use curator::backends::run::Intake;
use curator::backends::{Event, Observer};
use curator::stage::SourceTask;

use super::failed::FailedFile;
use super::input::{Read, Reading, Tasks};
use super::malformed::Malformed;
use crate::display::FAILURES;

/// The tasks of the input, by the numbers that they have there.
pub(super) struct Numbered {
    pub(super) lines: Tasks,
    pub(super) next: u64,
    pub(super) reading: Arc<Reading>,
    pub(super) failed: Option<FailedFile>,
    /// What follows the tasks, where that is not a checkpoint.
    pub(super) intake: Option<Arc<Intake>>,
    /// The tasks that have results already and must not change: a line that is no task any more in
    /// the place of one has the run refused, and is no failed task.
    pub(super) settled: BTreeSet<u64>,
    /// Whether a line that is no task is passed over.
    pub(super) goes_on: bool,
    pub(super) observer: Arc<dyn Observer>,
}

impl Iterator for Numbered {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        loop {
            let (index, read) = (self.next, self.lines.next()?);
            self.next += 1;
            match (read, &self.intake) {
                (Read::Task(task), Some(intake)) => return Some(intake.hand_in(index, *task)),
                // Its number is its place among those that are handed in.
                (Read::Task(task), None) if !self.goes_on => return Some(*task),
                (Read::Task(task), None) => {
                    return Some(task.with_source(SourceTask::new(index, |_| {})));
                }
                (Read::Malformed(malformed), _) => {
                    let failed = self.failed.as_ref();
                    if let Some(failed) = failed.filter(|_| !self.settled.contains(&index)) {
                        failed.add_malformed(index, &malformed);
                    }
                    if !self.goes_on {
                        self.reading.fail(malformed.problem);
                        return None;
                    }
                    self.tell(&malformed);
                }
            }
        }
    }
}

impl Numbered {
    fn tell(&self, malformed: &Malformed) {
        let count = self.reading.malformed.fetch_add(1, Ordering::Relaxed);
        let message = match usize::try_from(count) {
            Ok(0..FAILURES) => malformed.message().to_owned(),
            Ok(FAILURES) => "more lines are no tasks, which are counted from here on".to_owned(),
            _ => return,
        };
        self.observer.on_event(&Event::Warning { stage: None, message });
    }
}
