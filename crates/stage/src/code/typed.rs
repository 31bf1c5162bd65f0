//! Stages that take and give Rust types instead of tasks.

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{BoxError, Context, Data, Error, Output, Stage, Task};

/// A stage in Rust that sees its tasks' data as Rust values.
///
/// The data travels as JSON between stages, so that a stage before or after may be Python or run elsewhere. What comes
/// out keeps the task's data set and metadata. Made a stage by [`RustStage::typed`](crate::RustStage::typed).
pub trait TypedStage: Send + Sync {
    /// What a task's JSON is read as.
    type In: DeserializeOwned;
    /// What is written as a task's JSON.
    type Out: Serialize;

    /// Makes of one value another, several or none.
    fn process(
        &self,
        input: Self::In,
        context: &mut Context,
    ) -> Result<Output<Self::Out>, BoxError>;

    /// Prepares the node. By default, nothing.
    fn setup_on_node(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Prepares a worker before its first task. By default, nothing.
    fn setup(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Ends a worker. By default, nothing.
    fn teardown(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }
}

pub(crate) struct Typed<T>(pub(crate) T);

impl<T: TypedStage> Stage for Typed<T> {
    fn process(&self, mut task: Task, context: &mut Context) -> Result<Output, BoxError> {
        let input = read(std::mem::take(&mut task.data))?;
        match self.0.process(input, context)? {
            // The only copy of a task's metadata is made when there is more than one task to carry it.
            Output::Dropped => Ok(Output::Dropped),
            Output::One(value) => Ok(Output::One(task.with_data(write(&value)?))),
            several @ Output::Many(_) => {
                Ok(several
                    .try_map(|value| Ok::<_, Error>(task.clone().with_data(write(&value)?)))?)
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

fn read<T: DeserializeOwned>(data: Data) -> Result<T, Error> {
    let failed = |source| Error::Input { expected: type_name::<T>(), source };
    match data {
        Data::Json(value) => serde_json::from_value(value).map_err(|err| failed(err.into())),
        Data::Bytes(_) => Err(failed("it is bytes, not JSON".into())),
    }
}

fn write<T: Serialize>(value: &T) -> Result<Data, Error> {
    serde_json::to_value(value)
        .map(Data::Json)
        .map_err(|source| Error::Output { given: type_name::<T>(), source })
}
