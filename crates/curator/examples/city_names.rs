//! Rust and Python stages in one pipeline, over a small file of European capitals: Rust keeps the
//! large ones, Python writes their names in plain letters with a package that the base does not
//! have, and Rust makes a line of each.
//!
//! ```text
//! cargo run --release --example city_names
//! ```

#![expect(clippy::print_stdout, reason = "a program that talks to people")]

use curator::stage::{BoxError, Context};
use curator::{
    ExecutorExt, LocalExecutor, Pipeline, PythonStage, Report, RuntimeEnv, RustStage, Task,
};
use serde_json::{Value, json};

fn keep_large(task: Task, _: &mut Context) -> Result<Option<Task>, BoxError> {
    let population = task.data.as_json().and_then(|city| city["population"].as_u64());
    let is_large = population.ok_or("a city without a population")? >= 500_000;
    Ok(is_large.then_some(task))
}

fn write_line(task: Task, _: &mut Context) -> Result<Task, BoxError> {
    let city = task.data.as_json().ok_or("a city is an object")?;
    let text = |key: &str| city[key].as_str().unwrap_or_default();
    let line = format!("{:<10} {:<12} {}", text("ascii"), text("name"), text("country"));
    Ok(task.with_data(json!(line)))
}

fn main() -> Result<(), Report> {
    let stages = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stages.py");
    let pipeline = Pipeline::new("city_names")
        .with_stage(RustStage::from_fn("keep_large", keep_large))
        .with_stage(
            PythonStage::from_file(stages, "AsciiName")
                .with_runtime_env(RuntimeEnv::uv(["unidecode==1.3.8"]))
                .with_inputs(["name"]),
        )
        .with_stage(RustStage::from_fn("write_line", write_line));
    let cities = include_str!("data/capitals.jsonl").lines();
    let cities: Vec<Value> = cities.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let report = LocalExecutor::default().run(&pipeline, cities.into_iter().map(Task::new))?;
    for task in &report.outputs {
        println!("{}", task.data.as_json().and_then(Value::as_str).unwrap_or_default());
    }
    Ok(())
}
