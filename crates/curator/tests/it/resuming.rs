//! `run --checkpoint`: finished tasks stay finished, however the run ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::pipelines::{Folder, lines, sorted};
use crate::support::CURATOR;

/// Two stages: the first makes two tasks of each and drops some, the second notes its work.
const STAGES: &str = r#"
import os, time


def double(task):
    n = task.data["n"]
    return None if n % 10 == 9 else [{"n": n, "half": 0}, {"n": n, "half": 1}]


class Work:
    def __init__(self, bad=None):
        self.bad = bad

    def process(self, task):
        time.sleep(0.004)
        with open("done.txt", "a") as done:
            done.write(f"{task.data['n']}\n")
        if task.data["n"] == self.bad:
            raise ValueError("not yet")
        return task
"#;

const PIPELINE: &str = "[[stage]]\npython = \"work.py:double\"\n\n\
    [[stage]]\npython = \"work.py:Work\"\nnum_workers = 2\n\
    runtime_env = { working_dir = \".\" }\n";

fn folder(count: usize) -> Folder {
    let folder = Folder::numbers(count, "{}");
    let text = format!("name = \"test\"\nbase = \"{}\"\n{PIPELINE}", folder.world.base());
    folder.write("pipeline.toml", &text);
    folder.write("work.py", STAGES);
    folder
}

const RUN: [&str; 8] = [
    "run",
    "pipeline.toml",
    "--input",
    "tasks.jsonl",
    "--output",
    "out.jsonl",
    "--checkpoint",
    "kept",
];

const ACCEPT: &str = "--checkpoint-accept-changes";

/// Returns the numbers of the tasks that the record calls finished, without a broken last line.
fn finished(folder: &Folder) -> BTreeSet<u64> {
    let text = fs::read_to_string(folder.path("kept/journal.jsonl")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let entries = whole.map(|line| serde_json::from_str::<Value>(line).expect("a whole line"));
    let numbers = entries.flat_map(|entry| {
        let tasks = entry["tasks"].as_object().expect("numbers").clone();
        tasks.into_iter().map(|(number, _)| number.parse().expect("a number"))
    });
    numbers.collect()
}

/// Returns the tasks that the second stage has worked on, in order.
fn worked_on(folder: &Folder) -> Vec<u64> {
    let text = fs::read_to_string(folder.path("done.txt")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[test]
fn a_run_that_is_killed_at_any_instant_loses_nothing_and_repeats_only_what_was_under_way() {
    const COUNT: usize = 400;
    let folder = folder(COUNT);
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut kills = 0;
    loop {
        let before = finished(&folder);
        let already = worked_on(&folder).len();
        let handle = folder.expression(&duct::cmd(CURATOR, RUN)).stderr_capture().start().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
        let patience = Duration::from_millis(150 + (random >> 33) % 500);
        let ended = handle.wait_timeout(patience).unwrap().map(|output| output.status.code());
        if ended.is_none() {
            // The command alone: its workers must end by themselves.
            let pid = handle.pids()[0].to_string();
            duct::cmd!("kill", "-KILL", pid).run().unwrap();
            handle.wait().unwrap();
            kills += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        let after = finished(&folder);
        assert!(after.is_superset(&before), "what is finished stays so");
        let repeated = worked_on(&folder).split_off(already);
        assert!(repeated.iter().all(|n| !before.contains(n)), "nothing finished is done again");
        if let Some(code) = ended {
            assert_eq!(code, Some(0));
            break;
        }
        assert!(kills < 100, "no end, with {} finished", after.len());
    }
    assert!(kills >= 2, "{kills} kills");
    // Every result once, in the order of the input.
    let expected: Vec<Value> = (0..COUNT as u64)
        .filter(|n| n % 10 != 9)
        .flat_map(|n| [json!({ "n": n, "half": 0 }), json!({ "n": n, "half": 1 })])
        .collect();
    assert_eq!(folder.lines("out.jsonl"), expected);
    // The queues bound the tasks that were under way at a kill; all others ran once.
    let mut counts = BTreeMap::<u64, usize>::new();
    for n in worked_on(&folder) {
        *counts.entry(n).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count <= 2 * (kills + 1)));

    // Once more: there is nothing left to do.
    let done = worked_on(&folder).len();
    let run = folder.run(&RUN);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("400 tasks finished by earlier runs"), "{}", run.err);
    assert_eq!(worked_on(&folder).len(), done);
    assert_eq!(folder.lines("out.jsonl"), expected);
}

#[test]
fn what_failed_is_done_again_and_ids_are_those_of_one_run() {
    let folder = folder(20);
    let bad = ["--set", "stage.Work.name='Work'", "--failed", "failed.jsonl", "--whole-tasks"];
    folder.write("work.py", &STAGES.replace("bad=None", "bad=3"));
    let run = folder.run(&[&RUN[..], &bad].concat());
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert_eq!(folder.lines("failed.jsonl").len(), 1, "one task, though both its halves failed");
    assert_eq!(finished(&folder).len(), 19);
    folder.write("work.py", STAGES);
    let run = folder.run(&[&RUN[..], &bad, &[ACCEPT]].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(folder.lines("failed.jsonl").is_empty());
    let out = folder.lines("out.jsonl");
    let data: Vec<Value> = out.iter().map(|task| task["data"]["json"].clone()).collect();
    let expected: Vec<u64> = (0..20).filter(|n| n % 10 != 9).flat_map(|n| [n, n]).collect();
    assert_eq!(sorted(&data, "n"), expected);
    for (task, data) in out.iter().zip(&data) {
        assert_eq!(task["id"], format!("0_{}_{}_0", data["n"], data["half"]));
    }
}

#[test]
fn another_pipeline_or_another_input_is_refused() {
    let folder = folder(3);
    assert_eq!(folder.run(&RUN).code, Some(0));
    let with = |set: &str| folder.run(&[&RUN[..], &["--set", set]].concat());
    with("stage.Work.args={ bad = 5 }").fails(2, "stage `Work` had other arguments");
    with("stage.Work.runtime_env={ uv = ['packaging==24.0'] }").fails(2, "had other packages");
    with("name='other'").fails(2, "it is of pipeline `test`");
    assert_eq!(with("stage.Work.num_workers=1").code, Some(0));

    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":7}\n{\"n\":2}\n");
    folder.run(&RUN).fails(2, "input task 1 is not the one");
    // More tasks are fine.
    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":5}\n");
    assert_eq!(folder.run(&RUN).code, Some(0));
    assert_eq!(sorted(&lines(&folder.read("out.jsonl")), "n"), [0, 0, 1, 1, 2, 2, 5, 5]);
}

/// Stages with every kind of part that can change.
const CHANGING: &str = "[[stage]]\npython = \"work.py:Work\"\nbatch_size = 1\n\
    runtime_env = { working_dir = \"dir\", py_modules = [\"mods/pkg\"], \
    env_vars = { MODE = \"one\", API_TOKEN = \"hush-hush-hush\" } }\n";

fn changing() -> Folder {
    let folder = Folder::numbers(3, "{}");
    let text = format!("name = \"test\"\nbase = \"{}\"\n{CHANGING}", folder.world.base());
    folder.write("pipeline.toml", &text);
    folder.write(
        "work.py",
        "import helper, inner\nimport pkg\nclass Work:\n    def process(self, task):\n        return task\n",
    );
    for (name, text) in [
        ("helper.py", "import below.deep\n"),
        ("other.py", "\n"),
        ("below/deep.py", "N = 1\n"),
        ("dir/inner.py", "N = 1\n"),
        ("dir/notes.txt", "one\n"),
        ("mods/pkg/__init__.py", "N = 1\n"),
        ("mods/pkg/words.txt", "one\n"),
    ] {
        let path = folder.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of ours");
        folder.write(name, text);
    }
    assert_eq!(folder.run(&RUN).code, Some(0));
    folder
}

#[test]
fn changed_work_is_refused_by_name_and_can_be_accepted() {
    let folder = changing();
    let changes: [(&str, &str); 6] = [
        ("work.py", "stage `Work` had another `work.py`"),
        ("helper.py", "stage `Work` had another `helper.py`"),
        ("below/deep.py", "stage `Work` had another `below/deep.py`"),
        ("dir/inner.py", "stage `Work` had another `inner.py`"),
        ("mods/pkg/__init__.py", "stage `Work` had another `pkg`"),
        ("mods/pkg/words.txt", "stage `Work` had another `pkg`"),
    ];
    for (file, words) in changes {
        let before = folder.read(file);
        folder.write(file, &format!("{before}\nM = 2\n"));
        let run = folder.run(&RUN);
        run.fails(2, words);
        run.fails(2, "--checkpoint-accept-changes");
        folder.write(file, &before);
        assert_eq!(folder.run(&RUN).code, Some(0), "{file} is as it was");
    }
    // Files that are not named, and files that are no code, may change.
    folder.write("other.py", "M = 2\n");
    folder.write("dir/notes.txt", "two\n");
    assert_eq!(folder.run(&RUN).code, Some(0));

    let with = |set: &str| folder.run(&[&RUN[..], &["--set", set]].concat());
    with("stage.Work.runtime_env.env_vars.MODE='two'").fails(2, "another `MODE` in `env_vars`");
    with("stage.Work.runtime_env.env_vars.API_TOKEN='x'")
        .fails(2, "another `API_TOKEN` in `env_vars`");
    with("stage.Work.runtime_env.env_vars.NEW='x'").fails(2, "another `NEW` in `env_vars`");
    with("stage.Work.batch_size=2").fails(2, "another `batch_size`");
    with("stage.Work.runtime_env.working_dir='mods'").fails(2, "another `working_dir`");
    with("base={ uv = ['packaging==24.0'] }").fails(2, "the base had");
    assert_eq!(with("stage.Work.num_workers=2").code, Some(0));

    folder.write("helper.py", "import below.deep\nM = 2\n");
    let run = folder.run(&[&RUN[..], &[ACCEPT]].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(folder.lines("out.jsonl").len(), 3);
    assert_eq!(folder.run(&RUN).code, Some(0), "from now on it is the checkpoint of this");
}

#[test]
fn a_checkpoint_tells_no_secret_and_no_digest_of_one_that_could_be_looked_up() {
    let folder = changing();
    let text = folder.read("kept/checkpoint.json");
    assert!(text.contains("API_TOKEN") && !text.contains("hush-hush-hush"), "{text}");
    let digest = duct::cmd!("sha256sum").stdin_bytes("hush-hush-hush").read().unwrap();
    assert!(!text.contains(&digest[..16]), "{text}");
    let other = changing().read("kept/checkpoint.json");
    let token = |text: &str| {
        let parts: Value = serde_json::from_str(text).unwrap();
        parts["stages"][0]["parts"]["another `API_TOKEN` in `env_vars`"].clone()
    };
    assert!(token(&text).is_string());
    assert_ne!(token(&text), token(&other), "two checkpoints of one secret");
}

#[test]
fn an_input_that_is_shorter_or_other_is_refused_and_can_be_accepted() {
    let folder = folder(4);
    assert_eq!(folder.run(&RUN).code, Some(0));
    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":7}\n");
    folder.run(&RUN).fails(2, "input task 1 is not the one");
    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":1}\n");
    let run = folder.run(&RUN);
    run.fails(2, "the checkpoint has finished input task 3, and the input has only 2");
    run.fails(2, "--checkpoint-accept-changes");
    assert_eq!(folder.lines("out.jsonl").len(), 8, "the older output is as it was");
    folder.write("tasks.jsonl", "{\"n\":0}\n{\"n\":7}\n");
    let before = worked_on(&folder).len();
    let run = folder.run(&[&RUN[..], &[ACCEPT]].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(sorted(&folder.lines("out.jsonl"), "n"), [0, 0, 7, 7]);
    assert_eq!(worked_on(&folder).split_off(before), [7, 7], "only what has changed is done again");
}

#[test]
fn damage_to_the_record_is_told_and_only_what_stood_there_is_done_again() {
    let folder = folder(9);
    assert_eq!(folder.run(&RUN).code, Some(0));
    let expected = folder.lines("out.jsonl");
    let journal = folder.read("kept/journal.jsonl");
    let mut lines: Vec<String> = journal.lines().map(str::to_owned).collect();
    let entry: Value = serde_json::from_str(&lines[2]).unwrap();
    let task: u64 = entry["tasks"].as_object().unwrap().keys().next().unwrap().parse().unwrap();
    // Still JSON, of the same length, and wrong.
    lines[2] = lines[2].replace("\"half\":1", "\"half\":9");
    assert_ne!(lines.join("\n"), journal.trim_end());
    folder.write("kept/journal.jsonl", &(lines.join("\n") + "\n"));
    let before = worked_on(&folder).len();
    let run = folder.run(&RUN);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("was damaged (`journal.jsonl`, line 3)"), "{}", run.err);
    assert_eq!(folder.lines("out.jsonl"), expected);
    assert_eq!(worked_on(&folder).split_off(before), [task, task]);
    let run = folder.run(&RUN);
    assert!(!run.err.contains("damaged"), "{}", run.err);
    assert_eq!(folder.lines("out.jsonl"), expected);
}
