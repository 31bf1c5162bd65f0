//! Stages that take and return Rust types instead of tasks.

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rust::{RustCode, Stage};
use crate::{BatchOutput, BoxError, Context, Data, Error, Json, Output, Task};

/// A stage in Rust that sees its tasks' data as Rust values.
///
/// The data travels as JSON between stages, so that a stage before or after may be Python or run
/// elsewhere. Outputs keep the task's data set and metadata.
/// [`RustStage::typed`](crate::RustStage::typed) makes a stage of it.
pub trait TypedStage: Send + Sync {
    /// The type that a task's JSON is read as.
    type In: DeserializeOwned;
    /// The type that is written as a task's JSON.
    type Out: Serialize;

    /// Turns one value into another, several or none.
    fn process(
        &self,
        input: Self::In,
        context: &mut Context,
    ) -> Result<Output<Self::Out>, BoxError>;

    /// Processes a batch. Default: [`process`](Self::process) is called on each value, in order.
    ///
    /// An aggregate has the first task's data set and no metadata.
    fn process_batch(
        &self,
        inputs: Vec<Self::In>,
        context: &mut Context,
    ) -> Result<BatchOutput<Self::Out>, BoxError> {
        let entries = inputs.into_iter().map(|input| self.process(input, context));
        entries.collect::<Result<_, _>>().map(BatchOutput::PerTask)
    }

    /// Prepares the node. Default: does nothing.
    fn setup_on_node(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Prepares a worker before its first task. Default: does nothing.
    fn setup(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Ends a worker. Default: does nothing.
    fn teardown(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }
}

impl RustCode {
    /// Wraps the code of a stage that takes and returns Rust values.
    #[must_use]
    pub fn typed<T: TypedStage + 'static>(stage: T) -> Self {
        Self::of_type::<T>(Typed(stage))
    }
}

struct Typed<T>(T);

impl<T: TypedStage> Stage for Typed<T> {
    fn process(&self, mut task: Task, context: &mut Context) -> Result<Output, BoxError> {
        let input = read(&mut task)?;
        Ok(written(self.0.process(input, context)?, task)?)
    }

    fn process_batch(
        &self,
        mut tasks: Vec<Task>,
        context: &mut Context,
    ) -> Result<BatchOutput, BoxError> {
        let inputs = tasks.iter_mut().map(read).collect::<Result<_, _>>()?;
        match self.0.process_batch(inputs, context)? {
            BatchOutput::PerTask(entries) if entries.len() != tasks.len() => {
                Err(Error::EntryCount { expected: tasks.len(), given: entries.len() }.into())
            }
            BatchOutput::PerTask(entries) => {
                let entries = entries.into_iter().zip(tasks);
                let outputs = entries.map(|(entry, task)| written(entry, task));
                Ok(BatchOutput::PerTask(outputs.collect::<Result<_, _>>()?))
            }
            BatchOutput::Aggregate(output) => {
                let output = output.try_map(|value| write(&value).map(Task::new))?;
                Ok(BatchOutput::Aggregate(output))
            }
        }
    }

    fn setup_on_node(&self, context: &mut Context) -> Result<(), BoxError> {
        self.0.setup_on_node(context)
    }

    fn setup(&self, context: &mut Context) -> Result<(), BoxError> {
        self.0.setup(context)
    }

    fn teardown(&self, context: &mut Context) -> Result<(), BoxError> {
        self.0.teardown(context)
    }
}

/// Takes a task's data and reads it as a Rust value.
fn read<T: DeserializeOwned>(task: &mut Task) -> Result<T, Error> {
    let failed = |source| Error::Input { expected: type_name::<T>(), source };
    match std::mem::take(&mut task.data) {
        Data::Json(json) => json.read().map_err(failed),
        Data::Bytes(_) => Err(failed("it is bytes, not JSON".into())),
        #[cfg(feature = "arrow")]
        Data::Table(_) => Err(failed("it is a table, not JSON".into())),
    }
}

/// Returns the outputs of `task` as tasks, each with its metadata, which is copied only if there is
/// more than one.
fn written<T: Serialize>(output: Output<T>, task: Task) -> Result<Output, Error> {
    match output {
        Output::Dropped => Ok(Output::Dropped),
        Output::One(value) => Ok(Output::One(task.with_data(write(&value)?))),
        several @ Output::Many(_) => {
            several.try_map(|value| Ok(task.clone().with_data(write(&value)?)))
        }
    }
}

fn write<T: Serialize>(value: &T) -> Result<Data, Error> {
    serde_json::to_string(value)
        .and_then(Json::from_text)
        .map(Data::Json)
        .map_err(|source| Error::Output { given: type_name::<T>(), source })
}
