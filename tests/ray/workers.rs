//! What tells the workers of a stage apart, and where they are.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use curator::backends::Plan;
use curator::backends::ray::{RayActorPool, RayData, RayEngine, RayExecutor, Xenna};
use curator::stage::{Resources, Workers};
use curator::{Executor, Pipeline, PythonStage, Task};
use serde_json::json;

use crate::world::{self, Cluster};

const WORKER: &str = env!("CARGO_BIN_EXE_run-on-ray");
/// Files by the numbers of workers, as stages name their outputs. None is written twice.
const NUMBERED: &str = "
import os, time


class Numbered:
    def __init__(self, folder):
        self.folder = folder

    def setup(self, context):
        open(f'{self.folder}/{context.worker}', 'x').close()

    def process(self, task):
        time.sleep(0.05)
        return os.environ['RAY_ADDRESS']
";

fn numbers<E: RayEngine + 'static>(cluster: &Cluster, address: &str) {
    let folder = cluster.dir().join(format!("numbers-{}", E::NAME));
    fs::create_dir(&folder).expect("a folder");
    let stage = PythonStage::from_source(NUMBERED, "Numbered")
        .with_args(json!({ "folder": folder }))
        .with_resources(Resources::cpus(0.25))
        .with_workers(Workers::Fixed(3))
        .with_batch_size(1);
    let plan = Plan::new(&Pipeline::new("numbers").with_stage(stage)).expect("a plan");
    let executor = RayExecutor::<E>::connect(address)
        .expect("an address")
        .with_base(world::base().to_owned())
        .with_cache_dir(world::cache())
        .with_worker_program(WORKER);
    let mut addresses = BTreeSet::new();
    let mut tasks = (0..60).map(|number| Task::new(json!(number)));
    let report = executor.execute(&plan, &mut tasks, Arc::new(()), &mut |output| {
        addresses.insert(output.data.as_json().map(ToString::to_string).unwrap_or_default());
        Ok(())
    });
    report.unwrap_or_else(|error| panic!("{}: {}", E::NAME, error.report()));
    // They may connect to the cluster that they are on.
    assert_eq!(addresses, BTreeSet::from([json!(address).to_string()]), "{}", E::NAME);
    let files = fs::read_dir(&folder).expect("the folder");
    let names: BTreeSet<_> = files.map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(names, ["0", "1", "2"].map(Into::into).into(), "{}", E::NAME);
}

/// Each of the workers of a stage has a number of its own, from 0, and the address of the cluster.
#[test]
fn workers_of_a_stage_are_told_apart_on_every_engine() {
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    numbers::<RayData>(&cluster, ray.first_line());
    numbers::<RayActorPool>(&cluster, ray.first_line());
    numbers::<Xenna>(&cluster, ray.first_line());
}
