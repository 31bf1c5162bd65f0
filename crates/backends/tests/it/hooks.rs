//! `setup_on_node`, `setup` and `teardown`: each in its place, and exactly once.

use backends::{Error, Event, ExecutorExt};
use serde_json::json;
use stage::Pipeline;

use crate::support::{Notes, local, numbers, one, python, recording, watched};

const NOTING: &str = r#"
import os
class Stage:
    def __init__(self, path, fail=None):
        self.path, self.fail = path, fail
    def note(self, line):
        with open(self.path, "a") as file:
            file.write(line + "\n")
    def setup_on_node(self, context):
        self.note(f"node {context.stage} {context.node}")
        if self.fail == "node":
            raise RuntimeError("no node")
    def setup(self):
        self.note("setup")
        if self.fail == "setup":
            raise RuntimeError("no setup")
    def process(self, task):
        if self.fail == "process":
            raise RuntimeError("no luck")
        return task
    def teardown(self):
        self.note("teardown")
        if self.fail == "teardown":
            raise RuntimeError("no end")
"#;

fn noting(notes: &Notes, fail: Option<&str>) -> Pipeline {
    let args = json!({ "path": notes.path, "fail": fail });
    Pipeline::new("test").with_stage(python(NOTING).with_args(args).with_num_workers(3))
}

#[test]
fn each_hook_runs_once_where_it_belongs() {
    let notes = Notes::new();
    local().run(&noting(&notes, None), numbers(50)).unwrap();
    assert_eq!(notes.count("node stage local"), 1);
    let setups = notes.count("setup");
    assert!((1..=3).contains(&setups), "{setups} workers");
    assert_eq!(notes.count("teardown"), setups);
    assert_eq!(notes.lines()[0], "node stage local", "before any setup");
}

#[test]
fn teardown_runs_after_a_failed_task_too() {
    for executor in [local(), recording()] {
        let notes = Notes::new();
        let _ = executor.run(&noting(&notes, Some("process")), numbers(3));
        assert_eq!(notes.count("teardown"), notes.count("setup"));
        assert!(notes.count("setup") >= 1);
    }
}

#[test]
fn a_set_up_that_raises_ends_the_run_with_its_traceback() {
    for (fail, line) in [("node", "no node"), ("setup", "no setup")] {
        let error = local().run(&noting(&Notes::new(), Some(fail)), numbers(3)).unwrap_err();
        assert!(matches!(error, Error::WorkerSetup { .. }), "{error:?}");
        let report = error.report();
        assert!(report.contains("stage `stage` failed to set up: RuntimeError"), "{report}");
        assert!(report.contains(line) && report.contains("Traceback"), "{report}");
        assert!(!report.contains("/curator_"), "no frame of ours: {report}");
    }
}

#[test]
fn a_teardown_that_raises_is_a_warning() {
    let (result, events) = watched(&local(), &noting(&Notes::new(), Some("teardown")), numbers(3));
    assert_eq!(result.unwrap().outputs.len(), 3);
    assert!(events.iter().any(|event| matches!(event,
        Event::Warning { message, .. } if message.contains("`teardown` raised RuntimeError: no end"))));
}

#[test]
fn code_that_is_not_there_is_named() {
    for (text, expected) in [
        ("class Stag: pass", "has no 'Stage'; it defines Stag"),
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("class Stage:\n  def proces(self, task): pass", "has neither `process(task)` nor"),
        ("Stage = 3", "is neither a class nor a function"),
        ("class Stage:\n  def process(self task): pass", "SyntaxError"),
    ] {
        let error = local().run(&Pipeline::new("test").with_stage(python(text)), numbers(1));
        let report = error.unwrap_err().report();
        assert!(report.contains("stage `stage` cannot be loaded"), "{report}");
        assert!(report.contains(expected), "{expected}: {report}");
    }
}

#[test]
fn hooks_may_be_coroutines_and_what_is_left_of_the_loop_ends_with_the_worker() {
    let notes = Notes::new();
    let text = r#"
import asyncio
class Stage:
    def __init__(self, path):
        self.path = path
    def note(self, line):
        with open(self.path, "a") as file:
            file.write(line + "\n")
    async def setup_on_node(self, context):
        await asyncio.sleep(0)
        self.note(f"node {context.stage}")
    async def setup(self):
        self.background = asyncio.ensure_future(self.run())
        await asyncio.sleep(0)
        self.note("setup")
    async def run(self):
        try:
            await asyncio.sleep(3600)
        finally:
            self.note("background ended")
    def process(self, task):
        return task
    async def teardown(self):
        await asyncio.sleep(0)
        self.note("teardown")
"#;
    let stage = python(text).with_args(json!({ "path": notes.path })).with_num_workers(1);
    let report = local().run(&Pipeline::new("test").with_stage(stage), numbers(3)).unwrap();
    assert_eq!(report.outputs.len(), 3);
    assert_eq!(notes.lines(), ["node stage", "setup", "teardown", "background ended"]);
}

#[test]
fn a_hook_with_a_yield_is_refused_since_nothing_of_it_would_run() {
    for kind in ["def", "async def"] {
        let text = format!(
            "class Stage:\n {kind} setup(self):\n  yield\n def process(self, task): return task"
        );
        let error = local().run(&one(&text), numbers(1)).unwrap_err();
        assert!(error.to_string().contains("`setup` has a `yield`"), "{error}");
    }
}
