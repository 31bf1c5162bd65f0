//! Workers that are forked from a template are what started ones are, and cost no import.

use std::collections::BTreeSet;
use std::time::Duration;

use backends::{Cause, Error, Event, ExecutorExt, LocalExecutor, RunReport};
use serde_json::{Value, json};
use stage::{Pipeline, PythonStage};

use crate::support::{Notes, assert_ends, is_alive, local, numbers, outputs, python, recording, watched};

/// The same with workers that are started, each by itself.
fn plain() -> LocalExecutor {
    local().with_templates(false)
}

/// A stage of so many workers.
fn several(text: &str, workers: usize) -> PythonStage {
    python(text).with_num_workers(workers)
}

fn run_of(stage: PythonStage, tasks: usize) -> RunReport {
    let result = local().run(&Pipeline::new("test").with_stage(stage), numbers(tasks));
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// What the stages said, each value once.
fn said(report: &RunReport) -> BTreeSet<String> {
    outputs(report).into_iter().map(|(_, value)| value.to_string()).collect()
}

/// Tells what is its own, and holds each task until all workers have one.
const OWN: &str = r"
import os, random, uuid, time
class Stage:
    def __init__(self, what):
        self.what = what
    def setup(self):
        self.own = eval(self.what)
    def process(self, task):
        time.sleep(0.05)
        return self.own
";

#[test]
fn what_is_random_or_an_id_differs_among_forked_workers() {
    for what in ["os.getpid()", "random.random()", "str(uuid.uuid1())", "os.getpgrp()"] {
        let report = run_of(several(OWN, 4).with_args(json!({ "what": what })), 40);
        assert_eq!((report.stages[0].forked, &report.stages[0].not_forked), (4, &None));
        assert_eq!(said(&report).len(), 4, "{what}");
    }
}

/// Notes each time that the file is run, and by whom.
const EFFECT: &str = r"
import os, sys
NOTES = 'NOTES_PATH'
with open(NOTES, 'a') as file:
    file.write(f'loaded {os.getpid()}\n')
class Stage:
    def setup(self):
        with open(NOTES, 'a') as file:
            file.write(f'setup {os.getpid()} {os.getppid()}\n')
    def process(self, task):
        return task
";

#[test]
fn a_stages_file_runs_once_in_each_worker_and_never_in_the_template() {
    let notes = Notes::new();
    let text = EFFECT.replace("NOTES_PATH", notes.path.to_str().unwrap());
    let report = run_of(several(&text, 3), 3);
    assert_eq!(report.stages[0].forked, 3);
    let lines = notes.lines();
    let firsts = |word: &str| -> Vec<&str> {
        let rest = lines.iter().filter_map(|line| line.strip_prefix(word));
        rest.filter_map(|rest| rest.split_whitespace().next()).collect()
    };
    let (mut loaded, mut set_up) = (firsts("loaded "), firsts("setup "));
    loaded.sort_unstable();
    set_up.sort_unstable();
    assert_eq!(loaded.len(), 3, "{lines:?}");
    assert_eq!(loaded, set_up);
    let parents: BTreeSet<_> =
        lines.iter().filter_map(|line| line.strip_prefix("setup ")?.split(' ').nth(1)).collect();
    assert_eq!(parents.len(), 1, "one template: {lines:?}");
    assert!(parents.iter().all(|parent| !loaded.contains(parent)), "{lines:?}");
}

/// What is imported before anything else happens is there before the file runs, and nothing that
/// comes after.
#[test]
fn imports_up_to_the_first_statement_that_does_something_are_made_before_the_fork() {
    let text = r#"
"""A text."""
from __future__ import annotations
import wave
NAME = "x"
from xml.dom import minidom
import os
os.environ["BEFORE"] = "1"
import smtplib
import sys
class Stage:
    def process(self, task):
        return sorted(set(MODULES) & {"wave", "xml.dom.minidom", "smtplib"})
"#;
    // What was there before the file: its own import of `sys` runs later than this.
    let text = text.replace("import wave", "import sys; MODULES = list(sys.modules)\nimport wave");
    // `list(…)` does something, so that nothing but `sys` is found so.
    let report = run_of(several(&text, 2), 2);
    assert_eq!(said(&report), BTreeSet::from(["[]".to_owned()]));
    let text = text.replace("import sys; MODULES = list(sys.modules)\n", "").replace(
        "os.environ[\"BEFORE\"] = \"1\"",
        "import sys\nMODULES = list(sys.modules)\nFIRST = os.getppid()",
    );
    let report = run_of(several(&text, 2), 2);
    assert_eq!(report.stages[0].forked, 2);
    assert_eq!(said(&report).len(), 1);
}
