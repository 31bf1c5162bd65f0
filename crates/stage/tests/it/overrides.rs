//! Laws of overrides.
//!
//! - `stage.with_(a).with_(b)` follows a model that sets one field after another: mentioned fields
//!   are replaced, the others are kept, the last one wins.
//! - `stage.with_(a).with_(b)` and `stage.with_(a.then(b))` are the same.
//! - The original stays unchanged.
//! - A stage's own `with_…` does the same as the override of that name.

use std::time::Duration;

use envspec::RuntimeEnv;
use envspec::strategies::runtime_env;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stage::strategies::{any_stage, json_object, overrides, resources, workers};
use stage::{Isolation, Overrides, Preload, PythonStage, Resources, Settings, Workers};

/// One change, in the model and in the crate.
#[derive(Clone, Debug)]
enum Change {
    Name(String),
    Resources(Resources),
    BatchSize(Option<usize>),
    Workers(Workers),
    RuntimeEnv(Option<Box<RuntimeEnv>>),
    Inputs(Vec<String>),
    Outputs(Vec<String>),
    Ray(Map<String, Value>),
    NoRay,
    Xenna(Map<String, Value>),
    NoXenna,
    TaskTimeout(Option<Duration>),
    Isolation(Option<Isolation>),
    MaxAttempts(Option<u32>),
    RecycleAfter(Option<u64>),
    Preload(Option<Preload>),
}

impl Change {
    fn model(self, settings: &mut Settings) {
        match self {
            Self::Name(it) => settings.name = it,
            Self::Resources(it) => settings.resources = it,
            Self::BatchSize(it) => settings.batch_size = it,
            Self::Workers(it) => settings.workers = it,
            Self::RuntimeEnv(it) => settings.runtime_env = it.map(|it| *it),
            Self::Inputs(it) => settings.inputs = it,
            Self::Outputs(it) => settings.outputs = it,
            Self::Ray(it) => settings.ray_options.extend(it),
            Self::NoRay => settings.ray_options.clear(),
            Self::Xenna(it) => settings.xenna_options.extend(it),
            Self::NoXenna => settings.xenna_options.clear(),
            Self::TaskTimeout(it) => settings.task_timeout = it,
            Self::Isolation(it) => settings.isolation = it,
            Self::MaxAttempts(it) => settings.max_attempts = it,
            Self::RecycleAfter(it) => settings.recycle_after = it,
            Self::Preload(it) => settings.preload = it,
        }
    }

    fn change(self, to: Overrides) -> Overrides {
        match self {
            Self::Name(it) => to.with_name(it),
            Self::Resources(it) => to.with_resources(it),
            Self::BatchSize(Some(it)) => to.with_batch_size(it),
            Self::BatchSize(None) => to.without_batch_size(),
            Self::Workers(it) => to.with_workers(it),
            Self::RuntimeEnv(Some(it)) => to.with_runtime_env(*it),
            Self::RuntimeEnv(None) => to.without_runtime_env(),
            Self::Inputs(it) => to.with_inputs(it),
            Self::Outputs(it) => to.with_outputs(it),
            Self::Ray(it) => to.with_ray_options(it),
            Self::NoRay => to.without_ray_options(),
            Self::Xenna(it) => to.with_xenna_options(it),
            Self::NoXenna => to.without_xenna_options(),
            Self::TaskTimeout(Some(it)) => to.with_task_timeout(it),
            Self::TaskTimeout(None) => to.without_task_timeout(),
            Self::Isolation(Some(it)) => to.with_isolation(it),
            Self::Isolation(None) => to.without_isolation(),
            Self::MaxAttempts(Some(it)) => to.with_max_attempts(it),
            Self::MaxAttempts(None) => to.without_max_attempts(),
            Self::RecycleAfter(Some(it)) => to.with_recycle_after(it),
            Self::RecycleAfter(None) => to.without_recycle_after(),
            Self::Preload(Some(it)) => to.with_preload(it),
            Self::Preload(None) => to.without_preload(),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let isolation = prop_oneof![Just(Isolation::Shared), Just(Isolation::Full)];
    prop_oneof![
        any::<String>().prop_map(Change::Name),
        resources().prop_map(Change::Resources),
        any::<Option<usize>>().prop_map(Change::BatchSize),
        workers().prop_map(Change::Workers),
        proptest::option::of(runtime_env().prop_map(Box::new)).prop_map(Change::RuntimeEnv),
        any::<Vec<String>>().prop_map(Change::Inputs),
        any::<Vec<String>>().prop_map(Change::Outputs),
        json_object().prop_map(Change::Ray),
        Just(Change::NoRay),
        json_object().prop_map(Change::Xenna),
        Just(Change::NoXenna),
        any::<Option<Duration>>().prop_map(Change::TaskTimeout),
        proptest::option::of(isolation).prop_map(Change::Isolation),
        any::<Option<u32>>().prop_map(Change::MaxAttempts),
        any::<Option<u64>>().prop_map(Change::RecycleAfter),
        any::<Option<bool>>().prop_map(|it| Change::Preload(it.map(Preload::Flag))),
        any::<Vec<String>>().prop_map(|it| Change::Preload(Some(it.into()))),
    ]
}

fn overrides_of(changes: Vec<Change>) -> Overrides {
    changes.into_iter().fold(Overrides::default(), |to, change| change.change(to))
}

proptest! {
    #[test]
    fn overrides_do_what_the_model_does(
        stage in any_stage(),
        first in vec(change(), 0..6),
        second in vec(change(), 0..6),
    ) {
        let original = stage.clone();
        let mut expected = stage.settings().clone();
        for change in first.iter().chain(&second) {
            change.clone().model(&mut expected);
        }
        let changed = stage.with_(overrides_of(first)).with_(overrides_of(second));
        prop_assert_eq!(changed.settings(), &expected);
        prop_assert_eq!(changed.behaviour(), original.behaviour());
        prop_assert_eq!(stage, original);
    }

    #[test]
    fn two_overrides_are_one(
        stage in any_stage(),
        a in overrides(),
        b in overrides(),
        c in overrides(),
    ) {
        let one_by_one = stage.with_(a.clone()).with_(b.clone());
        prop_assert_eq!(stage.with_(a.clone().then(b.clone())), one_by_one);
        let left = a.clone().then(b.clone()).then(c.clone());
        prop_assert_eq!(left, a.clone().then(b.then(c)));
        prop_assert_eq!(a.clone().then(Overrides::default()), a.clone());
        prop_assert_eq!(Overrides::default().then(a.clone()), a);
    }
}

#[test]
fn nothing_mentioned_is_nothing_changed() {
    let stage = PythonStage::from_file("a.py", "A").with_batch_size(3);
    assert_eq!(stage.with_(Overrides::default()), stage);
}

#[test]
fn a_stage_and_overrides_have_the_same_methods() {
    let stage = PythonStage::from_file("a.py", "A").with_ray_option("min_workers", 1);
    let env = RuntimeEnv::pip(["a==1"]);
    let changes = Overrides::default()
        .with_name("b")
        .with_num_workers_per_node(1.5)
        .with_runtime_env(env.clone())
        .without_ray_options()
        .with_xenna_option("ignore_failures", true);
    let by_methods = stage
        .clone()
        .with_name("b")
        .with_num_workers_per_node(1.5)
        .with_runtime_env(env)
        .without_ray_options()
        .with_xenna_option("ignore_failures", true);
    assert_eq!(stage.with_(changes), by_methods);
}

#[test]
fn an_environment_is_replaced_whole() {
    let stage = PythonStage::from_file("a.py", "A")
        .with_runtime_env(RuntimeEnv::pip(["a==1"]).with_env_var("A", "1"));
    let env = RuntimeEnv::uv(["b==2"]);
    let changed = stage.with_(Overrides::default().with_runtime_env(env.clone()));
    assert_eq!(changed.settings().runtime_env, Some(env));
    let emptied = stage.with_(Overrides::default().with_runtime_env(RuntimeEnv::default()));
    assert_eq!(emptied.settings().runtime_env, Some(RuntimeEnv::default()));
}

#[test]
fn options_are_laid_over_and_tables_within_are_replaced() {
    let stage = PythonStage::from_file("a.py", "A")
        .with_ray_option("is_actor_stage", true)
        .with_ray_option("ray_remote_args", json!({ "a": 1 }));
    let options = json!({ "ray_remote_args": { "b": 2 } });
    let changed =
        stage.with_(Overrides::default().with_ray_options(options.as_object().unwrap().clone()));
    assert_eq!(
        Value::Object(changed.settings().ray_options.clone()),
        json!({ "is_actor_stage": true, "ray_remote_args": { "b": 2 } })
    );
}

#[test]
fn overrides_from_many_threads_do_not_meet() {
    let stage = PythonStage::from_file("a.py", "A");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..6)
            .map(|size| {
                let stage = &stage;
                scope.spawn(move || stage.with_(Overrides::default().with_batch_size(size)))
            })
            .collect();
        for (size, thread) in (1..6).zip(threads) {
            assert_eq!(thread.join().unwrap().settings().batch_size, Some(size));
        }
    });
    assert_eq!(stage.settings().batch_size, None);
}
