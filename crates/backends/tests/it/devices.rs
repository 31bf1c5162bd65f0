//! Devices reach the workers that hold them, and nothing else.

use std::collections::BTreeSet;

use backends::{ExecutorExt, RunReport};
use envspec::RuntimeEnv;
use serde_json::json;
use stage::{Pipeline, PythonStage, Resources};

use crate::support::{Notes, local, numbers, outputs, python};

/// A stage whose workers hold a device each, with a module that is imported before they are forked.
fn holding(text: &str, name: &str, preload: &str) -> (tempfile::TempDir, PythonStage) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join(format!("{name}_early.py")), preload).expect("a module");
    let env = RuntimeEnv::new().with_env_var("PYTHONPATH", dir.path().to_str().expect("text"));
    let stage = python(text).with_name(name).with_runtime_env(env);
    let stage = stage.with_preload([format!("{name}_early")]);
    (dir, stage.with_resources(Resources::cpus(1.0).with_gpus(1.0)))
}

#[test]
fn a_forked_worker_has_its_own_devices_and_its_template_none() {
    let early = "import os\nSEEN, WHO = os.environ.get('CUDA_VISIBLE_DEVICES'), os.getpid()\n";
    let text = "
import os, time
class Stage:
    def setup(self):
        import stage_early as early
        self.said = {'early': early.SEEN, 'is_forked': early.WHO == os.getppid()}
        self.said['own'] = os.environ['CUDA_VISIBLE_DEVICES']
        # The variable is in the process, and not only in its dictionary.
        self.said['child'] = os.popen('echo $CUDA_VISIBLE_DEVICES').read().strip()
    def process(self, task):
        time.sleep(0.05)
        return dict(self.said)
";
    let (_dir, stage) = holding(text, "stage", early);
    let pipeline = Pipeline::new("test").with_stage(stage.with_num_workers(2));
    let report = local().with_devices(["3", "5"]).run(&pipeline, numbers(20)).unwrap();
    let said: BTreeSet<String> = outputs(&report).iter().map(|(_, it)| it.to_string()).collect();
    let early = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let expected = ["3", "5"].map(|own| {
        json!({ "early": early, "is_forked": true, "own": own, "child": own }).to_string()
    });
    assert_eq!(said, BTreeSet::from(expected));
}

/// A stage that has the only device until another one has noted this, and a module of the other's,
/// which waits until the first one works before it does so.
fn meeting(notes: &Notes) -> (tempfile::TempDir, PythonStage, String) {
    let wait = |told: &str, awaited: &str| {
        format!(
            "
import time
def note(text):
    with open({path:?}, 'a') as file:
        file.write(text + '\\n')
def wait():
    note('{told}')
    for _ in range(400):
        with open('{path}') as file:
            if '{awaited}' in file.read():
                return True
        time.sleep(0.05)
    return False
",
            path = notes.path.display()
        )
    };
    let work = "
class Stage:
    def process(self, task):
        return {'n': task.data['n'], 'in_time': wait()}
";
    let (dir, first) = holding(&format!("{}{work}", wait("working", "imported")), "one", "");
    let early = format!("{}\nwait()\nnote('imported')\n", wait("importing", "working"));
    (dir, first, early)
}

/// Runs the two with a device for one of them; neither waits for the other in vain.
fn meet(first: PythonStage, second: PythonStage) -> RunReport {
    let pipeline = [first, second]
        .into_iter()
        .map(|stage| stage.with_num_workers(1))
        .fold(Pipeline::new("test"), Pipeline::with_stage);
    let report = local().with_devices(["7"]).run(&pipeline, numbers(2)).expect("a run");
    assert_eq!(report.outputs.len(), 2);
    assert!(outputs(&report).iter().all(|(_, it)| it["in_time"] == json!(true)), "{report:?}");
    report
}

const PASS: &str = "
class Stage:
    def process(self, task):
        import os
        task.data['device'] = os.environ['CUDA_VISIBLE_DEVICES']
        task.data['child'] = os.popen('echo $CUDA_VISIBLE_DEVICES').read().strip()
        return task
";

#[test]
fn no_device_is_held_while_something_is_imported() {
    let notes = Notes::new();
    let (_one, first, early) = meeting(&notes);
    let (_two, second) = holding(PASS, "two", &early);
    let report = meet(first, second);
    assert!(report.stages.iter().all(|stage| stage.forked > 0), "{:?}", report.stages);
}

/// A worker that is started by itself starts Python, with what runs at each of its starts, before it
/// takes a device.
#[test]
fn no_device_is_held_while_a_worker_starts() {
    let notes = Notes::new();
    let (_one, first, early) = meeting(&notes);
    let (two, second) = holding(PASS, "two", "");
    std::fs::write(two.path().join("sitecustomize.py"), &early).unwrap();
    let report = meet(first, second.with_preload(false));
    assert_eq!(report.stages[1].forked, 0);
    let mut seen = outputs(&report).into_iter().map(|(_, it)| it);
    assert!(seen.all(|it| it["device"] == "7" && it["child"] == "7"), "{report:?}");
}
