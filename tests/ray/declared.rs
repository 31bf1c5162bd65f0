//! What a stage's code says of itself, where a worker contradicts it.

use std::fs;
use std::sync::Arc;

use curator::backends::ray::{RayActorPool, RayExecutor};
use curator::backends::sync::Mutex;
use curator::backends::{Event, Plan};
use curator::{Executor, Pipeline, PythonStage, Task};

use serde_json::json;

use crate::world::{self, Cluster};

const WORKER: &str = env!("CARGO_BIN_EXE_run-on-ray");

/// Runs the stage, and returns the warnings.
fn warnings(cluster: &Cluster, address: &str, class: &str) -> Vec<String> {
    let stage = PythonStage::from_source(class, "Stage");
    let plan = Plan::new(&Pipeline::new("declared").with_stage(stage)).expect("a plan");
    let executor = RayExecutor::<RayActorPool>::connect(address)
        .expect("an address")
        .with_base(world::base().to_owned())
        .with_cache_dir(cluster.dir().join("answers"))
        .with_worker_program(WORKER);
    let told = Arc::new(Mutex::new(Vec::new()));
    let to = told.clone();
    let observer = move |event: &Event| {
        if let Event::Warning { message, .. } = event {
            to.lock().push(message.clone());
        }
    };
    let mut tasks = (0..2).map(|number| Task::new(json!(number)));
    let report = executor.execute(&plan, &mut tasks, Arc::new(observer), &mut |_| Ok(()));
    report.unwrap_or_else(|error| panic!("{}", error.report()));
    let told = told.lock();
    told.clone()
}

/// An answer may depend on more than the cache key can follow, here on the size of a file. The next
/// run asks again, as the warning says.
#[test]
fn an_answer_that_a_worker_on_a_node_contradicts_is_forgotten() {
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    let told = cluster.dir().join("size.txt");
    let class = format!(
        "import os\nclass Stage:\n    batch_size = os.path.getsize({told:?})\n    def process(self, \
         task): return task\n"
    );
    fs::write(&told, "12").expect("a folder of ours");
    assert_eq!(warnings(&cluster, ray.first_line(), &class), [""; 0]);
    fs::write(&told, "123").expect("a folder of ours");
    let warning = "its code declares `batch_size` 3, and said 2 when the run was planned, which is \
                   what it runs with: the next run asks it again";
    assert_eq!(warnings(&cluster, ray.first_line(), &class), [warning]);
    assert_eq!(warnings(&cluster, ray.first_line(), &class), [""; 0]);
}
