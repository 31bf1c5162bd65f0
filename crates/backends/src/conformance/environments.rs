//! Stages with packages of their own.

use envspec::RuntimeEnv;
use serde_json::{Value, json};
use stage::{Overrides, Pipeline, PythonStage, Task};

use super::setting::{Setting, data};
use super::stages::python;

fn look(setting: &Setting<'_>, name: &str) -> PythonStage {
    let args =
        json!({ "key": name, "base_module": setting.base_module, "variables": ["GREETING"] });
    python("Look", args).with_name(name)
}

fn pipeline(stages: impl IntoIterator<Item = PythonStage>) -> Pipeline {
    Pipeline::new("conformance").with_stages(stages)
}

fn one_task() -> Vec<Task> {
    vec![Task::new(json!({}))]
}

/// Returns the version that a stage saw. The module, the metadata, the distributions and child
/// processes must agree on it.
fn version<'a>(seen: &'a Value, stage: &str) -> &'a str {
    let seen = &seen[stage];
    let version = seen["module"].as_str().unwrap_or_else(|| panic!("`{stage}` saw {seen}"));
    assert_eq!(seen["metadata"], json!(version), "`{stage}`: its metadata");
    assert_eq!(seen["found"], json!([version]), "`{stage}`: its distributions");
    assert_eq!(seen["child"], json!(version), "`{stage}`: its child processes");
    version
}

/// Three versions of one package in one pipeline, at least one from each package manager, and one
/// environment that two stages share. All of them see the packages of the base alone.
pub(super) fn three_versions(setting: &Setting<'_>) {
    let uv = || RuntimeEnv::uv(["packaging==24.0"]);
    let pipeline = pipeline([
        look(setting, "base"),
        look(setting, "by_pip").with_runtime_env(RuntimeEnv::pip(["packaging==23.2"])),
        look(setting, "by_uv").with_runtime_env(uv()),
        look(setting, "shares").with_runtime_env(uv().with_env_var("GREETING", "hello")),
    ]);
    let report = setting.must_run(&pipeline, one_task());
    let outputs = data(&report);
    let [seen] = &outputs[..] else { panic!("one output: {outputs:?}") };
    assert_eq!(version(seen, "by_pip"), "23.2");
    assert_eq!(version(seen, "by_uv"), "24.0");
    assert_eq!(version(seen, "shares"), "24.0");
    assert!(!["23.2", "24.0"].contains(&version(seen, "base")), "{seen}");
    assert_eq!(seen["shares"]["variables"]["GREETING"], "hello");
    assert_eq!(seen["by_uv"]["variables"]["GREETING"], Value::Null);
    let environment = |stage: &str| {
        report.environment_of(stage).unwrap_or_else(|| panic!("`{stage}` has no environment"))
    };
    if environment("by_uv").key.is_some() {
        assert_eq!(environment("by_uv").key, environment("shares").key, "one environment");
        assert_eq!(seen["by_uv"]["prefix"], seen["shares"]["prefix"], "one environment");
    }
    assert_ne!(seen["by_uv"]["prefix"], seen["by_pip"]["prefix"]);
    assert_ne!(seen["by_uv"]["prefix"], seen["base"]["prefix"]);
}

/// A stage keeps the pipeline's default, replaces it, or opts out for the base; an override leaves
/// its original stage unchanged.
pub(super) fn overrides(setting: &Setting<'_>) {
    let original = look(setting, "kept");
    let replaced = original.with_(
        Overrides::default()
            .with_name("replaced")
            .with_runtime_env(RuntimeEnv::uv(["packaging==23.2"])),
    );
    let pipeline = Pipeline::new("conformance")
        .with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]))
        .with_stages([
            original,
            PythonStage::new(replaced.behaviour().clone(), replaced.settings().clone())
                .with_args(json!({ "key": "replaced", "base_module": setting.base_module })),
            look(setting, "left").with_runtime_env(RuntimeEnv::new()),
        ]);
    let report = setting.must_run(&pipeline, one_task());
    let outputs = data(&report);
    let [seen] = &outputs[..] else { panic!("one output: {outputs:?}") };
    assert_eq!(version(seen, "kept"), "24.0");
    assert_eq!(version(seen, "replaced"), "23.2");
    assert!(!["23.2", "24.0"].contains(&version(seen, "left")), "{seen}");
}

/// A package that does not exist ends the run with its name and the stage's.
pub(super) fn misspelt(setting: &Setting<'_>) {
    let name = "curator-no-such-package-by-this-name";
    let pipeline = pipeline([
        look(setting, "fine"),
        look(setting, "misspelt").with_runtime_env(RuntimeEnv::uv([name])),
    ]);
    let report = setting.must_fail(&pipeline, one_task()).report();
    assert!(report.contains(name), "{report}");
    assert!(report.contains("misspelt"), "{report}");
}
