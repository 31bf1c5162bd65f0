//! Changes to settings, kept apart from the settings they change.

use std::fmt;
use std::time::Duration;

use envspec::RuntimeEnv;
use serde_json::{Map, Value};

use super::origins::Origins;
use crate::secret::Shown;
use crate::{Isolation, Preload, Resources, Settings, Workers};

/// Several changes to a stage's settings at once.
///
/// What is not mentioned is kept. `with_…` replaces a setting, `without_…` puts it back to its
/// default, the last one wins. Applied by [`Configured::with_`](crate::Configured::with_) and
/// [`CompositeStage::with_`](crate::CompositeStage::with_) to a copy.
///
/// ```
/// use envspec::RuntimeEnv;
/// use stage::{Overrides, PythonStage};
///
/// let clean = PythonStage::from_file("stages.py", "Clean");
/// let env = RuntimeEnv::uv(["packaging==24.0"]);
/// let pinned = clean.with_(Overrides::default().with_name("pinned").with_runtime_env(env));
/// assert_eq!((clean.name(), pinned.name()), ("Clean", "pinned"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Overrides {
    name: Option<String>,
    resources: Option<Resources>,
    batch_size: Change<usize>,
    workers: Option<Workers>,
    runtime_env: Change<RuntimeEnv>,
    inputs: Option<Vec<String>>,
    outputs: Option<Vec<String>>,
    ray_options: Options,
    xenna_options: Options,
    task_timeout: Change<Duration>,
    isolation: Change<Isolation>,
    max_attempts: Change<u32>,
    recycle_after: Change<u64>,
    preload: Change<Preload>,
}

/// A change to a setting that has a "none": `nemo_curator`'s sentinel, as a variant.
#[derive(Clone, Debug, Default, PartialEq)]
enum Change<T> {
    #[default]
    Keep,
    Reset,
    Set(T),
}

impl<T> Change<T> {
    fn apply(self, setting: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Reset => *setting = None,
            Self::Set(value) => *setting = Some(value),
        }
    }

    /// Whether the setting is set now; none where that does not change.
    fn gives(&self) -> Option<bool> {
        match self {
            Self::Keep => None,
            Self::Reset => Some(false),
            Self::Set(_) => Some(true),
        }
    }

    fn then(self, later: Self) -> Self {
        match later {
            Self::Keep => self,
            Self::Reset | Self::Set(_) => later,
        }
    }
}

/// A change to engine options: some laid over those that are there, or over none.
#[derive(Clone, Default, PartialEq)]
struct Options {
    clears: bool,
    laid_over: Map<String, Value>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("clears", &self.clears)
            .field("laid_over", &Shown(&self.laid_over))
            .finish()
    }
}

impl Options {
    fn gives(&self) -> Option<bool> {
        (self.clears || !self.laid_over.is_empty()).then(|| !self.laid_over.is_empty())
    }

    fn apply(self, options: &mut Map<String, Value>) {
        if self.clears {
            options.clear();
        }
        options.extend(self.laid_over);
    }

    fn then(mut self, later: Self) -> Self {
        if later.clears {
            return later;
        }
        self.laid_over.extend(later.laid_over);
        self
    }
}

impl Overrides {
    /// These changes, and then those: where both change a setting, `later` wins.
    pub fn then(self, later: Self) -> Self {
        let Self {
            name,
            resources,
            batch_size,
            workers,
            runtime_env,
            inputs,
            outputs,
            ray_options,
            xenna_options,
            task_timeout,
            isolation,
            max_attempts,
            recycle_after,
            preload,
        } = later;
        Self {
            name: name.or(self.name),
            resources: resources.or(self.resources),
            batch_size: self.batch_size.then(batch_size),
            workers: workers.or(self.workers),
            runtime_env: self.runtime_env.then(runtime_env),
            inputs: inputs.or(self.inputs),
            outputs: outputs.or(self.outputs),
            ray_options: self.ray_options.then(ray_options),
            xenna_options: self.xenna_options.then(xenna_options),
            task_timeout: self.task_timeout.then(task_timeout),
            isolation: self.isolation.then(isolation),
            max_attempts: self.max_attempts.then(max_attempts),
            recycle_after: self.recycle_after.then(recycle_after),
            preload: self.preload.then(preload),
        }
    }

    /// Makes the changes.
    pub fn apply(self, settings: &mut Settings) {
        let Self {
            name,
            resources,
            batch_size,
            workers,
            runtime_env,
            inputs,
            outputs,
            ray_options,
            xenna_options,
            task_timeout,
            isolation,
            max_attempts,
            recycle_after,
            preload,
        } = self;
        replace(&mut settings.name, name);
        replace(&mut settings.resources, resources);
        batch_size.apply(&mut settings.batch_size);
        replace(&mut settings.workers, workers);
        runtime_env.apply(&mut settings.runtime_env);
        replace(&mut settings.inputs, inputs);
        replace(&mut settings.outputs, outputs);
        ray_options.apply(&mut settings.ray_options);
        xenna_options.apply(&mut settings.xenna_options);
        task_timeout.apply(&mut settings.task_timeout);
        isolation.apply(&mut settings.isolation);
        max_attempts.apply(&mut settings.max_attempts);
        recycle_after.apply(&mut settings.recycle_after);
        preload.apply(&mut settings.preload);
    }

    /// Notes which settings come from the stage's entry from now on.
    pub(super) fn note(&self, origins: &mut Origins) {
        let changes = [
            ("name", self.name.as_ref().map(|_| true)),
            ("resources", self.resources.map(|_| true)),
            ("batch_size", self.batch_size.gives()),
            ("num_workers", self.workers.map(|_| true)),
            ("runtime_env", self.runtime_env.gives()),
            ("inputs", self.inputs.as_ref().map(|_| true)),
            ("outputs", self.outputs.as_ref().map(|_| true)),
            ("ray_stage_spec", self.ray_options.gives()),
            ("xenna_stage_spec", self.xenna_options.gives()),
            ("task_timeout_seconds", self.task_timeout.gives()),
            ("recycle_after_tasks", self.recycle_after.gives()),
        ];
        for (setting, gives) in changes {
            if let Some(is_given) = gives {
                origins.note(setting, is_given);
            }
        }
    }

    pub(super) fn edit(mut self, change: impl FnOnce(&mut Overrides)) -> Self {
        change(&mut self);
        self
    }
}

fn replace<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

/// Writes the `with_…` methods, once for [`Overrides`] and once for a stage, which must never
/// differ.
///
/// The type needs `fn edit(self, impl FnOnce(&mut Overrides)) -> Self`. Expanded here only: the
/// fields are private.
macro_rules! with_methods {
    ($($generics:ident)?, $target:ty) => {
        impl$(<$generics>)? $target {
            /// The same under another name. By default, a stage is called as its code is.
            pub fn with_name(self, name: impl Into<String>) -> Self {
                let name = name.into();
                self.edit(|changes| changes.name = Some(name))
            }

            /// The same with other resources per worker, replaced whole. By default, one core.
            pub fn with_resources(self, resources: Resources) -> Self {
                self.edit(|changes| changes.resources = Some(resources))
            }

            /// The same with at most that many tasks handed over at once, at least 1. By default,
            /// the engine's choice.
            pub fn with_batch_size(self, batch_size: usize) -> Self {
                self.edit(|changes| changes.batch_size = Change::Set(batch_size))
            }

            /// The same with the engine's choice of a batch size.
            pub fn without_batch_size(self) -> Self {
                self.edit(|changes| changes.batch_size = Change::Reset)
            }

            /// The same with that rule for the number of workers, in place of any other. By
            /// default, [`Workers::Auto`], which is also how a number is taken back.
            pub fn with_workers(self, workers: Workers) -> Self {
                self.edit(|changes| changes.workers = Some(workers))
            }

            /// The same with exactly that many workers, at least one. By default, the executor's
            /// choice.
            pub fn with_num_workers(self, num_workers: usize) -> Self {
                self.with_workers(Workers::Fixed(num_workers))
            }

            /// The same with that many workers per node, above 0. By default, the executor's
            /// choice.
            pub fn with_num_workers_per_node(self, num_workers: f64) -> Self {
                self.with_workers(Workers::PerNode(num_workers))
            }

            /// The same with that environment, replaced whole. An empty one is the base
            /// environment, whatever the pipeline's default is. By default, the pipeline's.
            pub fn with_runtime_env(self, runtime_env: RuntimeEnv) -> Self {
                self.edit(|changes| changes.runtime_env = Change::Set(runtime_env))
            }

            /// The same with the pipeline's default environment.
            pub fn without_runtime_env(self) -> Self {
                self.edit(|changes| changes.runtime_env = Change::Reset)
            }

            /// The same with those keys needed of every task, replaced whole. By default, none.
            pub fn with_inputs<I: IntoIterator<Item: Into<String>>>(self, keys: I) -> Self {
                let keys = keys.into_iter().map(Into::into).collect();
                self.edit(|changes| changes.inputs = Some(keys))
            }

            /// The same with those keys promised of every task that comes out, replaced whole. By
            /// default, none.
            pub fn with_outputs<I: IntoIterator<Item: Into<String>>>(self, keys: I) -> Self {
                let keys = keys.into_iter().map(Into::into).collect();
                self.edit(|changes| changes.outputs = Some(keys))
            }

            /// The same with one more option of `ray_stage_spec`, or another value for it. By
            /// default, none.
            pub fn with_ray_option(
                self,
                option: impl Into<String>,
                value: impl Into<Value>,
            ) -> Self {
                let (option, value) = (option.into(), value.into());
                self.edit(|changes| _ = changes.ray_options.laid_over.insert(option, value))
            }

            /// The same with those options of `ray_stage_spec` laid over the ones that are there; a
            /// table within is replaced whole. By default, none.
            pub fn with_ray_options(self, options: Map<String, Value>) -> Self {
                self.edit(|changes| changes.ray_options.laid_over.extend(options))
            }

            /// The same without any option of `ray_stage_spec`.
            pub fn without_ray_options(self) -> Self {
                let none = Options { clears: true, ..Options::default() };
                self.edit(|changes| changes.ray_options = none)
            }

            /// The same with one more option of `xenna_stage_spec`, or another value for it. By
            /// default, none.
            pub fn with_xenna_option(
                self,
                option: impl Into<String>,
                value: impl Into<Value>,
            ) -> Self {
                let (option, value) = (option.into(), value.into());
                self.edit(|changes| _ = changes.xenna_options.laid_over.insert(option, value))
            }

            /// The same with those options of `xenna_stage_spec` laid over the ones that are there;
            /// a table within is replaced whole. By default, none.
            pub fn with_xenna_options(self, options: Map<String, Value>) -> Self {
                self.edit(|changes| changes.xenna_options.laid_over.extend(options))
            }

            /// The same without any option of `xenna_stage_spec`.
            pub fn without_xenna_options(self) -> Self {
                let none = Options { clears: true, ..Options::default() };
                self.edit(|changes| changes.xenna_options = none)
            }

            /// The same with a longest time for one task, above zero. By default, there is none.
            pub fn with_task_timeout(self, task_timeout: Duration) -> Self {
                self.edit(|changes| changes.task_timeout = Change::Set(task_timeout))
            }

            /// The same with no longest time for one task.
            pub fn without_task_timeout(self) -> Self {
                self.edit(|changes| changes.task_timeout = Change::Reset)
            }

            /// The same with its environment kept apart that far from the base. By default, as the
            /// cache is set.
            pub fn with_isolation(self, isolation: Isolation) -> Self {
                self.edit(|changes| changes.isolation = Change::Set(isolation))
            }

            /// The same with its environment kept apart from the base as the cache is set.
            pub fn without_isolation(self) -> Self {
                self.edit(|changes| changes.isolation = Change::Reset)
            }

            /// The same with each task tried that many times in all, at least 1, whatever went
            /// wrong. By default, once more after its worker died, and never after an error of the
            /// stage's code.
            pub fn with_max_attempts(self, max_attempts: u32) -> Self {
                self.edit(|changes| changes.max_attempts = Change::Set(max_attempts))
            }

            /// The same with the default number of attempts.
            pub fn without_max_attempts(self) -> Self {
                self.edit(|changes| changes.max_attempts = Change::Reset)
            }

            /// The same with a worker replaced by a fresh one after that many tasks, at least 1. By
            /// default, never.
            pub fn with_recycle_after(self, tasks: u64) -> Self {
                self.edit(|changes| changes.recycle_after = Change::Set(tasks))
            }

            /// The same with workers that are never replaced.
            pub fn without_recycle_after(self) -> Self {
                self.edit(|changes| changes.recycle_after = Change::Reset)
            }

            /// The same with those modules imported before workers are forked, or, with `false`,
            /// with workers that never are. By default, what the stage's file imports before it
            /// does anything else.
            pub fn with_preload(self, preload: impl Into<Preload>) -> Self {
                let preload = preload.into();
                self.edit(|changes| changes.preload = Change::Set(preload))
            }

            /// The same with the default of what is imported before workers are forked.
            pub fn without_preload(self) -> Self {
                self.edit(|changes| changes.preload = Change::Reset)
            }
        }
    };
}

with_methods!(, Overrides);
with_methods!(B, crate::Configured<B>);
