//! The conformance cases, over the local executor and the three engines on a real Ray.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use curator::backends::conformance::{Case, Setting, cases, registry};
use curator::backends::{Engine, FailurePolicy, RayActorPool, RayData, RayExecutor, Xenna};
use curator::{Executor, LocalExecutor, RayEnv};

use crate::world;

/// A module that the base with Ray has, and that no stage brings.
const BASE_MODULE: &str = "tqdm";
/// The program that knows the cases' Rust stages.
const WORKER: &str = env!("CARGO_BIN_EXE_conformance-worker");

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

fn conforms<E: Engine + 'static>() {
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
        // Where no stage has packages of its own, nobody makes an environment.
        let chosen: Vec<Case> = cases()
            .into_iter()
            .filter(|case| ray_env == RayEnv::Cached || case.has_environments)
            .collect();
        run(
            &chosen,
            &Setting::new(&executor, BASE_MODULE),
            &format!("on {} ({ray_env:?})", E::NAME),
        );
    }
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
