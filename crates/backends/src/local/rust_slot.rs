//! One slot of a Rust stage: a thread that calls the stage's hooks.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use stage::{BatchOutput, BoxError, Context, Data, Json, RustCode, Task};

use super::parcel::{Batch, Parcel};
use super::queue::Taken;
use super::stage_run::{StageRun, Trouble};
use crate::provision::Environment;
use crate::run::{Cause, Error, Spent};

/// Poll interval of a waiting thread.
const TICK: Duration = Duration::from_millis(100);

/// Runs the slot until the stage is finished or the run is cancelled.
pub(crate) fn run(
    stage: &StageRun<'_>,
    code: &RustCode,
    index: usize,
    environment: Option<&Environment>,
) {
    let slot = RustSlot { stage, code, index };
    let mut context = Context::new(stage.name())
        .with_worker_index(stage.run.node.first_worker + index)
        .with_node_id(&stage.run.node.name);
    if let Some(environment) = environment {
        context = context.with_environment(environment.view());
    }
    let begun = Instant::now();
    match slot.set_up(&mut context) {
        Ok(true) => {}
        Ok(false) => return,
        Err(cause) => {
            return stage.run.fail(Error::RustSetup { stage: stage.name().to_owned(), cause });
        }
    }
    let _counted = stage.worker_ready(index, None, begun.elapsed(), Duration::ZERO);
    loop {
        match stage.queue().take(TICK) {
            Taken::Finished => break,
            Taken::Nothing => {}
            Taken::Batch(batch) => {
                stage.load.begin_batch();
                slot.process(batch, &mut context);
                stage.load.end_batch();
            }
        }
    }
    if let Err(cause) = guarded(|| code.stage().teardown(&mut context)) {
        stage.warn(format!("`teardown` failed: {cause}"));
    }
    stage.worker_ended(index, None, true);
}

struct RustSlot<'a> {
    stage: &'a StageRun<'a>,
    code: &'a RustCode,
    index: usize,
}

impl RustSlot<'_> {
    /// Runs the set-up hooks; returns false if the run was cancelled meanwhile.
    fn set_up(&self, context: &mut Context) -> Result<bool, Cause> {
        let hooks = self.code.stage();
        let noted = |error: io::Error| Cause::Failed(vec![error.to_string()]);
        let begun = self.stage.node_setup.begin(|| self.stage.run.cancel.is_cancelled());
        match begun.map_err(noted)? {
            None => return Ok(false),
            Some(false) => {}
            Some(true) => {
                let result = guarded(|| hooks.setup_on_node(context));
                let ended = self.stage.node_setup.end(result.is_ok());
                result?;
                ended.map_err(noted)?;
            }
        }
        guarded(|| hooks.setup(context))?;
        Ok(true)
    }

    fn process(&self, mut batch: Batch, context: &mut Context) {
        let stage = self.stage;
        let tasks = self.unpack(&mut batch);
        if tasks.is_empty() {
            return stage.queue().settle();
        }
        let begun = Instant::now();
        let missing = tasks
            .iter()
            .find_map(|task| stage.planned.settings.check_task(task.id(), &task.data).err());
        // Rust may be unable to represent these, which is an error if the stage reads them.
        let doubtful: Vec<Json> = tasks.iter().filter_map(doubtful).collect();
        let result = match missing {
            Some(error) => Err(Cause::MissingInput(error.to_string())),
            None => guarded(|| self.code.stage().process_batch(tasks, context)),
        };
        let refused = doubtful.iter().find_map(Json::refused);
        let result = refused.map_or(result, |error| Err(Cause::Unreadable(error.to_string())));
        let duration = begun.elapsed();
        let outputs = result.and_then(|outputs| {
            self.pack(outputs, &mut batch, duration, context)
                .map_err(|problem| Cause::Failed(vec![problem]))
        });
        match outputs {
            // A cancelled run wants no more outputs.
            Ok(outputs) => {
                let spent = Spent { process: duration, transfer: Duration::ZERO };
                drop(stage.done(self.index, batch.parcels.len(), outputs, spent, Vec::new()));
            }
            Err(cause) => stage.batch_trouble(batch, Trouble { cause, log: Vec::new() }),
        }
    }

    /// Returns the tasks of a batch. An unreadable task leaves the batch, as a failure of its
    /// producer.
    fn unpack(&self, batch: &mut Batch) -> Vec<Task> {
        let mut tasks = Vec::with_capacity(batch.parcels.len());
        batch.parcels.retain(|parcel| match parcel.clone().unpack() {
            Ok(task) => {
                tasks.push(task);
                true
            }
            Err(error) => {
                let head = &parcel.head;
                let producer = self.stage.producer;
                self.stage.run.unreadable(producer, head.id(), head.sources(), error);
                false
            }
        });
        tasks
    }

    fn pack(
        &self,
        outputs: BatchOutput,
        batch: &mut Batch,
        duration: Duration,
        context: &mut Context,
    ) -> Result<Vec<Parcel>, String> {
        let metrics = context.take_metrics();
        let lineages = batch.lineages(self.stage.name(), duration, &metrics);
        let tasks = outputs.into_tasks(&lineages).map_err(|error| error.to_string())?;
        let settings = &self.stage.planned.settings;
        let mut lacking = tasks.iter().map(|task| settings.lacking_outputs(&task.data));
        if let Some(keys) = lacking.find(|keys| !keys.is_empty()) {
            self.stage.tell_lacking(&keys);
        }
        let parcels = tasks.into_iter().map(Parcel::pack);
        parcels.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }
}

fn doubtful(task: &Task) -> Option<Json> {
    match &task.data {
        Data::Json(json) if json.is_doubtful() => Some(json.clone()),
        _ => None,
    }
}

/// Calls a hook; turns an error or a panic into a cause.
fn guarded<T>(hook: impl FnOnce() -> Result<T, BoxError>) -> Result<T, Cause> {
    match catch_unwind(AssertUnwindSafe(hook)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Cause::Failed(envspec::messages(&*error))),
        Err(panic) => Err(Cause::Panicked(panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no text)".into())
}
