//! `plan`: what a run would do about its environments.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use curator::backends::provision::{Preview, PreviewState};
use curator::backends::{self, Provisioner};
use curator::envspec::{self, LoadedEnv, PackageList};
use curator::stage::{BaseSpec, DeclaredSetting, FailurePolicy};
use serde_json::{Value, json};

use crate::engine;
use crate::failure::Failure;
use crate::output::{self, Json};
use crate::pipeline::{Loaded, PipelineArguments};

pub(crate) const HELP: &str = "Example:\n  curator plan pipeline.toml --set \
    'stage.clean.runtime_env={ uv = [\"packaging==24.0\"] }'\n\n\
    Exit codes: 0 a run would find or build all environments and find all code, 1 it would not, 2 wrong usage or \
    pipeline.";

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pipeline: PipelineArguments,
    #[command(flatten)]
    output: Json,
}

/// What is known of a stage's environment: what a run would do, or why it could not.
struct Planned {
    stage: String,
    preview: Result<Preview, backends::Error>,
}

/// Returns what a run would do, as JSON.
pub(crate) fn as_json(loaded: &mut Loaded, cache_dir: Option<&Path>) -> Result<Value, Failure> {
    let provisioner = opened(loaded, cache_dir)?;
    let stages = planned(loaded, &provisioner);
    let base = base(loaded.file.pipeline().base(), &provisioner, &stages);
    Ok(to_json(loaded, &base, &stages))
}

/// Opens the provisioner of a run, with whose base the plan has what classes are known to declare.
fn opened(loaded: &mut Loaded, cache_dir: Option<&Path>) -> Result<Provisioner, Failure> {
    let provisioner = loaded.provisioner(cache_dir)?;
    loaded.plan = provisioner.peek_declared(&loaded.plan)?;
    Ok(provisioner)
}

fn planned(loaded: &Loaded, provisioner: &Provisioner) -> Vec<Planned> {
    let mut previews = provisioner.previews();
    let stages = loaded.plan.stages().iter().map(|stage| Planned {
        stage: stage.settings().name.clone(),
        preview: stage.check_code().and_then(|()| previews.stage(stage)),
    });
    stages.collect()
}

fn to_json(loaded: &Loaded, base: &str, stages: &[Planned]) -> Value {
    json!({
        "pipeline": loaded.file.pipeline().name(),
        "engine": loaded.file.engine().backend,
        "failure_policy": loaded.file.failure_policy().unwrap_or_default(),
        "base": base,
        "stages": stages.iter().map(Planned::json).collect::<Vec<_>>(),
        "declared": loaded.plan.declared(),
    })
}

pub(crate) fn run(arguments: &Plan, cache_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut loaded = arguments.pipeline.load()?;
    let provisioner = opened(&mut loaded, cache_dir)?;
    let engine = loaded.file.engine();
    engine::check(engine, engine.backend, &loaded.plan)?;
    let stages = planned(&loaded, &provisioner);
    let pipeline = loaded.file.pipeline();
    let engine = loaded.file.engine().backend;
    let policy = loaded.file.failure_policy().unwrap_or_default();
    let base = base(pipeline.base(), &provisioner, &stages);
    if arguments.output.json {
        output::json(&to_json(&loaded, &base, &stages))?;
    } else {
        let at_failure = match policy {
            FailurePolicy::FailFast => "stop",
            FailurePolicy::Record => "record it and go on",
        };
        let head = output::fields(&[
            ("pipeline", pipeline.name().to_owned()),
            ("base", base),
            ("engine", engine.to_string()),
            ("at a failure", at_failure.to_owned()),
        ]);
        let rows: Vec<_> = stages.iter().map(Planned::row).collect();
        let table = output::table(["stage", "environment", "state", "disk", "adds"], &rows);
        let problems: Vec<String> = stages.iter().filter_map(Planned::problem).collect();
        let problems = if problems.is_empty() {
            String::new()
        } else {
            format!("\n\n{}", problems.join("\n\n"))
        };
        let declared = declared(&loaded.plan);
        output::text(&format!("{head}\n{table}{declared}{problems}"))?;
    }
    Ok(ExitCode::from(u8::from(stages.iter().any(|stage| stage.preview.is_err()))))
}

/// Returns what the code of the stages declares and what became of that, in lines.
fn declared(plan: &backends::Plan) -> String {
    let line = |setting: DeclaredSetting| {
        let DeclaredSetting { stage, setting, declared, is_overridden, .. } = setting;
        let what = if is_overridden { "overrides the class's" } else { "from the class:" };
        format!("{stage}: {setting} {what} {declared}")
    };
    let lines: Vec<String> = plan.declared().into_iter().map(line).collect();
    match (lines.is_empty(), plan.is_read()) {
        (true, true) => String::new(),
        (true, false) => "\n\nwhat classes declare is read once the base is there".to_owned(),
        (false, _) => format!("\n\n{}", lines.join("\n")),
    }
}

/// Returns the base, in words.
fn base(base: Option<&BaseSpec>, provisioner: &Provisioner, stages: &[Planned]) -> String {
    let is_absent = |stage: &Planned| {
        stage.preview.as_ref().is_ok_and(|it| it.state == PreviewState::ToBuildWithBase)
    };
    match base {
        None => match provisioner.base_environment(&LoadedEnv::default()) {
            Ok(found) => found.python().display().to_string(),
            Err(_) => "none: neither $VIRTUAL_ENV nor PATH has a Python".to_owned(),
        },
        Some(BaseSpec::Python(path)) => path.display().to_string(),
        Some(BaseSpec::Managed(env)) => {
            let packages = env.packages().map(|packages| match packages.list() {
                PackageList::Lines(lines) => envspec::redact(&lines.join(", ")).into_owned(),
                PackageList::File(path) => path.display().to_string(),
            });
            let state = if stages.iter().any(is_absent) { ", to be built" } else { "" };
            format!("managed: {}{state}", packages.unwrap_or_default())
        }
    }
}

impl Planned {
    fn json(&self) -> Value {
        match &self.preview {
            Ok(preview) => json!(preview),
            Err(error) => json!({
                "stage": self.stage,
                "state": state_of(error),
                "problem": error.report(),
            }),
        }
    }

    fn row(&self) -> [String; 5] {
        let preview = match &self.preview {
            Ok(preview) => preview,
            Err(error) => {
                let state = state_of(error).replace('-', " ");
                return [self.stage.clone(), "-".into(), state, "-".into(), "-".into()];
            }
        };
        let state = match preview.state {
            PreviewState::Base => "base",
            PreviewState::Prebuilt => "prebuilt",
            PreviewState::Hit => "in the cache",
            PreviewState::ToBuild => "to be built",
            PreviewState::ToBuildWithBase => "to be built, after its base",
            _ => "none",
        };
        let key = preview.key.as_ref().map_or_else(|| "-".to_owned(), output::short);
        let disk = preview.own_bytes.map_or_else(|| "-".to_owned(), output::bytes);
        [self.stage.clone(), key, state.to_owned(), disk, adds(preview)]
    }

    fn problem(&self) -> Option<String> {
        self.preview.as_ref().err().map(backends::Error::report)
    }
}

/// Returns what stands in the way, in a word.
fn state_of(error: &backends::Error) -> &'static str {
    match error {
        backends::Error::NoCode { .. } => "no-code",
        _ => "conflict",
    }
}

/// Returns what would be added, each with what it takes the place of.
fn adds(preview: &Preview) -> String {
    let name = |package: &str| package.split("==").next().unwrap_or_default().to_owned();
    let added = preview.added.iter().map(|package| {
        let replaced = preview.replaced.iter().find(|it| name(it) == name(package));
        match replaced.and_then(|it| it.split_once("==")) {
            Some((_, version)) => format!("{package} (for {version})"),
            None => package.clone(),
        }
    });
    let removed = preview
        .replaced
        .iter()
        .filter(|gone| !preview.added.iter().any(|package| name(package) == name(gone)));
    let all: Vec<String> = added.chain(removed.map(|gone| format!("-{gone}"))).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}
