//! Stages of Rust code.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::{BatchOutput, BoxError, Context, Output, Task};

/// A stage in Rust. Only [`process`](Self::process) is required.
///
/// One value serves all workers of a stage at once, each with its own [`Context`]. A worker's own
/// objects (a model, a connection) are made in [`setup`](Self::setup) and kept in the context. Each
/// hook is called exactly once: `setup_on_node` for each node and stage, `setup` for each worker,
/// and `teardown` for each worker that ends in order, also after an error.
///
/// ```
/// use serde_json::json;
/// use stage::{BoxError, Context, Output, Stage, Task};
///
/// struct Shout;
///
/// impl Stage for Shout {
///     fn process(&self, task: Task, _: &mut Context) -> Result<Output, BoxError> {
///         let text = task.data.as_json().and_then(|data| data["text"].as_str());
///         let text = text.ok_or("no text")?.to_uppercase();
///         Ok(task.with_data(json!({ "text": text })).into())
///     }
/// }
/// ```
pub trait Stage: Send + Sync {
    /// Turns one task into another, several or none.
    fn process(&self, task: Task, context: &mut Context) -> Result<Output, BoxError>;

    /// Processes a batch. Default: [`process`](Self::process) is called on each task, in order.
    ///
    /// Executors call this method. A batch holds at least one task and at most the stage's batch
    /// size.
    fn process_batch(
        &self,
        tasks: Vec<Task>,
        context: &mut Context,
    ) -> Result<BatchOutput, BoxError> {
        let entries = tasks.into_iter().map(|task| self.process(task, context));
        entries.collect::<Result<_, _>>().map(BatchOutput::PerTask)
    }

    /// Prepares the node, for instance by downloading a model. Default: does nothing.
    fn setup_on_node(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Prepares a worker before its first task. Default: does nothing.
    fn setup(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Ends a worker. Default: does nothing; the context and its state are dropped after it.
    fn teardown(&self, context: &mut Context) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }
}

const _: Option<&dyn Stage> = None; // stays object-safe, or does not compile

/// Rust code in a pipeline: shared by the copies of a stage, and equal only to itself.
#[derive(Clone)]
pub struct RustCode {
    type_name: &'static str,
    stage: Arc<dyn Stage>,
    origin: Option<Arc<Origin>>,
}

/// The name and arguments of which a [registry](crate::Registry) made a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The name in the registry.
    pub name: String,
    /// The arguments. They may be secret.
    pub args: Value,
}

impl RustCode {
    /// Wraps the code of a stage.
    #[must_use]
    pub fn new<S: Stage + 'static>(stage: S) -> Self {
        Self::of_type::<S>(stage)
    }

    /// Returns the stage, for calls of its hooks.
    #[must_use]
    pub fn stage(&self) -> &dyn Stage {
        &*self.stage
    }

    /// Returns the name and arguments that a [`Registry`](crate::Registry) made it of; `None` if no
    /// registry made it.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// Wraps the code of a stage under the name of the type `T`, for which it stands.
    pub(super) fn of_type<T>(stage: impl Stage + 'static) -> Self {
        Self { type_name: type_name::<T>(), stage: Arc::new(stage), origin: None }
    }

    /// Sets the name and arguments that a registry made it of.
    pub(crate) fn with_origin(self, origin: Origin) -> Self {
        Self { origin: Some(Arc::new(origin)), ..self }
    }

    /// Returns the type's name without its path and parameters, which is a stage's default name.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let path = self.type_name.split('<').next().unwrap_or(self.type_name);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Wraps a closure.
    pub(crate) fn from_fn<F, O, E>(function: F) -> Self
    where
        F: Fn(Task, &mut Context) -> Result<O, E> + Send + Sync + 'static,
        O: Into<Output> + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::of_type::<F>(FromFn(function))
    }
}

impl PartialEq for RustCode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stage, &other.stage)
    }
}

impl fmt::Display for RustCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name)
    }
}

impl fmt::Debug for RustCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RustCode({})", self.type_name)
    }
}

struct FromFn<F>(F);

impl<F, O, E> Stage for FromFn<F>
where
    F: Fn(Task, &mut Context) -> Result<O, E> + Send + Sync,
    O: Into<Output>,
    E: Into<BoxError>,
{
    fn process(&self, task: Task, context: &mut Context) -> Result<Output, BoxError> {
        (self.0)(task, context).map(Into::into).map_err(Into::into)
    }
}
