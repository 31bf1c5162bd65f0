//! Ctrl-C and SIGTERM: workers finish their tasks, and waiting tasks are dropped.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pipelines::{Folder, sorted};
use crate::support::CURATOR;

/// Waits until a file has this many lines.
#[track_caller]
fn wait_for_lines(folder: &Folder, name: &str, count: usize) {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(folder.path(name)).unwrap_or_default();
        if text.lines().count() >= count {
            return;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{name} stays as it is: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(handle: &duct::Handle, name: &str) {
    let pid = handle.pids()[0].to_string();
    duct::cmd("kill", [name, &pid]).run().expect("the command runs");
}

#[test]
fn an_interrupt_ends_the_run_in_order() {
    let folder = Folder::numbers(10_000, "{ seconds = 0.05 }");
    let command = ["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "out.jsonl"];
    let handle = folder.expression(&duct::cmd(CURATOR, command)).stderr_capture().start().unwrap();
    wait_for_lines(&folder, "out.jsonl", 3);
    signal(&handle, "-INT");
    let output = handle.wait().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("finishing what is under way"), "{err}");
    // The outputs of all tasks that were read are written.
    let out = sorted(&folder.lines("out.jsonl"), "n");
    let handed_in = out.len();
    assert_eq!(out, (0..handed_in as u64).collect::<Vec<_>>());
    assert!(err.contains(&format!("{handed_in} tasks in, {handed_in} out")), "{err}");
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    let folder = Folder::numbers(10, "{ seconds = 600.0 }");
    let command = ["run", "pipeline.toml", "-i", "tasks.jsonl", "--log-format", "text"];
    let handle = folder.expression(&duct::cmd(CURATOR, command)).stderr_path(folder.path("log"));
    let handle = handle.stdout_null().start().unwrap();
    let begun = Instant::now();
    while !fs::read_to_string(folder.path("log")).unwrap_or_default().contains("worker ready") {
        assert!(begun.elapsed() < Duration::from_mins(1), "no worker");
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&handle, "-INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(handle.try_wait().unwrap().is_none(), "the task under way is not given up");
    signal(&handle, "-INT");
    assert_eq!(handle.wait().unwrap().status.code(), Some(130));
}

/// A stage that notes the start of a task, and takes some time.
const SLOW: &str = r#"
import time


class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def process(self, task):
        with open("begun.txt", "a") as begun:
            begun.write(f"{task.data['n']}\n")
        time.sleep(self.seconds)
        return task
"#;

/// Returns a folder with this many tasks for a worker of that stage.
fn slow(count: usize, seconds: f64) -> Folder {
    let folder = Folder::numbers(count, "{}");
    let text = format!(
        "name = \"test\"\nbase = \"{}\"\n[[stage]]\npython = \"slow.py:Slow\"\n\
         args = {{ seconds = {seconds:?} }}\nnum_workers = 1\n\
         runtime_env = {{ working_dir = \".\" }}\n",
        folder.world.base()
    );
    folder.write("pipeline.toml", &text);
    folder.write("slow.py", SLOW);
    folder
}

const RUN: [&str; 6] = ["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "out.jsonl"];

/// Starts a run, and sends these signals, with a pause between them, once a task has begun.
fn interrupted(folder: &Folder, more: &[&str], signals: &[&str]) -> (Option<i32>, String) {
    let command = duct::cmd(CURATOR, [&RUN[..], more].concat());
    let handle = folder.expression(&command).stderr_capture().start().expect("it starts");
    wait_for_lines(folder, "begun.txt", 1);
    for name in signals {
        signal(&handle, name);
        std::thread::sleep(Duration::from_millis(300));
    }
    let output = handle.wait().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_waits_in_a_full_queue_is_dropped_and_stays_to_be_done() {
    let folder = slow(40, 0.7);
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let kept = format!("kept{signal}");
        let (ended, err) = interrupted(&folder, &["--checkpoint", &kept], &[signal]);
        assert_eq!(ended, Some(code), "{err}");
        assert!(err.contains("stopped before its end"), "{err}");
        let begun = fs::read_to_string(folder.path("begun.txt")).unwrap().lines().count();
        // The tasks that had begun are finished, and no other one has begun.
        assert!(begun <= 2, "{begun} of 40 tasks were begun: {err}");
        assert_eq!(folder.lines("out.jsonl").len(), begun);
        assert!(err.contains(&format!("{begun} task")), "{err}");
        fs::remove_file(folder.path("begun.txt")).unwrap();
    }
    // The same command does the rest.
    let fast = ["--set", "stage.Slow.args.seconds=0.0", "--checkpoint-accept-changes"];
    let run = folder.run(&[&RUN[..], &["--checkpoint", "kept-INT"], &fast].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(sorted(&folder.lines("out.jsonl"), "n"), (0..40).collect::<Vec<u64>>());
}

#[test]
fn a_worker_that_does_not_end_in_time_is_killed_and_the_run_is_summed_up() {
    let folder = slow(40, 600.0);
    let more = ["--stop-grace", "1s", "--report", "report.json"];
    let (code, err) = interrupted(&folder, &more, &["-TERM"]);
    assert_eq!(code, Some(143), "{err}");
    assert!(err.contains("in its code") && err.contains("stopped before its end"), "{err}");
    let report: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    assert_eq!(report["stages"][0]["name"], "Slow");
}

#[test]
fn a_second_signal_ends_it_at_once_with_the_summary() {
    let folder = slow(40, 600.0);
    let more = ["--stop-grace", "1h", "--report", "report.json"];
    let (code, err) = interrupted(&folder, &more, &["-INT", "-INT"]);
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("in its code") && err.contains("stopped before its end"), "{err}");
    assert!(folder.path("report.json").exists());
}

#[test]
fn a_signal_ends_what_builds_an_environment() {
    let folder = slow(3, 0.0);
    let project = folder.path("project");
    fs::create_dir(&project).unwrap();
    let hangs = "import time\nopen('../begun.txt', 'w').write('x\\n')\ntime.sleep(600)\n";
    fs::write(project.join("setup.py"), hangs.replace("..", &folder.text("."))).unwrap();
    let spec = format!("stage.Slow.runtime_env.uv=['{}']", project.display());
    let (code, err) = interrupted(&folder, &["--set", &spec], &["-INT"]);
    assert_eq!(code, Some(130), "{err}");
    assert!(!err.contains("error"), "{err}");
}
