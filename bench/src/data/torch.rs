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
        built.push(first_output(lab, &executor)?);
    }
    table.add(Row::seconds("its environments are built", &Sample::new(built)));
    let executor = World::executor(&base.base(), &lab.cache);
    let found = (0..runs).map(|_| first_output(lab, &executor)).collect::<Result<_, _>>()?;
    table.add(Row::seconds("its environments are there", &Sample::new(found)).against(floor));
    let kept = kept_warm(lab, &executor, runs)?;
    table.add(Row::seconds("its imports are kept warm", &kept).against(floor));
    for (what, sample) in &floors {
        table.add(Row::seconds(what, sample));
    }

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

/// Returns the seconds from the call of a run until a task has been through both stages.
fn first_output(lab: &Lab<'_>, executor: &LocalExecutor) -> Result<f64, BoxError> {
    let stages = VERSIONS.map(|version| stage("Bert", version).with_num_workers(1));
    let pipeline = Pipeline::new("torch").with_stages(stages);
    lab.world.settle()?;
    let tasks = [Task::new(json!({}))].into_iter();
    let is_right = |task: Task| task.data.as_json().is_some_and(is_right);
    Ok(Flow::run(executor, &pipeline, tasks, is_right)?.last)
}

/// Returns whether both versions have computed, each the same.
fn is_right(data: &Value) -> bool {
    let seen = |at: usize| &data["seen"][at];
    let norms = [0, 1].map(|at| seen(at)["norm"].as_f64().unwrap_or_default());
    let versions = [0, 1].map(|at| seen(at)["version"].as_str().unwrap_or_default());
    versions == VERSIONS && norms[0] > 0.0 && (norms[0] - norms[1]).abs() < 1e-3
}

/// Returns the seconds until the first output of runs that find the imports of an earlier one.
fn kept_warm(lab: &Lab<'_>, executor: &LocalExecutor, runs: usize) -> Result<Sample, BoxError> {
    let dir = lab.world.short().join("warm");
    let keep = KeepWarm::new(WARM).with_owner(std::process::id()).with_dir(&dir);
    let executor = executor.clone().with_keep_warm(keep);
    first_output(lab, &executor)?;
    let taken = (0..runs).map(|_| first_output(lab, &executor)).collect::<Result<_, _>>();
    let templates = WarmTemplates::in_dir(&dir);
    for template in templates.list()? {
        templates.end(&template)?;
    }
    Ok(Sample::new(taken?))
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
