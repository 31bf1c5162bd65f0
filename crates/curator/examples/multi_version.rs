//! Three stages of one pipeline, each with another version of the same package.
//!
//! ```text
//! cargo run --release --example multi_version -- [--backend local|ray-data|ray-actor-pool|xenna]
//!     [--ray-env cached|native|none] [--address HOST:PORT] [--tasks N] [--base PYTHON] [--json]
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to people")]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use curator::stage::BaseSpec;
use curator::worker::{Registry, serve_if_asked};
use curator::{
    Connection, Executor, ExecutorExt, LocalExecutor, Pipeline, PythonStage, RayActorPoolExecutor,
    RayDataExecutor, RayEnv, RunReport, RuntimeEnv, Task, XennaExecutor,
};
use serde_json::{Map, Value, json};

/// What the base has for the engines on Ray.
const RAY: [&str; 8] = [
    "ray[data,default]==2.60.0",
    "cosmos-xenna==0.2.0",
    "pandas",
    "pyarrow",
    "tqdm",
    "loguru",
    // Ray's own installers want these two in the base.
    "virtualenv",
    "pip",
];

struct Options {
    backend: String,
    /// Without one, no stage has packages of its own: what the engine takes for itself.
    ray_env: Option<RayEnv>,
    connection: Connection,
    tasks: usize,
    base: Option<BaseSpec>,
    is_json: bool,
}

fn pipeline(options: &Options) -> Pipeline {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/stages.py");
    let record = |name: &str, env: RuntimeEnv| {
        let env = if options.ray_env.is_some() { env } else { RuntimeEnv::new() };
        PythonStage::from_file(file, "RecordPackagingVersion")
            .with_args(json!({ "key": name }))
            .with_name(name)
            .with_runtime_env(env)
    };
    let needs_ray = options.backend != "local";
    let packages = RAY.into_iter().filter(|_| needs_ray).chain(["packaging==26.0"]);
    let base = options.base.clone().unwrap_or_else(|| RuntimeEnv::uv(packages).into());
    Pipeline::new("multi_version_demo")
        .with_base(base)
        .with_stage(record("base_env", RuntimeEnv::new()))
        .with_stage(record("pinned_v232", RuntimeEnv::pip(["packaging==23.2"])))
        .with_stage(record("pinned_v240", RuntimeEnv::uv(["packaging==24.0"])))
}

fn executor(options: &Options) -> Result<Box<dyn Executor>, Box<dyn Error>> {
    let (ray, ray_env) = (options.connection.clone(), options.ray_env.unwrap_or_default());
    Ok(match options.backend.as_str() {
        "local" => Box::new(LocalExecutor::default()),
        "ray-data" => Box::new(RayDataExecutor::connect(ray)?.with_ray_env(ray_env)),
        "ray-actor-pool" => Box::new(RayActorPoolExecutor::connect(ray)?.with_ray_env(ray_env)),
        "xenna" => Box::new(XennaExecutor::connect(ray)?.with_ray_env(ray_env)),
        other => return Err(format!("{other} is no backend").into()),
    })
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

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        backend: "local".to_owned(),
        ray_env: Some(RayEnv::Cached),
        // Xenna wants a core for every stage at once; a Ray of its own may promise more than it has.
        connection: Connection::local().with_num_cpus(8.0),
        tasks: 1,
        base: None,
        is_json: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--json" => options.is_json = true,
            "--tasks" => options.tasks = value()?.parse()?,
            "--base" => options.base = Some(PathBuf::from(value()?).into()),
            "--backend" => options.backend = value()?,
            "--address" => options.connection = Connection::to(value()?),
            "--ray-env" => {
                options.ray_env = match value()?.as_str() {
                    "cached" => Some(RayEnv::Cached),
                    "native" => Some(RayEnv::Native),
                    "none" => None,
                    other => return Err(format!("{other} is none of cached, native, none").into()),
                }
            }
            _ => return Err(format!("{argument} is no option: see the head of the file").into()),
        }
    }
    Ok(options)
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let inputs = (0..options.tasks).map(|_| Task::new(json!({})));
    let report = executor(&options)?.run(&pipeline(&options), inputs).map_err(|e| e.report())?;
    let summary = summary(&report);
    if options.is_json {
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
    serve_if_asked(&Registry::new());
    let result = run();
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    ExitCode::from(u8::from(result.is_err()))
}
