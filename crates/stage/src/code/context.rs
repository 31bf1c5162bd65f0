//! The input of a Rust stage's hooks besides the tasks.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use crate::{Command, EnvView};

/// The worker that a hook runs in, and a store for values that it needs between tasks.
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
    /// Creates the context of the first worker of a stage, on a node named `local`, in the base
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

    /// Sets the worker's number. Default: 0.
    #[must_use]
    pub fn with_worker_index(self, worker_index: usize) -> Self {
        Self { worker_index, ..self }
    }

    /// Sets the node. Default: `local`.
    #[must_use]
    pub fn with_node_id(self, node_id: impl Into<String>) -> Self {
        Self { node_id: node_id.into(), ..self }
    }

    /// Sets the prepared environment. Default: none.
    #[must_use]
    pub fn with_environment(self, environment: EnvView) -> Self {
        Self { environment: Some(environment), ..self }
    }

    /// Returns the stage's name in the pipeline.
    #[must_use]
    pub fn stage_name(&self) -> &str {
        &self.stage_name
    }

    /// Returns the node that the worker runs on.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Returns the worker's number among the stage's workers on this node, from 0; 0 in
    /// `setup_on_node`.
    #[must_use]
    pub fn worker_index(&self) -> usize {
        self.worker_index
    }

    /// Returns the stage's prepared environment; `None` for a stage without a `runtime_env`.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvView> {
        self.environment.as_ref()
    }

    /// Returns a program to start in the stage's environment, as data: this crate starts no
    /// process.
    ///
    /// Without an environment, it is the program on `PATH`.
    pub fn command(&self, program: &str) -> Command {
        self.environment
            .as_ref()
            .map_or_else(|| Command::new(program), |environment| environment.command(program))
    }

    /// Keeps a value for this worker's later hooks, in place of the previous one.
    pub fn keep<T: Any + Send>(&mut self, value: T) {
        self.state = Some(Box::new(value));
    }

    /// Returns the kept value, if it is a `T`.
    #[must_use]
    pub fn kept<T: Any>(&self) -> Option<&T> {
        self.state.as_deref()?.downcast_ref()
    }

    /// Returns the kept value for changes, if it is a `T`.
    #[must_use]
    pub fn kept_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.state.as_deref_mut()?.downcast_mut()
    }

    /// Takes the kept value, if it is a `T`; any other value stays.
    pub fn take_kept<T: Any>(&mut self) -> Option<T> {
        match self.state.take()?.downcast() {
            Ok(value) => Some(*value),
            Err(other) => {
                self.state = Some(other);
                None
            }
        }
    }

    /// Adds `value` to a metric of the current batch; the metric is part of the tasks' timings.
    pub fn record(&mut self, metric: impl Into<String>, value: f64) {
        *self.metrics.entry(metric.into()).or_default() += value;
    }

    /// Takes the metrics recorded since the last call. For executors, after each batch.
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
