//! Descriptions of a pipeline, for people.
//!
//! Describing never fails, never shows a secret, and shows every stage. Debug output of stages and
//! overrides shows no secret either.

use envspec::RuntimeEnv;
use proptest::prelude::*;
use serde_json::json;
use stage::strategies::{json_object, pipeline};
use stage::{CompositeStage, Overrides, Pipeline, PythonStage};

const SECRET: &str = "hunter2hunter2";

proptest! {
    #[test]
    fn every_stage_is_described(pipeline in pipeline()) {
        let text = pipeline.describe();
        let built = pipeline.build().unwrap();
        for (number, stage) in (1..).zip(built.stages()) {
            prop_assert!(text.contains(&format!("\n{number}. {}\n", stage.name())), "{}", text);
        }
    }

    #[test]
    fn anything_can_be_described(
        pipeline in pipeline(),
        name in any::<String>(),
        key in any::<String>(),
        options in json_object(),
    ) {
        let stage = PythonStage::from_source(&name, &key)
            .with_name(&name)
            .with_args(options.clone())
            .with_inputs([&key])
            .with_ray_options(options.clone())
            .with_runtime_env(RuntimeEnv::pip(["a==1"]).with_env_var("A", name.replace('\0', "")));
        let broken = CompositeStage::new(&name, [stage.clone()]).with_(&key, Overrides::default());
        for pipeline in [pipeline.clone().with_stage(stage), pipeline.with_stage(broken)] {
            // A line ends only where the description ends it.
            let text = pipeline.describe();
            prop_assert!(text.lines().all(|line| !line.contains(char::is_control)), "{}", text);
        }
    }

    #[test]
    fn secrets_are_not_described(
        name in "([A-Z]{1,4}_)?(TOKEN|SECRET|PASSWORD|API_KEY|CREDENTIALS)(_[A-Z]{1,4})?",
        depth in 0_usize..4,
    ) {
        let url = format!("https://user:{SECRET}@example.org/simple");
        let index = format!("--extra-index-url {url}");
        let env = RuntimeEnv::pip(["packaging==24.0", &index])
            .with_env_var(&name, SECRET)
            .with_env_var("PROXY", &url);
        let secret = json!({ name.clone(): SECRET });
        let nested = (0..depth).fold(secret, |inner, _| json!([{ "a": inner }]));
        let remote_args = json!({ "label": { name.to_lowercase(): SECRET } });
        let stage = PythonStage::from_module("a", "B")
            .with_args(json!({ "nested": nested, "index": url }))
            .with_runtime_env(env.clone())
            .with_ray_option("ray_remote_args", remote_args);
        let changes = Overrides::default()
            .with_runtime_env(env.clone())
            .with_xenna_option("a", json!({ name.to_lowercase(): SECRET }));
        let debug = format!("{stage:?} {changes:?}");
        prop_assert!(!debug.contains(SECRET), "{}", debug);
        let pipeline = Pipeline::new("p")
            .with_description(format!("see {url}"))
            .with_base(env.clone())
            .with_runtime_env(env)
            .with_stage(stage);
        let text = pipeline.describe();
        prop_assert!(!text.contains(SECRET), "{}", text);
        prop_assert!(text.contains("packaging==24.0") && text.contains(&name), "{}", text);
    }
}

#[test]
fn a_description_shows_every_setting() {
    let clean = PythonStage::from_file("stages.py", "Clean")
        .with_args(json!({ "language": "en", "token": SECRET }))
        .with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]))
        .with_isolation(stage::Isolation::Full)
        .with_resources(stage::Resources::cpus(0.5).with_gpus(1.0))
        .with_batch_size(8)
        .with_num_workers(2)
        .with_inputs(["text"])
        .with_outputs(["text", "language"])
        .with_task_timeout(std::time::Duration::from_millis(1500))
        .with_max_attempts(3)
        .with_recycle_after(100)
        .with_preload(["numpy", "os.path"])
        .with_ray_option("is_actor_stage", true)
        .with_xenna_option("slots_per_actor", 2);
    let plain = PythonStage::from_module("pkg.mod", "Plain");
    let pipeline = Pipeline::new("demo").with_stage(clean).with_stage(plain);
    assert_eq!(
        pipeline.describe(),
        "\
pipeline demo
   description       none
   base              found by the executor
   runtime_env       none
   stages            2

1. Clean
   code              python stages.py:Clean
   args              {\"language\":\"en\",\"token\":\"<hidden>\"}
   declared          used where nothing else is set
   runtime_env       {\"uv\":[\"packaging==24.0\"]}
   resources         0.5 cpus, 1 gpus
   batch_size        8
   workers           2
   inputs            text
   outputs           text, language
   task_timeout      1.5s
   isolation         full
   max_attempts      3
   recycle_after     100 tasks
   preload           numpy, os.path, and what its file imports first
   ray_stage_spec    {\"is_actor_stage\":true}
   xenna_stage_spec  {\"slots_per_actor\":2}

2. Plain
   code              python pkg.mod:Plain
   args              none
   declared          used where nothing else is set
   runtime_env       the base environment
   resources         1 cpus
   batch_size        the engine's choice
   workers           auto
   inputs            none declared
   outputs           none declared
   task_timeout      none
   isolation         as the cache is set
   max_attempts      2 if its worker dies, else 1
   recycle_after     never
   preload           what its file imports first
   ray_stage_spec    none
   xenna_stage_spec  none
"
    );
}

#[test]
fn long_texts_are_cut_and_long_lists_are_not() {
    let packages: Vec<String> = (0..200).map(|i| format!("package-{i}==1")).collect();
    let stage = PythonStage::from_module("a", "B")
        .with_args(json!({ "prompt": "é".repeat(10_000) }))
        .with_runtime_env(RuntimeEnv::pip(packages));
    let text = Pipeline::new("p").with_stage(stage).describe();
    assert!(text.contains("package-199==1") && text.contains("é…"), "{text}");
    assert!(text.chars().count() < 10_000);
}

#[test]
fn the_pipelines_environment_is_shown_where_it_counts() {
    let pipeline = Pipeline::new("p")
        .with_runtime_env(RuntimeEnv::pip(["a==1"]).with_env_var("A", "1"))
        .with_stage(PythonStage::from_module("a", "Default"))
        .with_stage(
            PythonStage::from_module("a", "Over").with_runtime_env(RuntimeEnv::uv(["b==2"])),
        )
        .with_stage(PythonStage::from_module("a", "Out").with_runtime_env(RuntimeEnv::default()));
    let text = pipeline.describe();
    let envs: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("runtime_env"))
        .map(str::trim)
        .collect();
    assert!(envs[1].ends_with("(the pipeline's)") && envs[1].contains("a==1"), "{text}");
    assert!(envs[2].ends_with("(with the pipeline's)") && envs[2].contains("b==2"), "{text}");
    assert_eq!(envs[3], "the base environment");
}

#[test]
fn what_cannot_be_built_is_described_with_its_error() {
    assert!(Pipeline::new("p").describe().contains("error             pipeline `p` has no stages"));
    let broken = CompositeStage::new("c", [PythonStage::from_module("a", "B")])
        .with_("C", Overrides::default());
    let text = Pipeline::new("p").with_stage(broken).describe();
    assert!(text.contains("has no stage named `C`") && text.contains("1. c (composite)"), "{text}");
}
