//! Settings, changes to them, and single stages.

use std::time::Duration;

use envspec::RuntimeEnv;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Map, Value, json};

use super::json::toml_object;
use crate::{
    AnyStage, Context, Isolation, Overrides, Preload, PythonCode, PythonStage, Resources,
    RustStage, Settings, Task, Workers,
};

/// Keys that stages may need and give: few, so that they match often.
const KEYS: [&str; 4] = ["text", "url", "language", "größe"];

/// Generates amounts that a worker may occupy.
pub fn resources() -> impl Strategy<Value = Resources> {
    let cpus = (0_u8..64).prop_map(|quarters| Resources::cpus(f64::from(quarters) / 4.0));
    (cpus, 0_u8..3, 1_u8..8).prop_map(|(resources, kind, eighths)| match kind {
        0 => resources,
        1 if eighths % 2 == 0 => resources.with_gpus(f64::from(eighths)),
        1 => resources.with_gpus(f64::from(eighths) / 8.0),
        _ => resources.with_gpu_memory_gb(f64::from(eighths) * 2.5),
    })
}

/// Generates a rule for the number of workers.
pub fn workers() -> impl Strategy<Value = Workers> {
    prop_oneof![
        2 => Just(Workers::Auto),
        1 => (1_usize..64).prop_map(Workers::Fixed),
        1 => (1_u8..32).prop_map(|halves| Workers::PerNode(f64::from(halves) / 2.0)),
    ]
}

/// Generates settings that pass [`Settings::check`].
pub fn settings() -> impl Strategy<Value = Settings> {
    let environment = (name(), option::of(runtime_env()), option::of(isolation())).boxed();
    let size = (resources(), option::of(1_usize..1000), workers()).boxed();
    let declared = (keys(), keys());
    let options = (pool_sizes(), any::<[bool; 3]>()).boxed();
    let limits = (option::of(timeout()), option::of(1_u32..9), option::of(1_u64..1000)).boxed();
    let limits = (limits, option::of(preload())).boxed();
    (environment, size, declared, options, limits).prop_map(
        |(environment, size, declared, (pool_sizes, options), limits)| {
            let mut settings = Settings::new(environment.0);
            (settings.runtime_env, settings.isolation) = (environment.1, environment.2);
            (settings.resources, settings.batch_size, settings.workers) = size;
            (settings.inputs, settings.outputs) = declared;
            let (limits, preload) = limits;
            (settings.task_timeout, settings.max_attempts, settings.recycle_after) = limits;
            settings.preload = preload;
            if options[0] && settings.workers == Workers::Auto {
                settings.ray_options.extend(pool_sizes);
            }
            if options[1] {
                settings.ray_options.insert("is_actor_stage".to_owned(), true.into());
                let args = json!({ "scheduling_strategy": "SPREAD" });
                settings.ray_options.insert("ray_remote_args".to_owned(), args);
            }
            if options[2] {
                settings.xenna_options.insert("ignore_failures".to_owned(), true.into());
                settings.xenna_options.insert("slots_per_actor".to_owned(), 2.into());
            }
            settings
        },
    )
}

/// Generates several changes of any kind. They may make valid settings invalid: a fixed number of
/// workers may meet options that exclude it.
pub fn overrides() -> impl Strategy<Value = Overrides> {
    let with = Overrides::default;
    let change = prop_oneof![
        Just(with()),
        name().prop_map(move |it| with().with_name(it)),
        resources().prop_map(move |it| with().with_resources(it)),
        (1_usize..1000).prop_map(move |it| with().with_batch_size(it)),
        Just(with().without_batch_size()),
        workers().prop_map(move |it| with().with_workers(it)),
        runtime_env().prop_map(move |it| with().with_runtime_env(it)),
        Just(with().without_runtime_env()),
        keys().prop_map(move |it| with().with_inputs(it)),
        keys().prop_map(move |it| with().with_outputs(it)),
        pool_sizes().prop_map(move |it| with().with_ray_options(it)),
        Just(with().without_ray_options()),
        any::<bool>().prop_map(move |it| with().with_xenna_option("ignore_failures", it)),
        Just(with().without_xenna_options()),
        timeout().prop_map(move |it| with().with_task_timeout(it)),
        Just(with().without_task_timeout()),
        isolation().prop_map(move |it| with().with_isolation(it)),
        Just(with().without_isolation()),
        (1_u32..9).prop_map(move |it| with().with_max_attempts(it)),
        Just(with().without_max_attempts()),
        (1_u64..1000).prop_map(move |it| with().with_recycle_after(it)),
        Just(with().without_recycle_after()),
        preload().prop_map(move |it| with().with_preload(it)),
        Just(with().without_preload()),
    ];
    vec(change, 0..6)
        .prop_map(|changes| changes.into_iter().fold(Overrides::default(), Overrides::then))
}

/// Generates Python code of every kind, with arguments that TOML can represent. No module is named
/// as a file is: a pipeline file cannot hold the module `a.py`.
pub fn python_code() -> impl Strategy<Value = PythonCode> {
    let args = prop_oneof![
        Just(Value::Null),
        toml_object().prop_map(Value::Object),
        toml_object().prop_map(|entries| entries.into_iter().map(|(_, value)| value).collect()),
    ];
    let name = "[A-Z_][a-z0-9]{0,6}(\\.[A-Z][a-z]{0,3})?";
    let code = prop_oneof![
        ("[a-z]{1,6}(/[a-zé][a-z_ -]{0,6}){0,2}", name)
            .prop_map(|(path, name)| PythonCode::from_file(format!("{path}.py"), name)),
        ("[a-z]{1,6}(\\.[a-zé_][a-z_0-9]{0,6}){0,2}", name)
            .prop_filter("a module that is not named as a file is", |(module, _)| {
                module.rsplit('.').next() != Some("py")
            })
            .prop_map(|(module, name)| PythonCode::from_module(module, name)),
        (any::<String>(), name).prop_map(|(text, name)| PythonCode::from_source(text, name)),
    ];
    (code, args).prop_map(|(code, args)| code.with_args(args))
}

/// Generates a stage in Python that passes its checks.
pub fn python_stage() -> impl Strategy<Value = PythonStage> {
    (python_code().boxed(), settings().boxed())
        .prop_map(|(code, settings)| PythonStage::new(code, settings))
}

/// Generates a stage in Rust that passes its checks and passes each task on.
pub fn rust_stage() -> impl Strategy<Value = RustStage> {
    settings().boxed().prop_map(|settings| {
        let code =
            RustStage::from_fn("pass", |task: Task, _: &mut Context| Ok::<_, crate::Error>(task));
        RustStage::new(code.behaviour().clone(), settings)
    })
}

/// Generates a stage of either kind that passes its checks.
pub fn any_stage() -> impl Strategy<Value = AnyStage> {
    prop_oneof![python_stage().prop_map(AnyStage::from), rust_stage().prop_map(AnyStage::from),]
}

/// Generates a `runtime_env`. Boxed like the large strategies below: in an unoptimized build,
/// nested strategies by value overflow a test thread's stack.
pub(super) fn runtime_env() -> BoxedStrategy<RuntimeEnv> {
    envspec::strategies::runtime_env().boxed()
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Zäö][a-z0-9_. -]{0,8}"
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    subsequence(KEYS.to_vec(), 0..=KEYS.len())
        .prop_map(|keys| keys.into_iter().map(str::to_owned).collect())
}

fn isolation() -> impl Strategy<Value = Isolation> {
    prop_oneof![Just(Isolation::Shared), Just(Isolation::Full)]
}

fn preload() -> impl Strategy<Value = Preload> {
    let modules = vec("[a-z]{1,6}(\\.[a-z_]{1,6}){0,2}", 0..3);
    prop_oneof![any::<bool>().prop_map(Preload::Flag), modules.prop_map(Preload::Modules)]
}

fn timeout() -> impl Strategy<Value = Duration> {
    (1_u64..1 << 40).prop_map(Duration::from_nanos)
}

fn pool_sizes() -> impl Strategy<Value = Map<String, Value>> {
    (1_u64..5, 0_u64..5).prop_map(|(min, more)| {
        [("min_workers", min), ("max_workers", min + more)]
            .map(|(option, size)| (option.to_owned(), size.into()))
            .into_iter()
            .collect()
    })
}
