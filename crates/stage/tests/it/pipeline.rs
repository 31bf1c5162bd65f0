//! Building pipelines: refused ones, kept settings, and the environment of each stage.
//!
//! The law of environments: `None` is the pipeline's default; an empty one is the base environment,
//! whatever the default is; any other is laid over the default.

use envspec::RuntimeEnv;
use envspec::strategies::runtime_env;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;
use stage::strategies::{pipeline, settings};
use stage::{CompositeStage, Data, Error, Pipeline, PythonStage, Resources, Settings, TaskId};

fn stage(name: &str) -> PythonStage {
    PythonStage::from_file("stages.py", "Stage").with_name(name)
}

fn build(stages: impl IntoIterator<Item = PythonStage>) -> Result<(), Error> {
    Pipeline::new("p").with_stages(stages).build().map(drop)
}

proptest! {
    #[test]
    fn building_changes_nothing(pipeline in pipeline()) {
        let original = pipeline.clone();
        let built = pipeline.build().unwrap();
        prop_assert_eq!(&pipeline, &original);
        prop_assert_eq!(built.pipeline(), &original);
        prop_assert_eq!(pipeline.build().unwrap(), built);
    }

    #[test]
    fn a_stage_runs_in_its_own_environment_over_the_default(
        own in option::of(runtime_env()),
        default in option::of(runtime_env()),
    ) {
        let mut stage = stage("a");
        if let Some(own) = own.clone() {
            stage = stage.with_runtime_env(own);
        }
        let mut pipeline = Pipeline::new("p").with_stage(stage);
        if let Some(default) = default.clone() {
            pipeline = pipeline.with_runtime_env(default);
        }
        let built = pipeline.build().unwrap();
        let effective = built.effective_runtime_env(&built.stages()[0]);
        let expected = match (own, default) {
            (None, default) => default.unwrap_or_default(),
            (Some(own), _) if own.is_empty() => own,
            (Some(own), None) => own,
            (Some(own), Some(default)) => own.over(&default),
        };
        prop_assert_eq!(effective, expected);
    }

    #[test]
    fn settings_survive_json(settings in settings()) {
        let json = serde_json::to_string(&settings).unwrap();
        prop_assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }

    #[test]
    fn no_json_makes_settings_panic(text in any::<String>(), value in stage::strategies::json()) {
        drop(serde_json::from_str::<Settings>(&text));
        let around =
            json!({ "name": "a", "ray_stage_spec": value.clone(), "resources": value.clone() });
        for value in [value, around] {
            if let Ok(settings) = serde_json::from_value::<Settings>(value) {
                drop(settings.check());
            }
        }
    }
}

#[test]
fn a_pipeline_without_stages_is_refused() {
    let error = Pipeline::new("p").build().unwrap_err();
    assert_eq!(error.to_string(), "pipeline `p` has no stages");
    assert!(error.hint().is_some());
}

#[test]
fn names_differ_also_across_composites() {
    let error = build([stage("a"), stage("b"), stage("a")]).unwrap_err();
    assert_eq!(error.to_string(), "pipeline `p` has more than one stage named `a`");
    let composite = CompositeStage::new("c", [stage("a")]);
    let twice = Pipeline::new("p").with_stage(composite.clone()).with_stage(composite);
    assert!(matches!(twice.build(), Err(Error::DuplicateName { .. })));
}

#[test]
fn a_stage_may_stand_in_two_pipelines() {
    let shared = stage("a");
    let one = Pipeline::new("one").with_stage(shared.clone()).with_stage(stage("b"));
    let two = Pipeline::new("two").with_stage(stage("b")).with_stage(shared);
    assert_eq!(one.build().unwrap().stages()[0], two.build().unwrap().stages()[1]);
}

#[test]
fn names_that_would_break_a_line_are_refused() {
    for name in ["", "  ", "a\nb", "a\u{1b}[0m"] {
        assert!(matches!(build([stage(name)]), Err(Error::Name { what: "stage", .. })), "{name:?}");
        let pipeline = Pipeline::new(name).with_stage(stage("a"));
        assert!(matches!(pipeline.build(), Err(Error::Name { what: "pipeline", .. })));
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let both = Resources::default().with_gpus(1.0).with_gpu_memory_gb(8.0);
    for (stage, setting) in [
        (stage("a").with_batch_size(0), "batch_size"),
        (stage("a").with_num_workers(0), "num_workers"),
        (stage("a").with_num_workers_per_node(0.0), "num_workers_per_node"),
        (stage("a").with_num_workers_per_node(f64::NAN), "num_workers_per_node"),
        (stage("a").with_max_attempts(0), "max_attempts"),
        (stage("a").with_recycle_after(0), "recycle_after_tasks"),
        (stage("a").with_task_timeout(std::time::Duration::ZERO), "task_timeout_seconds"),
        (stage("a").with_resources(both), "resources"),
        (stage("a").with_inputs([""]), "inputs"),
        (stage("a").with_args(json!("text")), "args"),
    ] {
        let error = build([stage]).unwrap_err();
        assert!(error.to_string().contains(&format!("stage `a`: `{setting}`")), "{error}");
    }
}

#[test]
fn code_that_cannot_be_is_refused() {
    for stage in [
        PythonStage::from_file("stages.txt", "A"),
        PythonStage::from_file("stages.py", "A()").with_name("a"),
        PythonStage::from_module("a b", "A"),
        PythonStage::from_source("class A: ...", "").with_name("a"),
    ] {
        assert!(matches!(build([stage]), Err(Error::PythonCode { .. })));
    }
}

#[test]
fn options_are_checked_when_a_pipeline_is_built() {
    let error = build([stage("a").with_ray_option("max_worker", 1)]).unwrap_err();
    assert_eq!(error.to_string(), "stage `a`: `ray_stage_spec` has no option `max_worker`");
    assert_eq!(error.hint().as_deref(), Some("did you mean `max_workers`?"));
    let error =
        build([stage("a").with_num_workers(2).with_ray_option("max_workers", 1)]).unwrap_err();
    assert!(error.to_string().contains("excludes the stage's `num_workers`"), "{error}");
}

#[test]
fn declared_keys_are_followed_from_stage_to_stage() {
    let embed = stage("embed").with_inputs(["text"]).with_outputs(["embedding"]);
    let fits = stage("score").with_inputs(["text", "embedding"]).with_outputs(["score"]);
    build([embed.clone(), fits]).unwrap();
    let misspelt = stage("score").with_inputs(["embeding"]);
    let error = build([embed.clone(), misspelt.clone()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stage `score` needs `embeding`, which no stage before it needs or gives"
    );
    assert_eq!(error.hint().as_deref(), Some("did you mean `embedding`?"));
    // After a stage that promises nothing, a task may have any key.
    build([embed, stage("open"), misspelt]).unwrap();
}

#[test]
fn a_task_without_a_declared_input_stops_at_the_door() {
    let stage = stage("a").with_inputs(["text", "url"]);
    let check = |data: Data| stage.settings().check_task(&TaskId::root(), &data);
    check(json!({ "text": 1, "url": null, "more": 2 }).into()).unwrap();
    let error = check(json!({ "url": 1 }).into()).unwrap_err();
    assert_eq!(error.to_string(), "task `0` has no `text`, which stage `a` needs");
    for data in [json!([]).into(), json!("text").into(), Data::Bytes(b"text".to_vec())] {
        assert!(
            matches!(check(data), Err(Error::MissingKeys { missing, .. }) if missing.len() == 2)
        );
    }
}

#[test]
fn an_empty_environment_opts_out_of_the_default() {
    let pipeline = Pipeline::new("p")
        .with_runtime_env(RuntimeEnv::pip(["a==1"]))
        .with_stage(stage("base").with_runtime_env(RuntimeEnv::default()))
        .with_stage(stage("default"));
    let built = pipeline.build().unwrap();
    assert!(built.effective_runtime_env(built.stage("base").unwrap()).is_empty());
    let default = built.effective_runtime_env(built.stage("default").unwrap());
    assert_eq!(default, RuntimeEnv::pip(["a==1"]));
}
