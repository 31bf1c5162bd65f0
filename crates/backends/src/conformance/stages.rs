//! The stages of the cases.

use serde_json::{Value, json};
use stage::{BoxError, Context, Output, PythonStage, Registry, RustStage, Stage, Task};

const SOURCE: &str = include_str!("stages.py");

/// Returns a stage of the Python file, under its own name.
pub(super) fn python(class: &str, args: Value) -> PythonStage {
    PythonStage::from_source(SOURCE, class).with_args(args)
}

/// Returns the Rust stages of the cases, for a program that serves as a worker.
pub fn registry() -> Registry {
    let registry = Registry::new().with("multiply", |args: &Value| {
        let factor = args["factor"].as_u64().ok_or("`factor` is no number")?;
        Ok(Multiply { factor })
    });
    #[cfg(feature = "arrow")]
    let registry = registry.with("reverse", |_: &Value| Ok(Reverse));
    registry
}

/// Returns a stage that reverses the order of a table's batches.
#[cfg(feature = "arrow")]
pub(super) fn reverse(name: &str) -> RustStage {
    registry().stage("reverse", Value::Null).expect("it is registered").with_name(name)
}

#[cfg(feature = "arrow")]
struct Reverse;

#[cfg(feature = "arrow")]
impl Stage for Reverse {
    fn process(&self, task: Task, _: &mut Context) -> Result<Output, BoxError> {
        let table = task.data.as_table().ok_or("no table")?;
        let batches = table.batches().iter().rev().cloned().collect();
        let table = stage::Table::new(table.schema().clone(), batches)?;
        Ok(task.with_data(table).into())
    }
}

/// Returns a stage that multiplies the number of a task.
pub(super) fn multiply(factor: u64) -> RustStage {
    registry().stage("multiply", json!({ "factor": factor })).expect("it is registered")
}

struct Multiply {
    factor: u64,
}

impl Stage for Multiply {
    fn process(&self, mut task: Task, _: &mut Context) -> Result<Output, BoxError> {
        let number = task.data.as_json().and_then(|data| data["n"].as_u64()).ok_or("no number")?;
        let mut data = task.data.as_json().cloned().unwrap_or_default();
        data["n"] = json!(number * self.factor);
        task = task.with_data(data);
        Ok(task.into())
    }
}
