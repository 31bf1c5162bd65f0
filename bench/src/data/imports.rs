//! The import of a large package in an environment, over a base that came without bytecode.

use curator::stage::BaseSpec;
use curator::venv_cache::BoxError;
use curator::{Pipeline, PythonStage, RuntimeEnv, Task};
use serde_json::json;

use super::flow::Flow;
use super::lab::Lab;
use crate::bases::MeasuredBase;
use crate::peers::script;
use crate::progress::progress;
use crate::sample::Sample;
use crate::table::{Row, Table};
use crate::world::World;

/// How long a run takes that has time to compile the whole base beside its work, in seconds.
const LONG: f64 = 20.0;

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    progress("imports over a base without bytecode");
    table.section("a stage with a package of its own imports pandas: processor time of the import");
    let (compiled, plain) =
        (MeasuredBase::frames(lab.world)?, MeasuredBase::frames_without_bytecode(lab.world)?);
    // The environments are built, and the command's own files are there.
    seconds(lab, &compiled.base(), 0.0)?;
    let first = seconds(lab, &plain.base(), LONG)?;
    let [mut with, mut without] = [const { Vec::new() }; 2];
    for _ in 0..lab.runs(25, 5) {
        with.push(seconds(lab, &compiled.base(), 0.0)?);
        without.push(seconds(lab, &plain.base(), 0.0)?);
    }
    let with = Sample::new(with);
    let row = Row::seconds("the base came without bytecode: later", &Sample::new(without));
    table.add(row.against(with.median()));
    table.add(Row::seconds("the base has bytecode", &with));
    table.add(Row::seconds(
        "the base came without bytecode: the first time",
        &Sample::new(vec![first]),
    ));
    Ok(())
}

/// Returns the seconds of the import in a new worker, whose stage pauses for so long.
fn seconds(lab: &Lab<'_>, base: &BaseSpec, pause: f64) -> Result<f64, BoxError> {
    let stage = PythonStage::from_file(script("timed_import.py"), "TimedImport")
        .with_args(json!({ "pause": pause }))
        .with_num_workers(1)
        .with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]));
    // A template would make the import before its workers are there.
    let executor = World::executor(base, &lab.cache).with_templates(false);
    let pipeline = Pipeline::new("imports").with_stage(stage);
    lab.world.settle()?;
    let mut seconds = None;
    Flow::run(&executor, &pipeline, [Task::new(json!({}))].into_iter(), |task| {
        seconds = task.data.as_json().and_then(|data| data["seconds"].as_f64());
        seconds.is_some()
    })?;
    Ok(seconds.ok_or("the stage told no seconds")?)
}
