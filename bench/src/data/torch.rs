//! Two stages with two versions of `transformers` over a base with `torch`: until their first output,
//! and what their workers take.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use curator::backends::DiskSource;
use curator::backends::worker::warm::{KeepWarm, WarmTemplates};
use curator::stage::Isolation;
use curator::venv_cache::BoxError;
use curator::{LocalExecutor, Pipeline, PythonStage, RuntimeEnv, Task};
use serde_json::{Value, json};

use super::flow::Flow;
use super::forks::add_workers;
use super::lab::Lab;
use crate::bases::MeasuredBase;
use crate::peers::script;
use crate::progress::progress;
use crate::sample::{Sample, timed};
use crate::table::{Row, Table};
use crate::world::World;

const VERSIONS: [&str; 2] = ["4.40.0", "4.45.0"];
/// The imports alone: of the packages, whose model is then imported lazily, and of `bert.py`.
const IMPORTS: [&str; 2] =
    ["import torch, transformers", "import torch; from transformers import BertModel"];
/// How long what was imported stays: longer than these measurements take.
const WARM: Duration = Duration::from_mins(30);
/// Python's variable for writing no bytecode.
const NO_BYTECODE: &str = "PYTHONDONTWRITEBYTECODE";

pub(super) fn add(lab: &Lab<'_>, table: &mut Table) -> Result<(), BoxError> {
    let base = MeasuredBase::torch(lab.world)?;
    let runs = lab.runs(5, 1);
    progress("filling the package manager's cache, and the bare imports");
    let floors = floors(lab, &base, runs)?;
    // Both stages make their imports side by side.
    let floor = floors.iter().map(|(_, sample)| sample.median()).fold(0.0, f64::max);

    progress("two versions of transformers: until the first output");
    table.section(format!(
        "two stages with two versions of transformers, over the {}: from the call to the first output",
        base.name
    ));
    let mut built = Vec::new();
    for _ in 0..lab.runs(3, 1) {
        let executor = World::executor(&base.base(), &lab.world.fresh_cache()?);
        built.push(two_versions(lab, &executor)?);
    }
    add_first("its environments are built", &built, None, table);
    let executor = World::executor(&base.base(), &lab.cache);
    let found = (0..runs).map(|_| two_versions(lab, &executor)).collect::<Result<Vec<_>, _>>()?;
    add_first("its environments are there", &found, Some(floor), table);
    let kept = kept_warm(lab, &executor, runs, two_versions)?;
    add_first("its imports are kept warm", &kept, Some(floor), table);
    for (what, sample) in &floors {
        table.add(Row::seconds(what, sample));
    }

    progress("a stage that needs torch alone");
    table.section(
        "a stage whose file imports torch, in the base: from the call to the first output",
    );
    let found = (0..runs).map(|_| torch_alone(lab, &executor)).collect::<Result<Vec<_>, _>>()?;
    add_first("nothing is kept", &found, None, table);
    let kept = kept_warm(lab, &executor, runs, torch_alone)?;
    add_first("torch is kept warm", &kept, None, table);

    progress("two versions of transformers, with and without bytecode");
    table.section("the command over these stages, its environments there: the process");
    for (what, variable) in [("bytecode is written", None), (NO_BYTECODE, Some("1"))] {
        let sample = processes(lab, &base, variable, runs)?;
        table.add(Row::seconds(what, &sample));
    }

    progress("workers that import torch");
    table.section("a stage whose file imports torch and transformers: workers, forked and started");
    let stages = ["Bert", "Together"].map(|class| stage(class, VERSIONS[1]));
    add_workers(lab, &executor, stages, lab.runs(9, 3), table)
}

fn environment(version: &str) -> RuntimeEnv {
    RuntimeEnv::uv([format!("transformers=={version}")])
}

fn file() -> PathBuf {
    script("bert.py")
}

fn stage(class: &str, version: &str) -> PythonStage {
    let stage = PythonStage::from_file(file(), class).with_name(format!("{class}-{version}"));
    stage.with_batch_size(1).with_runtime_env(environment(version))
}

/// Returns the seconds of the bare imports in each environment, which the cache has afterwards.
fn floors(
    lab: &Lab<'_>,
    base: &MeasuredBase,
    runs: usize,
) -> Result<Vec<(String, Sample)>, BoxError> {
    let provisioner = World::provisioner(&base.base(), &lab.cache)?;
    let mut floors = Vec::new();
    for version in VERSIONS {
        let loaded = environment(version).load(&DiskSource, &std::env::current_dir()?)?;
        let environment = provisioner.prepare(&loaded, Isolation::Shared)?;
        for code in IMPORTS {
            let bare = duct::cmd!(environment.python(), "-c", code).stdin_null().stderr_capture();
            // The first one writes the bytecode.
            bare.run()?;
            let mut taken = Vec::new();
            for _ in 0..runs {
                lab.world.settle()?;
                let (ran, seconds) = timed(|| bare.run());
                ran?;
                taken.push(seconds);
            }
            floors.push((format!("python -c '{code}', {version}"), Sample::new(taken)));
        }
    }
    Ok(floors)
}

/// The first output of a run: seconds from its call, and the seconds in the stages' own code.
struct First {
    whole: f64,
    own: f64,
}

/// Adds how long it took to the first output, and how much of that is the stages' own work.
fn add_first(what: &str, firsts: &[First], floor: Option<f64>, table: &mut Table) {
    let sample = |of: fn(&First) -> f64| Sample::new(firsts.iter().map(of).collect());
    let row = Row::seconds(what, &sample(|first| first.whole));
    table.add(if let Some(floor) = floor { row.against(floor) } else { row });
    let rest = sample(|first| first.whole - first.own);
    table.add(Row::seconds(format!("{what}: without the stages' own work"), &rest));
}

fn first_output(
    lab: &Lab<'_>,
    executor: &LocalExecutor,
    pipeline: &Pipeline,
    is_right: fn(&Value) -> bool,
) -> Result<First, BoxError> {
    lab.world.settle()?;
    let tasks = [Task::new(json!({}))].into_iter();
    let check = |task: Task| task.data.as_json().is_some_and(is_right);
    let flow = Flow::run(executor, pipeline, tasks, check)?;
    let own = flow.report.stages.iter().map(|stage| stage.process.as_secs_f64()).sum();
    Ok(First { whole: flow.last, own })
}

/// Runs a task through two stages with two versions.
fn two_versions(lab: &Lab<'_>, executor: &LocalExecutor) -> Result<First, BoxError> {
    let stages = VERSIONS.map(|version| stage("Bert", version).with_num_workers(1));
    first_output(lab, executor, &Pipeline::new("torch").with_stages(stages), is_right)
}

/// Runs a task through a stage that needs no package but `torch`.
fn torch_alone(lab: &Lab<'_>, executor: &LocalExecutor) -> Result<First, BoxError> {
    let stage = PythonStage::from_file(script("tensor.py"), "Tensor").with_num_workers(1);
    let pipeline = Pipeline::new("tensor").with_stage(stage);
    first_output(lab, executor, &pipeline, |data| data["sum"] == 6.0)
}

/// Returns whether both versions have computed, each the same.
fn is_right(data: &Value) -> bool {
    let seen = |at: usize| &data["seen"][at];
    let norms = [0, 1].map(|at| seen(at)["norm"].as_f64().unwrap_or_default());
    let versions = [0, 1].map(|at| seen(at)["version"].as_str().unwrap_or_default());
    versions == VERSIONS && norms[0] > 0.0 && (norms[0] - norms[1]).abs() < 1e-3
}

/// Returns the first outputs of runs that find the imports of an earlier one.
fn kept_warm(
    lab: &Lab<'_>,
    executor: &LocalExecutor,
    runs: usize,
    run: fn(&Lab<'_>, &LocalExecutor) -> Result<First, BoxError>,
) -> Result<Vec<First>, BoxError> {
    let dir = lab.world.short().join("warm");
    let keep = KeepWarm::new(WARM).with_owner(std::process::id()).with_dir(&dir);
    let executor = executor.clone().with_keep_warm(keep);
    run(lab, &executor)?;
    let firsts = (0..runs).map(|_| run(lab, &executor)).collect();
    let templates = WarmTemplates::in_dir(&dir);
    for template in templates.list()? {
        templates.end(&template)?;
    }
    firsts
}

/// Returns the seconds of processes of the command, in environments that an earlier one has made
/// under the same variable.
fn processes(
    lab: &Lab<'_>,
    base: &MeasuredBase,
    no_bytecode: Option<&str>,
    runs: usize,
) -> Result<Sample, BoxError> {
    let dir = tempfile::tempdir_in(lab.world.root())?;
    let stages = VERSIONS.map(|version| {
        json!({
            "name": version,
            "python": format!("{}:Bert", file().display()),
            "num_workers": 1,
            "runtime_env": { "uv": [format!("transformers=={version}")] },
        })
    });
    let pipeline = json!({ "name": "torch", "base": base.python, "stage": stages });
    fs::write(dir.path().join("pipeline.json"), pipeline.to_string())?;
    fs::write(dir.path().join("tasks.jsonl"), "{}\n")?;
    let cache = lab.world.fresh_cache()?;
    process(lab, dir.path(), &cache, no_bytecode)?;
    let mut taken = Vec::new();
    for _ in 0..runs {
        lab.world.settle()?;
        taken.push(process(lab, dir.path(), &cache, no_bytecode)?);
    }
    Ok(Sample::new(taken))
}

fn process(
    lab: &Lab<'_>,
    dir: &Path,
    cache: &Path,
    no_bytecode: Option<&str>,
) -> Result<f64, BoxError> {
    let words = ["run", "pipeline.json", "--quiet", "--input", "tasks.jsonl"];
    let command = lab.world.curator(&words, cache).dir(dir);
    let command = match no_bytecode {
        Some(value) => command.env(NO_BYTECODE, value),
        None => command,
    };
    let (printed, seconds) = timed(|| command.read());
    let printed = printed?;
    if !is_right(&serde_json::from_str(&printed)?) {
        return Err(format!("the stages gave {printed}").into());
    }
    Ok(seconds)
}
