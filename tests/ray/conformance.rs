//! The conformance cases, over the local executor and the three engines on a real Ray.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use curator::backends::FailurePolicy;
use curator::backends::conformance::{Case, Setting, cases, registry};
use curator::backends::ray::{RayActorPool, RayData, RayEngine, RayExecutor, Xenna};
use curator::{Executor, LocalExecutor, RayEnv};

use crate::world;

/// A module that the base with Ray has, and that no stage installs.
const BASE_MODULE: &str = "tqdm";
/// The program that contains the cases' Rust stages.
const WORKER: &str = env!("CARGO_BIN_EXE_conformance-worker");
/// The cases in which engines differ: a quick round runs these on each engine.
const CORE: [&str; 4] = [
    "three_versions_in_one_pipeline",
    "hooks_run_once_each",
    "fan_out_drop_and_ids_across_languages",
    "failed_tasks_are_recorded",
];
/// Further cases of a quick round on Ray Data: data and failures on their way through a host, which is
/// the same for all engines. The local executor runs every case.
const THROUGH_A_HOST: [&str; 6] = [
    "an_aggregate",
    "arrow_tables",
    "the_first_failure_ends_the_run",
    "columns_in_python",
    "data_is_exact",
    "what_code_declares_holds_unless_its_entry_sets_it",
];

/// Returns the cases for an engine: all if `CURATOR_TEST_ALL` is 1, else a selection.
fn chosen(engine: &str, ray_env: RayEnv) -> Vec<Case> {
    let mut chosen = cases();
    chosen.retain(|case| match ray_env {
        // If no stage has packages of its own, the maker of environments makes no difference.
        RayEnv::Native if !case.has_environments => false,
        _ if world::tests_all() => true,
        // Ray makes these environments itself, in one way for all engines.
        RayEnv::Native => engine == RayData::NAME && case.name == CORE[0],
        RayEnv::Cached => {
            let on_one = engine == RayData::NAME && THROUGH_A_HOST.contains(&case.name);
            on_one || CORE.contains(&case.name)
        }
    });
    chosen
}

fn run(cases: &[Case], setting: &Setting<'_>, way: &str) {
    for case in cases {
        let run = std::panic::catch_unwind(AssertUnwindSafe(|| case.run(setting)));
        assert!(run.is_ok(), "the case {} failed {way}", case.name);
    }
}

#[test]
fn the_local_executor_does_what_every_executor_must() {
    let executor = |policy: FailurePolicy| -> Box<dyn Executor> {
        Box::new(
            LocalExecutor::default()
                .with_base(world::base().to_owned())
                .with_cache_dir(world::cache())
                .with_failure_policy(policy),
        )
    };
    run(&cases(), &Setting::new(&executor, BASE_MODULE), "here");
    assert_eq!(registry().names().collect::<Vec<_>>(), ["multiply", "reverse"]);
}

fn conforms<E: RayEngine + 'static>() {
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    let address = ray.first_line();
    for ray_env in [RayEnv::Cached, RayEnv::Native] {
        let executor = |policy: FailurePolicy| -> Box<dyn Executor> {
            let executor = RayExecutor::<E>::connect(address).expect("an address");
            Box::new(
                executor
                    .with_base(world::base().to_owned())
                    .with_cache_dir(world::cache())
                    .with_worker_program(Path::new(WORKER))
                    .with_ray_env(ray_env)
                    .with_failure_policy(policy),
            )
        };
        let setting = Setting::new(&executor, BASE_MODULE);
        run(&chosen(E::NAME, ray_env), &setting, &format!("on {} ({ray_env:?})", E::NAME));
    }
}

#[test]
fn the_core_is_made_of_cases() {
    let known: Vec<&str> = cases().iter().map(|case| case.name).collect();
    assert!(CORE.iter().chain(&THROUGH_A_HOST).all(|name| known.contains(name)), "{known:?}");
}

#[test]
fn a_node_needs_none_of_our_files() {
    let cluster = world::cluster();
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/backends/python");
    for (engine, module) in [
        ("ray-data", "curator_ray_data"),
        ("ray-actor-pool", "curator_ray_actor_pool"),
        ("xenna", "curator_ray_xenna"),
    ] {
        let arguments = [python, engine, module].map(std::ffi::OsStr::new);
        assert_eq!(cluster.python(&world::script("carried.py"), &arguments), "stage\n");
    }
}

#[test]
fn ray_data_does_what_every_executor_must() {
    conforms::<RayData>();
}

#[test]
fn the_ray_actor_pools_do_what_every_executor_must() {
    conforms::<RayActorPool>();
}

#[test]
fn xenna_does_what_every_executor_must() {
    conforms::<Xenna>();
}
