//! Three stages of one pipeline, each with another version of the same package.
//!
//! ```text
//! cargo run --release --example multi_version -- [--tasks N] [--base PYTHON] [--json]
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use curator::stage::Base;
use curator::{ExecutorExt, LocalExecutor, Pipeline, PythonStage, RunReport, RuntimeEnv, Task};
use serde_json::{Map, Value, json};

fn pipeline(base: Base) -> Pipeline {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stages.py");
    let record = |name: &str| {
        PythonStage::from_file(file, "RecordPackagingVersion")
            .with_args(json!({ "key": name }))
            .with_name(name)
    };
    Pipeline::new("multi_version_demo")
        .with_base(base)
        .with_stage(record("base_env"))
        .with_stage(record("pinned_v232").with_runtime_env(RuntimeEnv::pip(["packaging==23.2"])))
        .with_stage(record("pinned_v240").with_runtime_env(RuntimeEnv::uv(["packaging==24.0"])))
}

/// The report as plain data: what each stage saw, and what its environment cost.
fn summary(report: &RunReport) -> Value {
    let versions = report.outputs.first().and_then(|task| task.data.as_json()).cloned();
    let stage = |stage: &curator::backends::StageReport| {
        let env = report.environment_of(&stage.name)?;
        let (key, bytes) = (env.key.as_ref(), env.own_bytes);
        let (state, seconds) = (env.state, env.duration.as_secs_f64());
        let env = json!({ "key": key, "state": state, "seconds": seconds, "bytes": bytes });
        Some(json!({ "name": stage.name, "env": env }))
    };
    let stages: Vec<Value> = report.stages.iter().filter_map(stage).collect();
    let versions = versions.unwrap_or(Value::Object(Map::new()));
    json!({ "versions": versions, "stages": stages, "wall_s": report.wall.as_secs_f64() })
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut tasks, mut is_json) = (1, false);
    let mut base = Base::from(RuntimeEnv::uv(["packaging==26.0"]));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--json" => is_json = true,
            "--tasks" => tasks = value()?.parse()?,
            "--base" => base = PathBuf::from(value()?).into(),
            _ => {
                return Err(
                    format!("{argument} is none of --tasks N, --base PYTHON, --json").into()
                );
            }
        }
    }
    let inputs = (0..tasks).map(|_| Task::new(json!({})));
    let report = LocalExecutor::default().run(&pipeline(base), inputs).map_err(|e| e.report())?;
    let summary = summary(&report);
    if is_json {
        println!("{summary}");
        return Ok(());
    }
    println!(
        "{:<14} {:<12} {:<14} {:<6} {:>8}",
        "stage", "packaging", "environment", "state", "seconds"
    );
    for stage in summary["stages"].as_array().into_iter().flatten() {
        let (name, env) = (stage["name"].as_str().unwrap_or_default(), &stage["env"]);
        let version = summary["versions"][name].as_str().unwrap_or("-");
        let key = env["key"].as_str().map_or("-", |key| &key[..12]);
        let (state, seconds) = (env["state"].as_str().unwrap_or_default(), &env["seconds"]);
        let seconds = seconds.as_f64().unwrap_or_default();
        println!("{name:<14} {version:<12} {key:<14} {state:<6} {seconds:>8.3}");
    }
    println!("{} tasks in {:.3} s", report.outputs.len(), report.wall.as_secs_f64());
    Ok(())
}

fn main() -> ExitCode {
    let result = run();
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    ExitCode::from(u8::from(result.is_err()))
}
