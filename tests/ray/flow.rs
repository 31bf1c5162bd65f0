//! Outputs that arrive before the run ends.

use std::sync::Arc;

use curator::backends::Plan;
use curator::backends::ray::{RayData, RayEngine, RayExecutor, Xenna};
use curator::{Executor, Pipeline, PythonStage, Task};
use serde_json::json;

use crate::world::{self, Cluster};

const WORKER: &str = env!("CARGO_BIN_EXE_run-on-ray");
/// All tasks but the first few wait for an output.
const GATE: &str = "
import os, time


class Gate:
    def __init__(self, file):
        self.file = file

    def process(self, task):
        until = time.monotonic() + 180
        while task.data >= 8 and not os.path.exists(self.file):
            assert time.monotonic() < until, 'no output has come'
            time.sleep(0.02)
        return task
";

fn streams<E: RayEngine + 'static>(cluster: &Cluster, address: &str) {
    let file = cluster.dir().join(format!("open-{}", E::NAME));
    let gate = PythonStage::from_source(GATE, "Gate")
        .with_args(json!({ "file": file }))
        .with_batch_size(1);
    let pipeline = Pipeline::new("gate").with_stage(gate);
    let plan = Plan::new(&pipeline).expect("a plan");
    let executor = RayExecutor::<E>::connect(address)
        .expect("an address")
        .with_base(world::base().to_owned())
        .with_cache_dir(world::cache())
        .with_worker_program(WORKER);
    let mut outputs = 0;
    let mut tasks = (0..32).map(|number| Task::new(json!(number)));
    let report = executor.execute(&plan, &mut tasks, Arc::new(()), &mut |_| {
        outputs += 1;
        Ok(std::fs::write(&file, "")?)
    });
    report.unwrap_or_else(|error| panic!("{}: {}", E::NAME, error.report()));
    assert_eq!(outputs, 32, "{}", E::NAME);
}

/// If outputs came only at the end, there would be none.
#[test]
fn ray_data_and_xenna_give_outputs_as_they_come() {
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    streams::<RayData>(&cluster, ray.first_line());
    streams::<Xenna>(&cluster, ray.first_line());
}
