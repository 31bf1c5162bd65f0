//! A stage: code and settings.

use std::time::Duration;

use envspec::RuntimeEnv;
use serde_json::{Map, Value};

use super::entry::Entry;
use super::origins::Origins;
use super::overrides::{Overrides, method, methods};
use super::plain::Settings;
use super::resources::Resources;
use super::scalars::{Isolation, Preload, Workers};
use super::table::table;
use crate::{
    Behaviour, BoxError, Context, Declared, Error, Output, PythonCode, RustCode, Stage, Task,
    TypedStage,
};

/// Code with its settings: one stage of a pipeline.
///
/// Every `with_…` method changes a copy or consumes the stage. So one stage may be part of many
/// pipelines, or occur several times in one pipeline under different names.
#[derive(Clone, Debug)]
#[must_use]
pub struct Configured<B> {
    pub(super) behaviour: B,
    pub(super) settings: Settings,
    pub(super) origins: Origins,
}

/// A stage that is Python code.
pub type PythonStage = Configured<PythonCode>;

/// A stage that is Rust code.
pub type RustStage = Configured<RustCode>;

/// A stage of either kind, as a built pipeline holds it.
pub type AnyStage = Configured<Behaviour>;

impl<B> Configured<B> {
    /// Creates a stage of this code and these settings.
    ///
    /// Settings that differ from their defaults count as set by the stage's entry, so declarations
    /// of the code do not replace them.
    pub fn new(behaviour: B, settings: Settings) -> Self {
        let origins = Origins::of_settings(&settings);
        Self { behaviour, settings, origins }
    }

    /// Marks the name as the code's own, which no entry has given.
    pub(super) fn named_by_code(mut self) -> Self {
        self.origins.note("name", false);
        self
    }

    /// Returns the code.
    #[must_use]
    pub fn behaviour(&self) -> &B {
        &self.behaviour
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Returns a copy with these changes. The copy keeps settings that they do not mention, and
    /// this stage stays as it is.
    pub fn with_(&self, overrides: Overrides) -> Self
    where
        B: Clone,
    {
        let mut copy = self.clone();
        copy.origins.note_changes(&overrides);
        overrides.apply(&mut copy.settings);
        copy
    }

    /// Returns the stage with other code, and the same settings from the same origins.
    pub(crate) fn with_behaviour<C>(self, behaviour: C) -> Configured<C> {
        Configured { behaviour, settings: self.settings, origins: self.origins }
    }

    fn edit(mut self, change: impl FnOnce(&mut Overrides)) -> Self {
        let overrides = Overrides::default().edit(change);
        self.origins.note_changes(&overrides);
        overrides.apply(&mut self.settings);
        self
    }
}

impl<B> Configured<B> {
    table!(methods);
}

/// Two stages are equal if they have equal code, and equal settings from the same origins.
impl<B: PartialEq> PartialEq for Configured<B> {
    fn eq(&self, other: &Self) -> bool {
        self.behaviour == other.behaviour
            && self.settings == other.settings
            && self.origins.without_name() == other.origins.without_name()
    }
}

impl PythonStage {
    /// Creates a stage from a class or function of a `.py` file, and names the stage after it. A
    /// relative path is relative to the pipeline's folder.
    pub fn from_file(file: impl Into<std::path::PathBuf>, name: impl Into<String>) -> Self {
        PythonCode::from_file(file, name).into()
    }

    /// Creates a stage from a class or function of a module that the stage's environment can
    /// import, and names the stage after it.
    pub fn from_module(module: impl Into<String>, name: impl Into<String>) -> Self {
        PythonCode::from_module(module, name).into()
    }

    /// Creates a stage from a class or function of a module given as text, and names the stage
    /// after it.
    pub fn from_source(text: impl Into<String>, name: impl Into<String>) -> Self {
        PythonCode::from_source(text, name).into()
    }

    /// Sets arguments for the class: a JSON object gives keyword arguments, an array positional
    /// ones.
    ///
    /// Default: `null`, which constructs the class without arguments.
    pub fn with_args(self, args: impl Into<serde_json::Value>) -> Self {
        Self { behaviour: self.behaviour.with_args(args), ..self }
    }

    /// Sets the policy for settings that the class declares (`runtime_env`, `batch_size`, and the
    /// like). Default: [`Declared::Use`], which applies them unless the stage's entry sets them.
    pub fn with_declared(self, declared: Declared) -> Self {
        Self { behaviour: self.behaviour.with_declared(declared), ..self }
    }
}

/// Conversions between a stage and its entry in a file.
impl PythonStage {
    /// Puts its file's relative path under `dir`.
    pub(crate) fn within(self, dir: &std::path::Path) -> Self {
        let code = self.behaviour.clone().within(dir);
        self.with_behaviour(code)
    }

    /// Notes which settings the stage's entry sets.
    pub(crate) fn noting(mut self, entry: &Entry) -> Self {
        self.origins.note_entry(entry);
        self
    }

    /// Returns the settings as an entry, including those that are set to their defaults.
    pub(crate) fn to_entry(&self) -> Entry {
        Entry::new(self.settings.clone(), |setting| self.origins.gives(setting))
    }

    /// Marks the name as the code's own if `other` has the same name and it is the code's own
    /// there. (A file in between names every stage.)
    pub(crate) fn keep_name_of(&mut self, other: &Self) {
        if self.settings.name == other.settings.name && !other.origins.gives("name") {
            self.origins.note("name", false);
        }
    }
}

impl From<PythonCode> for PythonStage {
    fn from(code: PythonCode) -> Self {
        let settings = Settings::new(code.short_name());
        Self::new(code, settings).named_by_code()
    }
}

impl RustStage {
    /// Creates a stage from a Rust type, and names the stage after it.
    pub fn from_stage<S: Stage + 'static>(stage: S) -> Self {
        RustCode::new(stage).into()
    }

    /// Creates a stage from a Rust type that takes and returns values instead of tasks, and names
    /// the stage after it.
    pub fn typed<T: TypedStage + 'static>(stage: T) -> Self {
        RustCode::typed(stage).into()
    }

    /// Creates a stage from a closure or function.
    ///
    /// ```
    /// use stage::{Context, RustStage, Task};
    ///
    /// // Drops what has no text.
    /// let filter = RustStage::from_fn("has_text", |task: Task, _: &mut Context| {
    ///     Ok::<_, stage::Error>(task.data.has("text").then_some(task))
    /// });
    /// assert_eq!(filter.name(), "has_text");
    /// ```
    pub fn from_fn<F, O, E>(name: impl Into<String>, function: F) -> Self
    where
        F: Fn(Task, &mut Context) -> Result<O, E> + Send + Sync + 'static,
        O: Into<Output> + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::new(RustCode::from_fn(function), Settings::new(name))
    }
}

impl From<RustCode> for RustStage {
    fn from(code: RustCode) -> Self {
        let settings = Settings::new(code.short_name());
        Self::new(code, settings)
    }
}

impl AnyStage {
    /// Fails for settings and code that make no sense. Building a pipeline calls it for each stage.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.settings.check()?;
        let Behaviour::Python(code) = &self.behaviour else {
            return Ok(());
        };
        code.check()?;
        if code.args().is_null() || code.args().is_object() || code.args().is_array() {
            return Ok(());
        }
        Err(Error::Setting {
            stage: self.name().to_owned(),
            setting: "args",
            problem: "is neither a table of keyword arguments nor a list of positional ones".into(),
        })
    }
}

impl From<PythonStage> for AnyStage {
    fn from(stage: PythonStage) -> Self {
        Self { behaviour: stage.behaviour.into(), settings: stage.settings, origins: stage.origins }
    }
}

impl From<RustStage> for AnyStage {
    fn from(stage: RustStage) -> Self {
        Self { behaviour: stage.behaviour.into(), settings: stage.settings, origins: stage.origins }
    }
}
