//! Workers and their children leave no process behind.

use std::time::Duration;

use backends::ExecutorExt;
use serde_json::json;
use stage::Pipeline;

use crate::support::{
    Notes, as_killed_engine, assert_all_end_with, is_alive, local, numbers, python, recording,
};

/// Starts a child in its own way, notes both processes, and then does as the test asks.
const PARENT: &str = r#"
import os, subprocess, sys, time
class Stage:
    def __init__(self, path, then):
        self.path, self.then = path, then
    def process(self, task):
        forked = os.fork()
        if forked == 0:
            time.sleep(600)
        started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open(self.path, "a") as file:
            file.write(f"worker {os.getpid()}\nforked {forked}\nstarted {started.pid}\n")
        if self.then == "raise":
            raise RuntimeError("no")
        if self.then == "exit":
            os._exit(1)
        if self.then == "hang":
            time.sleep(600)
        return None
"#;

fn parent(notes: &Notes, then: &str) -> Pipeline {
    let args = json!({ "path": notes.path, "then": then });
    Pipeline::new("test")
        .with_stage(python(PARENT).with_args(args).with_task_timeout(Duration::from_secs(2)))
}

fn processes(notes: &Notes) -> [i32; 3] {
    ["worker ", "forked ", "started "].map(|prefix| notes.wait_for_number(prefix))
}

#[test]
fn no_child_outlives_a_run_however_it_ends() {
    for then in ["return", "raise", "exit", "hang"] {
        let notes = Notes::new();
        recording().run(&parent(&notes, then), numbers(1)).unwrap();
        for pid in processes(&notes) {
            assert!(!is_alive(pid), "{then}: {pid}");
        }
    }
}

/// The body of a process that the next test kills: runs a pipeline that never ends.
#[test]
fn helper_that_is_killed() {
    as_killed_engine([python(PARENT)]);
}

#[test]
fn no_worker_and_no_child_outlives_an_engine_that_is_killed() {
    assert_all_end_with("processes::helper_that_is_killed", processes);
}

#[test]
fn stage_code_may_use_multiprocessing_with_spawn() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spawning.py");
    let text = r#"
import multiprocessing

def square(n):
    return n * n

class Stage:
    def setup(self):
        self.pool = multiprocessing.get_context("spawn").Pool(2)
    def process(self, task):
        return self.pool.map(square, range(task.data["n"] + 3))[-1]
    def teardown(self):
        self.pool.close()
        self.pool.join()
"#;
    std::fs::write(&file, text).unwrap();
    let stage = stage::PythonStage::from_file(file, "Stage");
    let report = local().run(&Pipeline::new("test").with_stage(stage), numbers(3)).unwrap();
    let squares: Vec<i64> =
        report.outputs.iter().filter_map(|task| task.data.as_json()?.as_i64()).collect();
    assert_eq!(squares, [4, 9, 16]);
}
