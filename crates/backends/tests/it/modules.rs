//! The modules of ours that a stage may import, and its own modules with the names of our files.

use std::fs;

use backends::ExecutorExt;
use envspec::RuntimeEnv;
use serde_json::json;
use stage::Pipeline;

use crate::support::{local, numbers, one, outputs, python};

/// The code that runs stages is in separate files.
#[test]
fn the_module_for_stages_holds_what_they_may_use_and_nothing_else() {
    let text = r"
import curator_stage
class Stage:
    def process(self, task):
        assert type(task) is curator_stage.Task
        return sorted(name for name in vars(curator_stage) if not name.startswith('__'))
";
    let report = local().run(&one(text), numbers(1)).unwrap();
    let names: Vec<_> = outputs(&report).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, [json!("Aggregate"), json!("Context"), json!("Task")]);
}

/// A worker runs on its own files, whatever else is on its path by their names.
#[test]
fn a_module_by_the_name_of_a_file_of_ours_does_not_take_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let ours = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/python")).unwrap();
    for name in ours.map(|entry| entry.unwrap().file_name()) {
        if name.to_str().unwrap().starts_with("curator_") {
            fs::write(dir.path().join(name), "raise SystemExit('not ours')").unwrap();
        }
    }
    let path = dir.path().to_str().unwrap();
    let env = RuntimeEnv::new().with_env_var("PYTHONPATH", path);
    let stage = python("def Stage(task): return __import__('curator_stage').Task({'n': 7})");
    let pipeline = Pipeline::new("test").with_stage(stage.with_runtime_env(env));
    let report = local().run(&pipeline, numbers(1)).unwrap();
    assert_eq!(outputs(&report)[0].1, json!({ "n": 7 }));
}
