//! Law 8, no `runtime_env`, no cost; and previews, which build nothing.

use std::collections::BTreeMap;

use curator::backends::provision::PreviewState;
use curator::backends::{Event, Plan};
use curator::{ExecutorExt, LocalExecutor, Pipeline, RuntimeEnv};
use serde_json::json;

use crate::support::{
    base, environments, folder, fresh_cache, listing, once, one_task, output, pipeline, python3,
    state, value_of, versions, watched,
};

#[test]
fn a_stage_without_a_runtime_env_leaves_an_empty_cache_empty() {
    // An empty cache without package managers: nothing looks for them.
    let cache = folder();
    let executor = LocalExecutor::default().with_base(python3()).with_cache_dir(cache.path());
    let stages = [
        value_of("none", "sys.prefix"),
        value_of("empty", "sys.prefix").with_runtime_env(RuntimeEnv::new()),
        value_of("variables", "os.environ['A']")
            .with_runtime_env(RuntimeEnv::new().with_env_var("A", "1")),
    ];
    let (result, events) = watched(&executor, &pipeline(stages));
    let report = result.unwrap();
    assert_eq!(output(&report)["none"], output(&report)["empty"]);
    assert_eq!(output(&report)["variables"], "1");
    for stage in ["none", "empty", "variables"] {
        assert_eq!(state(&report, stage), "base");
        assert_eq!(report.environment_of(stage).unwrap().own_bytes, 0);
    }
    assert!(environments(cache.path()).is_empty());
    for folder in ["envs-v1", "locks", "tools", "trash"] {
        assert_eq!(listing(&cache.path().join(folder)), [""; 0], "{folder}");
    }
    let built = |event: &&Event| matches!(event, Event::EnvironmentReady { key: Some(_), .. });
    assert_eq!(events.iter().filter(built).count(), 0);
}

#[test]
fn a_preview_tells_what_would_be_installed_and_installs_nothing() {
    let cache = fresh_cache();
    let executor =
        LocalExecutor::default().with_base(base().to_owned()).with_cache_dir(cache.path());
    let hit = versions("hit", &["packaging"]).with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]));
    executor.run(&pipeline([hit.clone()]), one_task()).unwrap();
    let before = environments(cache.path());

    let by_pip = RuntimeEnv::pip(["packaging==23.2", "six"]);
    let by_uv = RuntimeEnv::uv(["packaging==23.2", "iniconfig==2.0.0"]);
    let stages = [
        versions("base", &[]),
        hit,
        versions("by_pip", &[]).with_runtime_env(by_pip),
        versions("by_uv", &[]).with_runtime_env(by_uv),
        versions("prebuilt", &[]).with_runtime_env(RuntimeEnv::python(python3())),
    ];
    let plan = Plan::new(&pipeline(stages)).unwrap();
    let previews = executor.provisioner(&plan).unwrap().preview(&plan).unwrap();
    let of: BTreeMap<&str, _> = previews.iter().map(|it| (it.stage.as_str(), it)).collect();
    let states = ["base", "hit", "by_pip", "by_uv", "prebuilt"].map(|stage| of[stage].state);
    let expected = [
        PreviewState::Base,
        PreviewState::Hit,
        PreviewState::ToBuild,
        PreviewState::ToBuild,
        PreviewState::Prebuilt,
    ];
    assert_eq!(states, expected);
    assert_eq!(of["hit"].key.as_deref(), Some(before[0].as_str()));
    assert_eq!(of["by_pip"].added, ["packaging==23.2"]);
    assert_eq!(of["by_pip"].replaced, ["packaging==26.0"]);
    let mut added = of["by_uv"].added.clone();
    added.sort();
    assert_eq!(added, ["iniconfig==2.0.0", "packaging==23.2"]);
    assert_eq!(environments(cache.path()), before);
    assert_eq!(json!(previews)[2]["state"], "to_build");

    // The plan shows the key that a run gives.
    let by_uv = versions("by_uv", &["packaging"])
        .with_runtime_env(RuntimeEnv::uv(["packaging==23.2", "iniconfig==2.0.0"]));
    let report = executor.run(&pipeline([by_uv]), one_task()).unwrap();
    assert_eq!(report.environment_of("by_uv").unwrap().key, of["by_uv"].key);
    assert_eq!(output(&report)["by_uv"]["packaging"], once("23.2"));
}

#[test]
fn a_preview_builds_no_managed_base_and_finds_the_impossible() {
    let cache = fresh_cache();
    let executor = LocalExecutor::default().with_cache_dir(cache.path());
    let stage = versions("stage", &[]).with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]));
    let plan =
        Pipeline::new("managed").with_base(RuntimeEnv::uv(["packaging==26.0"])).with_stage(stage);
    let plan = Plan::new(&plan).unwrap();
    let previews = executor.provisioner(&plan).unwrap().preview(&plan).unwrap();
    assert_eq!(previews[0].state, PreviewState::ToBuildWithBase);
    assert_eq!(previews[0].added, ["packaging==24.0"]);
    assert!(environments(cache.path()).is_empty());

    let impossible = RuntimeEnv::uv(["packaging==24.0", "packaging<24"]);
    let stage = versions("hopeless", &[]).with_runtime_env(impossible);
    let plan = Plan::new(&pipeline([stage])).unwrap();
    let executor = executor.with_base(base().to_owned());
    let error = executor.provisioner(&plan).unwrap().preview(&plan).unwrap_err().report();
    assert!(error.contains("`hopeless`") && error.contains("hint: loosen"), "{error}");
    assert!(environments(cache.path()).is_empty());
}
