//! What a hook of a Rust stage is given besides its tasks.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use crate::{Command, EnvView};

/// The worker that a hook runs in, and a place to keep what it needs between tasks.
///
/// ```
/// use stage::Context;
///
/// struct Model(u32);
///
/// let mut context = Context::new("score");
/// context.keep(Model(7)); // in `setup`
/// assert_eq!(context.kept::<Model>().map(|model| model.0), Some(7)); // in `process`
/// ```
pub struct Context {
    stage_name: String,
    node_id: String,
    worker_index: usize,
    environment: Option<EnvView>,
    state: Option<Box<dyn Any + Send>>,
    metrics: BTreeMap<String, f64>,
}

impl Context {
    /// The context of the first worker of a stage, on a node named `local`, in the base
    /// environment.
    #[must_use]
    pub fn new(stage_name: impl Into<String>) -> Self {
        Self {
            stage_name: stage_name.into(),
            node_id: "local".to_owned(),
            worker_index: 0,
            environment: None,
            state: None,
            metrics: BTreeMap::new(),
        }
    }

    /// The same for another worker. By default, 0.
    #[must_use]
    pub fn with_worker_index(self, worker_index: usize) -> Self {
        Self { worker_index, ..self }
    }

    /// The same on another node. By default, `local`.
    #[must_use]
    pub fn with_node_id(self, node_id: impl Into<String>) -> Self {
        Self { node_id: node_id.into(), ..self }
    }

    /// The same with a prepared environment. By default, there is none.
    #[must_use]
    pub fn with_environment(self, environment: EnvView) -> Self {
        Self { environment: Some(environment), ..self }
    }

    /// The stage's name in the pipeline.
    #[must_use]
    pub fn stage_name(&self) -> &str {
        &self.stage_name
    }

    /// The node that the worker runs on.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// The worker's number among the stage's workers on this node, from 0; 0 in `setup_on_node`.
    #[must_use]
    pub fn worker_index(&self) -> usize {
        self.worker_index
    }

    /// The stage's prepared environment; `None` for a stage that has no `runtime_env`.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvView> {
        self.environment.as_ref()
    }

    /// A program to be started in the stage's environment, as data: this crate starts no process.
    ///
    /// Without an environment it is that program as `PATH` finds it.
    pub fn command(&self, program: &str) -> Command {
        self.environment
            .as_ref()
            .map_or_else(|| Command::new(program), |environment| environment.command(program))
    }

    /// Keeps a value for this worker's later hooks, in place of the one kept before.
    pub fn keep<T: Any + Send>(&mut self, value: T) {
        self.state = Some(Box::new(value));
    }

    /// What was kept, if it is a `T`.
    #[must_use]
    pub fn kept<T: Any>(&self) -> Option<&T> {
        self.state.as_deref()?.downcast_ref()
    }

    /// What was kept, to be changed, if it is a `T`.
    #[must_use]
    pub fn kept_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.state.as_deref_mut()?.downcast_mut()
    }

    /// Takes what was kept, if it is a `T`; anything else stays.
    pub fn take_kept<T: Any>(&mut self) -> Option<T> {
        match self.state.take()?.downcast() {
            Ok(value) => Some(*value),
            Err(other) => {
                self.state = Some(other);
                None
            }
        }
    }

    /// Adds `value` to a metric of the batch at hand; it ends in the tasks' timings.
    pub fn record(&mut self, metric: impl Into<String>, value: f64) {
        *self.metrics.entry(metric.into()).or_default() += value;
    }

    /// Takes what was recorded since the last call. For executors, after each batch.
    #[must_use]
    pub fn take_metrics(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.metrics)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage_name, node_id, worker_index, environment, state, metrics } = self;
        f.debug_struct("Context")
            .field("stage_name", stage_name)
            .field("node_id", node_id)
            .field("worker_index", worker_index)
            .field("environment", environment)
            .field("keeps_state", &state.is_some())
            .field("metrics", metrics)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Context;

    #[test]
    fn taking_another_type_leaves_what_was_kept() {
        let mut context = Context::new("a");
        context.keep(1_u8);
        assert_eq!(context.take_kept::<u16>(), None);
        *context.kept_mut::<u8>().unwrap() += 1;
        assert_eq!(context.take_kept::<u8>(), Some(2));
        assert_eq!(context.kept::<u8>(), None);
    }
}
