//! Stages that raise, exit, crash, hang, flood or lie.

use std::time::Duration;

use backends::worker::Exit;
use backends::{Cause, Error, Event, ExecutorExt, FailedTask};
use serde_json::json;
use stage::Pipeline;

use crate::support::{Notes, local, numbers, one, outputs, python, recording, watched};

/// Returns the only failure of a run that continues, and the number of its outputs.
fn only_failure(text: &str, tasks: usize) -> (FailedTask, usize) {
    let report = recording().run(&one(text), numbers(tasks)).expect("a run");
    assert_eq!(report.failed.len(), 1, "{:?}", report.failed);
    (report.failed[0].clone(), report.outputs.len())
}

#[test]
fn an_exception_has_its_task_stage_traceback_and_log() {
    let text = r#"
class Stage:
    def process(self, task):
        if task.data["n"] == 3:
            print("about to fail", flush=True)
            return self.helper()
        return task
    def helper(self):
        raise ValueError("bad luck")
"#;
    let (failed, others) = only_failure(text, 6);
    assert_eq!(others, 5);
    assert_eq!(failed.tasks[0].to_string(), "0_3");
    assert_eq!(
        failed.to_string(),
        "task 0_3 failed in stage `stage`: it raised ValueError: bad luck"
    );
    let detail = failed.detail();
    assert!(detail.contains("in helper\n    raise ValueError(\"bad luck\")"), "{detail}");
    assert!(!detail.contains("/curator_"), "{detail}");

    let error = local().run(&one(text), numbers(6)).unwrap_err();
    assert!(matches!(&error, Error::Task(failed) if failed.tasks[0].to_string() == "0_3"));
}

#[test]
fn an_exit_is_a_failed_task_and_a_hard_one_a_dead_worker() {
    let soft = "import sys\nclass Stage:\n def process(self, task):\n  if task.data['n'] == 1: sys.exit(7)\n  return task";
    let (failed, others) = only_failure(soft, 3);
    assert!(matches!(&failed.cause, Cause::Raised(error) if error.kind == "SystemExit"));
    assert_eq!(others, 2);

    let hard = "import os, sys\nclass Stage:\n def process(self, task):\n  if task.data['n'] == 1:\n   print('last words', file=sys.stderr)\n   os._exit(7)\n  return task";
    let (failed, others) = only_failure(hard, 20);
    assert_eq!(failed.cause, Cause::Died(Exit::Code(7)));
    assert_eq!((failed.tries, others), (2, 19));
    assert_eq!(failed.tasks[0].to_string(), "0_1");
    assert_eq!(failed.log, ["last words"]);
}

#[test]
fn the_task_that_kills_its_worker_is_found_in_its_batch() {
    let text = "import ctypes\nclass Stage:\n def process_batch(self, tasks):\n  if any(t.data['n'] == 11 for t in tasks): ctypes.string_at(0)\n  return tasks";
    let pipeline = Pipeline::new("test").with_stage(python(text).with_batch_size(8));
    let (result, events) = watched(&recording(), &pipeline, numbers(32));
    let report = result.unwrap();
    assert_eq!(report.outputs.len(), 31);
    let failed = &report.failed[0];
    assert_eq!((failed.tasks.len(), failed.tasks[0].to_string().as_str()), (1, "0_11"));
    assert!(
        failed.to_string().contains("killed by signal 11 (SIGSEGV, segmentation fault)"),
        "{failed}"
    );
    assert!(events.iter().any(|event| matches!(event, Event::Retried { tasks: 8, .. })));

    let error = local().run(&pipeline, numbers(32)).unwrap_err();
    assert!(
        matches!(&error, Error::Task(failed) if failed.tasks[0].to_string() == "0_11"),
        "{error}"
    );
}

#[test]
fn a_worker_that_is_killed_once_costs_nothing() {
    let notes = Notes::new();
    let text = r#"
import os, signal
class Stage:
    def __init__(self, path):
        self.path = path
    def process(self, task):
        if task.data["n"] == 4 and not os.path.exists(self.path):
            open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return task
"#;
    let pipeline = Pipeline::new("test").with_stage(python(text).with_args(json!([notes.path])));
    let report = local().run(&pipeline, numbers(10)).unwrap();
    assert_eq!(report.outputs.len(), 10);
    assert_eq!(report.stages[0].workers, 2);
}

#[test]
fn a_worker_that_dies_as_it_starts_does_not_start_for_ever() {
    let text = "import os\nprint('no way', flush=True)\nos._exit(3)";
    let error = local().run(&one(text), numbers(1)).unwrap_err();
    let report = error.report();
    assert!(
        report.contains("a worker of stage `stage` exited with code 3 before it did anything"),
        "{report}"
    );
    assert!(report.contains("no way"), "{report}");
    let text = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)";
    let (result, events) = watched(&local(), &one(text), numbers(1));
    assert!(matches!(result.unwrap_err(), Error::WorkerDied { exit: Exit::Signal(9), .. }));
    let ended = events.iter().filter(|event| matches!(event, Event::WorkerEnded { .. })).count();
    assert_eq!(ended, 3, "a signal may have been an accident");
}

#[test]
fn a_task_past_its_deadline_ends_with_its_worker() {
    let text = "import time\nclass Stage:\n def process(self, task):\n  if task.data['n'] == 2: time.sleep(600)\n  return task";
    let stage = python(text).with_task_timeout(Duration::from_secs(3));
    let report = recording().run(&Pipeline::new("test").with_stage(stage), numbers(6)).unwrap();
    assert_eq!(report.outputs.len(), 5);
    let failed = &report.failed[0];
    assert_eq!(failed.tasks[0].to_string(), "0_2");
    assert_eq!(failed.cause, Cause::Deadline(Duration::from_secs(3)));
}

#[test]
fn floods_of_output_harm_nothing_and_the_last_lines_are_kept() {
    let text = r#"
import os, sys
class Stage:
    def process(self, task):
        print("x" * 3_000_000)
        os.write(1, b"CU\x01\x43" + b"\0" * 100 + b"\n")  # as C code would, and like a frame
        sys.stderr.write("line\n" * 50_000)
        if task.data["n"] == 1:
            raise RuntimeError("after the flood")
        return task
"#;
    let (failed, others) = only_failure(text, 3);
    assert_eq!(others, 2);
    assert!(failed.log.len() <= 40 && failed.log.iter().any(|line| line == "line"));
}

#[test]
fn a_worker_that_writes_nonsense_into_the_socket_is_ended() {
    // Finds the control socket, the worker's only socket, and writes into it.
    let text = r#"
import os, stat
class Stage:
    def process(self, task):
        if task.data["n"] == 1:
            for fd in range(3, 64):
                try:
                    if stat.S_ISSOCK(os.fstat(fd).st_mode):
                        os.write(fd, b"nonsense" * 8)
                except OSError:
                    pass
        return task
"#;
    let (failed, others) = only_failure(text, 4);
    assert_eq!(others, 3);
    assert!(matches!(&failed.cause, Cause::Protocol(_)), "{failed:?}");
}

#[test]
fn a_stage_may_try_its_tasks_again() {
    let notes = Notes::new();
    let text = r#"
class Stage:
    def __init__(self, path):
        self.path = path
    def process(self, task):
        with open(self.path, "a+") as file:
            file.write(f"{task.id}\n")
            file.seek(0)
            tries = file.read().split().count(task.id)
        if tries < 3:
            raise RuntimeError("not yet")
        return tries
"#;
    let stage = python(text).with_args(json!([notes.path]));
    let pipeline = Pipeline::new("test").with_stage(stage.clone().with_max_attempts(3));
    let report = local().run(&pipeline, numbers(4)).unwrap();
    assert!(outputs(&report).iter().all(|(_, tries)| tries == 3), "{:?}", outputs(&report));
    let notes = Notes::new();
    let stage = python(text).with_args(json!([notes.path])).with_max_attempts(2);
    let error = local().run(&Pipeline::new("test").with_stage(stage), numbers(1)).unwrap_err();
    assert!(error.to_string().contains("after 2 tries"), "{error}");
}
