//! Early stages work while later environments are built, and distinct environments are built side
//! by side.

use curator::backends::Event;
use curator::stage::{BoxError, Context};
use curator::{LocalExecutor, Pipeline, RuntimeEnv, RustStage, Task};

use crate::support::{base, fresh_cache, output, python3, versions, watched};

#[test]
fn a_stage_that_is_ready_does_not_wait_for_the_environments_of_others() {
    let cache = fresh_cache();
    let executor =
        LocalExecutor::default().with_base(base().to_owned()).with_cache_dir(cache.path());
    // The first stage is Rust code, so that it can work before any interpreter has started.
    let first = RustStage::from_fn("first", |task: Task, _: &mut Context| Ok::<_, BoxError>(task));
    let pinned = |name: &str, version: &str| {
        let env = RuntimeEnv::uv([format!("packaging=={version}")]);
        versions(name, &["packaging"]).with_runtime_env(env)
    };
    let pipeline = Pipeline::new("overlap")
        .with_stage(first)
        .with_stage(pinned("old", "23.2"))
        .with_stage(pinned("new", "24.0"));
    let (result, events) = watched(&executor, &pipeline);
    output(&result.unwrap());
    let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let is_of = |stages: &[String], name: &str| stages.iter().any(|stage| stage == name);
    let done = at(&|event| matches!(event, Event::BatchDone { stage, .. } if stage == "first"));
    let asked = |name: &str| {
        at(&|event| matches!(event, Event::EnvironmentPreparing { stages } if is_of(stages, name)))
    };
    let ready = |name: &str| {
        at(&|event| matches!(event, Event::EnvironmentReady { stages, .. } if is_of(stages, name)))
    };
    assert!(done < ready("old").min(ready("new")), "the first stage waited: {events:?}");
    assert!(
        asked("old").max(asked("new")) < ready("old").min(ready("new")),
        "one environment waited for the other: {events:?}"
    );
}

#[test]
fn the_examples_stages_are_tested_in_plain_python() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = duct::cmd!(
        python3(),
        "-m",
        "unittest",
        "discover",
        format!("{root}/crates/curator/examples")
    )
    .env("PYTHONPATH", format!("{root}/crates/backends/python"))
    .env("PYTHONDONTWRITEBYTECODE", "1")
    .stderr_to_stdout()
    .unchecked()
    .stdout_capture()
    .run()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("Ran 2 tests"), "{text}");
}
