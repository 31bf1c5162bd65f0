//! The two ends of a run: the caller's tasks on their way in, and what comes out.

use std::time::Duration;

use stage::Task;

use super::parcel::Parcel;
use super::queue::{Cancelled, Taken};
use super::run::Run;
use crate::run::{Error, PlannedStage, Sink};

/// Moves the caller's tasks into the first queue.
pub(super) fn feed(
    run: &Run,
    first: Option<&PlannedStage>,
    tasks: &mut (dyn Iterator<Item = Task> + Send),
) {
    let mut tasks = Task::numbered(tasks);
    while run.queues[0].wait_for_room().is_ok() {
        let Some(task) = tasks.next() else { break };
        let id = task.id().to_string();
        let parcel = match Parcel::pack(task) {
            Ok(parcel) => parcel,
            Err(source) => return run.fail(Error::Data { task: id, source }),
        };
        match run.queues[0].push([parcel]) {
            Ok(late) => run.tell_of_late(first, &late),
            Err(Cancelled) => return,
        }
    }
    run.queues[0].close();
}

/// Moves the tasks of the last queue into the sink, until the run is over.
pub(super) fn drain(
    run: &Run,
    last: Option<&PlannedStage>,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let Some(queue) = run.queues.last() else { return Ok(()) };
    loop {
        match queue.take(Duration::from_secs(1)) {
            Taken::Finished => return Ok(()),
            Taken::Nothing => {}
            Taken::Batch(batch) => {
                for parcel in batch.parcels {
                    let id = parcel.head.id().clone();
                    // A followed task must not end before it is known to have failed.
                    let sources = parcel.head.sources().to_vec();
                    match parcel.unpack() {
                        Ok(task) => {
                            // The failure has its own sources, which may be the last ones.
                            drop(sources);
                            sink(task)
                                .map_err(|source| Error::Sink { task: id.to_string(), source })?;
                        }
                        Err(error) => run.unreadable(last, &id, &sources, error),
                    }
                }
                queue.settle();
            }
        }
    }
}
