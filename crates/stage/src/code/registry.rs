//! Rust stages that another process of the same program can create.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::rust::{Origin, RustCode, Stage};
use crate::{BoxError, Error, RustStage, Settings};

type Constructor = Arc<dyn Fn(&Value) -> Result<RustCode, BoxError> + Send + Sync>;

/// The Rust stages of a program, by name, with which another process of the same program creates
/// them.
///
/// A stage that a registry creates remembers its name and its arguments. So an engine can run it on
/// another machine, where the program itself is the worker. A stage created in any other way runs
/// on the local executor only.
///
/// ```
/// use serde_json::{Value, json};
/// use stage::{BoxError, Context, Output, Registry, Stage, Task};
///
/// struct Repeat(usize);
///
/// impl Stage for Repeat {
///     fn process(&self, task: Task, _: &mut Context) -> Result<Output, BoxError> {
///         Ok(Output::Many(vec![task; self.0]))
///     }
/// }
///
/// let registry = Registry::new().with("repeat", |args: &Value| {
///     let times = args["times"].as_u64().ok_or("`times` is no number")?;
///     Ok(Repeat(usize::try_from(times)?))
/// });
/// let twice = registry.stage("repeat", json!({ "times": 2 }))?;
/// assert_eq!(twice.name(), "repeat");
/// # Ok::<(), stage::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Registry {
    constructors: BTreeMap<String, Constructor>,
}

impl Registry {
    /// Creates a registry without stages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage, or replaces the constructor of an existing name. The constructor is called
    /// with the arguments from the pipeline, in every process that runs the stage.
    pub fn with<S, F>(mut self, name: impl Into<String>, constructor: F) -> Self
    where
        S: Stage + 'static,
        F: Fn(&Value) -> Result<S, BoxError> + Send + Sync + 'static,
    {
        let make = move |args: &Value| constructor(args).map(RustCode::new);
        self.constructors.insert(name.into(), Arc::new(make));
        self
    }

    /// Returns the names, in alphabetical order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.constructors.keys().map(String::as_str)
    }

    /// Creates a stage, named as it is registered. Fails if nothing is registered under the name,
    /// or if the constructor refuses the arguments.
    pub fn stage(&self, name: &str, args: impl Into<Value>) -> Result<RustStage, Error> {
        let args = args.into();
        let Some(constructor) = self.constructors.get(name) else {
            return Err(Error::NotRegistered {
                name: name.to_owned(),
                known: self.names().map(str::to_owned).collect(),
            });
        };
        let code = constructor(&args)
            .map_err(|source| Error::Constructor { name: name.to_owned(), source })?;
        let origin = Origin { name: name.to_owned(), args };
        Ok(RustStage::new(code.with_origin(origin), Settings::new(name)))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.constructors.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Context, Output, Task};

    struct Nothing;

    impl Stage for Nothing {
        fn process(&self, _: Task, _: &mut Context) -> Result<Output, BoxError> {
            Ok(Output::Dropped)
        }
    }

    fn registry() -> Registry {
        Registry::new().with("nothing", |args: &Value| match args {
            Value::Null => Ok(Nothing),
            _ => Err("takes no arguments".into()),
        })
    }

    #[test]
    fn a_stage_remembers_what_it_was_made_of() {
        let stage = registry().stage("nothing", Value::Null).unwrap().with_name("other");
        let origin = stage.behaviour().origin().unwrap();
        assert_eq!((origin.name.as_str(), &origin.args), ("nothing", &Value::Null));
        assert!(RustStage::from_stage(Nothing).behaviour().origin().is_none());
    }

    #[test]
    fn a_wrong_name_and_wrong_arguments_are_told() {
        let error = registry().stage("nothin", Value::Null).unwrap_err();
        assert_eq!(error.to_string(), "no Rust stage is registered as `nothin`");
        assert_eq!(error.hint().as_deref(), Some("did you mean `nothing`?"));
        let error = registry().stage("nothing", json!(1)).unwrap_err();
        assert_eq!(error.to_string(), "the Rust stage `nothing` cannot be made");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "takes no arguments");
    }
}
