//! `run --failed`: a task is either in the file, or its outputs are in the results, never both.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::pipelines::Folder;

const STAGES: &str = r#"
from curator_stage import Aggregate


def fan(task):
    return task.data["parts"]


def together(tasks):
    return Aggregate([{"ids": [i for task in tasks for i in task.data["ids"]],
                       "bad": any(task.data["bad"] for task in tasks)}])


class Together:
    def process_batch(self, tasks):
        return together(tasks)


class Check:
    def __init__(self, mended=False):
        self.mended = mended

    def process(self, task):
        if task.data["bad"] and not self.mended:
            raise ValueError(f"{task.data['ids']} is bad")
        return task
"#;

fn stage(code: &str, more: &str) -> String {
    format!("\n[[stage]]\npython = \"work.py:{code}\"\n{more}\n")
}

/// Makes a pipeline that splits each task into parts and fails on the bad ones; with `batch`, on
/// aggregates of up to this many parts.
fn folder(tasks: &[Vec<bool>], batch: Option<usize>) -> Folder {
    let middle =
        batch.map_or(String::new(), |size| stage("Together", &format!("batch_size = {size}")));
    let folder = Folder::new(&(stage("fan", "") + &middle + &stage("Check", "")));
    folder.write("work.py", STAGES);
    let lines = tasks.iter().zip(0..).map(|(parts, task)| {
        let parts = parts
            .iter()
            .zip(0..)
            .map(|(bad, part)| json!({ "ids": [format!("{task}.{part}")], "bad": bad }));
        json!({ "parts": parts.collect::<Vec<Value>>() }).to_string()
    });
    folder.write("tasks.jsonl", &lines.collect::<Vec<_>>().join("\n"));
    folder
}

/// Returns the parts in a file of results, sorted.
fn parts(folder: &Folder, file: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in folder.lines(file) {
        let ids = line["ids"].as_array().expect("a list").iter();
        parts.extend(ids.map(|id| id.as_str().expect("text").to_owned()));
    }
    parts.sort();
    parts
}

/// Runs, repairs the fault, runs again over the failed tasks, and returns both outputs.
fn both(folder: &Folder, more: &[&str]) -> (Vec<String>, Vec<String>) {
    let run = ["run", "pipeline.toml", "--input", "tasks.jsonl", "--output", "out.jsonl"];
    folder.run(&[&run[..], &["--failed", "failed.jsonl"], more].concat());
    let again = ["run", "pipeline.toml", "--input", "failed.jsonl", "--output", "again.jsonl"];
    let mended = ["--set", "stage.Check.args.mended=true"];
    let run = folder.run(&[&again[..], &mended].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    (parts(folder, "out.jsonl"), parts(folder, "again.jsonl"))
}

#[test]
fn a_task_of_which_one_part_failed_comes_again_whole_and_once() {
    let folder = folder(&[vec![false, false, true, false, false], vec![false, false]], None);
    let (out, again) = both(&folder, &[]);
    assert_eq!(out, ["1.0", "1.1"]);
    assert_eq!(again, ["0.0", "0.1", "0.2", "0.3", "0.4"]);
    let failed = folder.lines("failed.jsonl");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["failures"].as_array().map(Vec::len), Some(1));
    assert_eq!(failed[0]["failures"][0]["stage"], "Check");
}

#[test]
fn results_that_are_left_out_are_told() {
    let folder = folder(&[vec![false, true, false]], None);
    let run = ["run", "pipeline.toml", "--input", "tasks.jsonl", "--failed", "failed.jsonl"];
    let run = folder.run(&run);
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.err);
    assert!(run.err.contains("2 results left out: other parts of the tasks"), "{}", run.err);
}

/// If an aggregate has failed and whole parents, both come again.
#[test]
fn tasks_that_share_an_aggregate_come_again_together() {
    let tasks = [vec![false], vec![false, true]];
    let folder = folder(&tasks, Some(2));
    let (out, again) = both(&folder, &[]);
    assert_eq!(out, [""; 0]);
    assert_eq!(again, ["0.0", "1.0", "1.1"]);
    let failed = folder.lines("failed.jsonl");
    assert!(failed.iter().all(|line| line["failures"][0]["message"].is_string()), "{failed:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("CURATOR_TEST_ALL").is_some() { 60 } else { 4 },
        failure_persistence: None,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    })]

    /// Whatever each task becomes and whichever parts fail: the outputs of the first run and of the
    /// repaired second run hold each part once; with a checkpoint, too.
    #[test]
    fn what_came_out_and_what_comes_again_is_each_part_once(
        tasks in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.2), 0..5), 1..9),
        batch in prop::option::of(1_usize..4),
        is_kept in any::<bool>(),
    ) {
        let folder = folder(&tasks, batch);
        let (out, again) = both(&folder, if is_kept { &["--checkpoint", "kept"] } else { &[] });
        let mut found: Vec<String> = out.iter().chain(&again).cloned().collect();
        found.sort();
        let mut all: Vec<String> = Vec::new();
        for (task, parts) in tasks.iter().enumerate() {
            all.extend((0..parts.len()).map(|part| format!("{task}.{part}")));
        }
        all.sort();
        prop_assert_eq!(&found, &all, "{:?}", fs::read_to_string(folder.path("failed.jsonl")));
        // A task that shares nothing with a failure does not run again.
        if batch.is_none() {
            for (task, parts) in tasks.iter().enumerate() {
                let is_bad = parts.contains(&true);
                let prefix = format!("{task}.");
                prop_assert!(again.iter().any(|part| part.starts_with(&prefix)) == is_bad);
            }
        }
    }
}
