//! Faults of the past, and near misses: turns at devices under back-pressure, panics of callers'
//! code, blame, data that a stage continues to change, and many tasks under random kills.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use backends::{Cause, Error, Event, Executor, ExecutorExt, Plan};
use serde_json::json;
use stage::{BoxError, Context, Pipeline, Resources, RustStage, Task};

use crate::support::{Notes, local, numbers, one, outputs, python, recording, watched};

const PASS: &str = "class Stage:\n def process(self, task): return task";

/// Fails instead of hanging, so that a deadlock does not take the whole suite with it.
fn within<T: Send + 'static>(seconds: u64, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || drop(sender.send(body())));
    receiver.recv_timeout(Duration::from_secs(seconds)).expect("an end in time")
}

#[test]
fn stages_take_turns_at_a_device_however_much_waits_between_them() {
    let report = within(60, || {
        let stage = |name: &str| {
            let resources = Resources::cpus(1.0).with_gpus(1.0);
            python(PASS).with_name(name).with_resources(resources)
        };
        let pipeline = Pipeline::new("test").with_stage(stage("a")).with_stage(stage("b"));
        local().with_devices(["7"]).run(&pipeline, numbers(2000)).unwrap()
    });
    assert_eq!(report.outputs.len(), 2000);
    let workers: u64 = report.stages.iter().map(|stage| stage.workers).sum();
    assert!(workers < 60, "{workers} workers took turns");
}

#[test]
fn a_device_is_not_passed_around_while_there_is_nothing_to_do() {
    let report = within(60, || {
        let stage = |name: &str| {
            let resources = Resources::cpus(1.0).with_gpus(1.0);
            python(PASS).with_name(name).with_resources(resources)
        };
        let pipeline = Pipeline::new("test").with_stage(stage("a")).with_stage(stage("b"));
        let slow = numbers(2).inspect(|_| std::thread::sleep(Duration::from_secs(2)));
        local().with_devices(["7"]).run(&pipeline, slow).unwrap()
    });
    let workers: u64 = report.stages.iter().map(|stage| stage.workers).sum();
    assert!(workers <= 6, "{workers} workers for two tasks");
}

#[test]
fn a_panic_of_the_observer_reaches_the_caller() {
    for what in ["done", "ready", "log", "environment"] {
        let caught = within(30, move || {
            let observer = move |event: &Event| {
                let is_it = matches!(
                    (what, event),
                    ("done", Event::BatchDone { .. })
                        | ("ready", Event::WorkerReady { .. })
                        | ("log", Event::Log { .. })
                        | ("environment", Event::EnvironmentReady { .. })
                );
                assert!(!is_it, "the observer panics");
            };
            let text = "class Stage:\n def process(self, task):\n  print('line')\n  return task";
            std::panic::catch_unwind(AssertUnwindSafe(|| {
                local().run_observed(&one(text), numbers(20), Arc::new(observer))
            }))
            .map(|result| result.map(|report| report.outputs.len()))
        });
        assert!(caught.is_err(), "{what}: {caught:?}");
    }
}

#[test]
fn the_task_that_hangs_is_blamed_and_not_the_one_before_it() {
    let text = "import time\nclass Stage:\n def process(self, task):\n  if task.data['n'] == 150: time.sleep(600)\n  return task";
    for _ in 0..3 {
        let stage = python(text).with_task_timeout(Duration::from_secs(1)).with_num_workers(1);
        let pipeline = Pipeline::new("test").with_stage(stage);
        let report = recording().run(&pipeline, numbers(300)).unwrap();
        let failed: Vec<String> =
            report.failed.iter().map(|failed| failed.tasks[0].to_string()).collect();
        assert_eq!(failed, ["0_150"]);
        assert_eq!(report.outputs.len(), 299);
    }
}

#[test]
fn hooks_may_be_decorated() {
    let text = r#"
import functools
def quiet(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
class Call:
    def __call__(self, context):
        self.stage = context.stage
def late(seen, context):
    seen.append(context.worker)
class Stage:
    call = Call()
    def __init__(self):
        self.seen = []
        self.teardown = functools.partial(print, "end")
    @quiet
    def setup_on_node(self):
        self.seen.append("node")
    @quiet
    def setup(self, context):
        self.seen.append(context.stage)
    def process(self, task):
        return {"seen": self.seen}
"#;
    let (result, events) = watched(&local(), &one(text), numbers(1));
    let report = result.unwrap();
    assert_eq!(outputs(&report)[0].1, json!({ "seen": ["node", "stage"] }));
    let lines = events.iter().filter(|event| matches!(event, Event::Log { .. })).count();
    assert_eq!(lines, 1, "{events:?}");
    let text = r#"
import functools
def late(seen, context):
    seen.append(context.stage)
class Stage:
    def __init__(self):
        self.seen = []
        self.setup = functools.partial(late, self.seen)
    def process(self, task):
        return {"seen": self.seen}
"#;
    let report = local().run(&one(text), numbers(1)).unwrap();
    assert_eq!(outputs(&report)[0].1, json!({ "seen": ["stage"] }));
}

#[test]
fn what_a_stage_goes_on_changing_is_sent_as_it_was_returned() {
    let text = r#"
from curator_stage import Task
class Stage:
    def __init__(self):
        self.buffer = bytearray()
        self.metadata = {}
    def process(self, task):
        self.buffer.clear()
        self.buffer.extend(b"%d" % task.data["n"])
        self.metadata["n"] = task.data["n"]
        return Task(self.buffer, self.metadata)
"#;
    let pipeline = Pipeline::new("test").with_stage(python(text).with_batch_size(5));
    let report = local().run(&pipeline, numbers(20)).unwrap();
    assert_eq!(report.outputs.len(), 20);
    for (number, output) in report.outputs.iter().enumerate() {
        assert_eq!(output.data.as_bytes().unwrap(), number.to_string().as_bytes());
        assert_eq!(output.metadata["n"], json!(number));
    }
}

#[test]
fn metadata_that_cannot_travel_is_its_tasks_failure_alone() {
    let text = r#"
from curator_stage import Task
class Stage:
    def process(self, task):
        return [
            Task(1, {"\ud800": 1}), Task(1, {float("nan"): 1}), Task(1, {}, "\ud800"), Task(1, {"a": {1}}), Task(1),
        ][task.data["n"]]
"#;
    let pipeline = Pipeline::new("test").with_stage(python(text).with_batch_size(5));
    let report = recording().run(&pipeline, numbers(5)).unwrap();
    assert_eq!(report.outputs.len(), 1);
    assert_eq!(report.failed.len(), 4);
    for failed in &report.failed {
        let is_raised = matches!(&failed.cause, Cause::Raised(error) if error.kind == "TypeError");
        assert!(is_raised, "{failed}");
    }
}

#[test]
fn a_forked_child_that_leaves_through_an_exception_is_no_second_worker() {
    let text = r#"
import os, sys
class Stage:
    def process(self, task):
        child = os.fork()
        if child == 0:
            if task.data["n"] % 3 == 0:
                sys.exit(0)
            if task.data["n"] % 3 == 1:
                raise RuntimeError("only in the child")
            return "from the child"
        os.waitpid(child, 0)
        return os.getpid()
"#;
    let stage = python(text).with_num_workers(1);
    let report = recording().run(&Pipeline::new("test").with_stage(stage), numbers(12)).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!((report.outputs.len(), report.stages[0].workers), (12, 1));
}

#[test]
fn a_worker_that_dies_while_it_has_nothing_to_do_does_not_start_for_ever() {
    let text = "import os, threading\nclass Stage:\n def setup(self): threading.Timer(0.05, os._exit, [3]).start()\n def process(self, task): return task";
    let error = within(30, move || {
        let slow = numbers(1).inspect(|_| std::thread::sleep(Duration::from_secs(10)));
        local().run(&one(text), slow).map(|report| report.stages[0].workers)
    })
    .unwrap_err();
    assert!(error.report().contains("exited with code 3"), "{}", error.report());
}

#[test]
fn a_worker_that_says_goodbye_instead_of_answering_is_blamed() {
    let text = r#"
import gc
class Stage:
    def process(self, task):
        channel = next(it for it in gc.get_objects() if type(it).__name__ == "Channel")
        channel.send(69, 0, b"{}")
        channel.flush()
        return task
"#;
    let report = within(60, move || recording().run(&one(text), numbers(1)).unwrap());
    let failed = report.failed[0].to_string();
    assert!(failed.contains("it left without being told to"), "{failed}");
}

#[test]
fn a_worker_that_is_no_longer_needed_does_not_hold_up_the_run() {
    let notes = Notes::new();
    let text = r"
import os, time
class Stage:
    def __init__(self, path):
        self.path = path
    def setup(self):
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            time.sleep(600)
    def process(self, task):
        time.sleep(0.02)
        return task
";
    let stage = python(text).with_args(json!([notes.path]));
    let report = within(60, move || {
        local().with_cpus(4).run(&Pipeline::new("test").with_stage(stage), numbers(100)).unwrap()
    });
    assert_eq!((report.outputs.len(), report.stages[0].workers), (100, 1));
}

/// The body of the next test, in a process of its own, since other tests open files too.
#[test]
fn helper_that_counts_files() {
    if std::env::var_os("CURATOR_TEST_FILES").is_none() {
        return;
    }
    let text = "import os\nclass Stage:\n def process(self, task):\n  if task.data['n'] % 5 == 1: os._exit(1)\n  return task";
    let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
    let counts: Vec<(usize, usize)> = (0..4)
        .map(|_| {
            recording().run(&one(text), numbers(12)).unwrap();
            (count("/proc/self/fd"), count("/proc/self/task"))
        })
        .collect();
    assert!(counts.iter().all(|(files, _)| *files == counts[0].0), "{counts:?}");
    // A joined thread may take a moment to disappear.
    assert!(counts.iter().all(|(_, threads)| *threads <= counts[0].1 + 2), "{counts:?}");
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    assert_eq!(children, "", "children that were not reaped");
}

#[test]
fn runs_leave_no_open_file_thread_or_zombie_behind() {
    let program = std::env::current_exe().unwrap();
    let output = duct::cmd(program, ["--exact", "worst_moments::helper_that_counts_files"])
        .env("CURATOR_TEST_FILES", "1")
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn data_that_rust_cannot_read_is_a_failed_task_of_the_stage_that_made_it() {
    let text = r"
import gc
class Stage:
    def process(self, task):
        if task.data['n'] == 1:
            worker = next(it for it in gc.get_objects() if type(it).__name__ == 'Worker')
            worker._write = lambda value: '{'
        return task
";
    let report = recording().run(&one(text), numbers(3)).unwrap();
    assert_eq!(report.outputs.len(), 2);
    assert_eq!(report.failed[0].stage, "stage");
    assert_eq!(report.failed[0].tasks[0].to_string(), "0_1_0");
    assert_eq!(report.stages[0].failed, 1);
    assert!(matches!(local().run(&one(text), numbers(3)), Err(Error::Task(_))));
    let after = RustStage::from_fn("after", |task: Task, _: &mut Context| Ok::<_, BoxError>(task));
    let report = recording().run(&one(text).with_stage(after), numbers(3)).unwrap();
    assert_eq!((report.outputs.len(), report.failed[0].stage.as_str()), (2, "stage"));
}

#[test]
fn every_task_is_counted_once_whatever_became_of_it() {
    let notes = Notes::new();
    let text = r#"
import os
class Stage:
    def __init__(self, path):
        self.path = path
    def process(self, task):
        if task.data["n"] == 1:
            os._exit(1)
        if task.data["n"] == 2:
            raise RuntimeError("always")
        if task.data["n"] == 3 and not os.path.exists(self.path):
            open(self.path, "w").close()
            raise RuntimeError("once")
        return task
"#;
    let stage = python(text).with_args(json!([notes.path])).with_max_attempts(2);
    let report = recording().run(&Pipeline::new("test").with_stage(stage), numbers(6)).unwrap();
    let tally = &report.stages[0];
    assert_eq!((tally.tasks, tally.outputs, tally.failed), (6, 4, 2));
}

#[test]
fn a_task_that_comes_alone_does_not_wait_for_a_tick() {
    let pipeline = Pipeline::new("test").with_stage(python(PASS));
    let plan = Plan::new(&pipeline).unwrap();
    let given = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&given);
    let mut tasks = (0..60).map(|number| {
        // The worker needs a while to start; the later waits show the steady state.
        std::thread::sleep(Duration::from_millis(if number == 0 { 1000 } else { 15 }));
        times.lock().unwrap().push(Instant::now());
        Task::new(json!({ "n": number }))
    });
    let mut waits = Vec::new();
    let mut sink = |_: Task| {
        waits.push(given.lock().unwrap()[waits.len()].elapsed());
        Ok(())
    };
    local().with_cpus(8).execute(&plan, &mut tasks, Arc::new(()), &mut sink).unwrap();
    waits.sort();
    // Under load, one wait or another may be late, but a lost wake-up made every second one 50 ms
    // long.
    assert!(waits[waits.len() / 2] < Duration::from_millis(25), "{waits:?}");
}

/// Three stages, mixed batch sizes, and workers that are killed at any instant: no task is lost and
/// none comes twice.
#[test]
fn nothing_is_lost_or_doubled_while_workers_are_killed_at_random() {
    const TASKS: usize = 4000;
    let is_over = Arc::new(AtomicBool::new(false));
    let pids = Arc::new(Mutex::new(BTreeMap::new()));
    let killer = {
        let (is_over, pids) = (Arc::clone(&is_over), Arc::clone(&pids));
        std::thread::spawn(move || {
            let (mut random, mut kills) = (0x2545_f491_4f6c_dd1d_u64, 0);
            while !is_over.load(Ordering::Relaxed) && kills < 40 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                std::thread::sleep(Duration::from_millis(20 + random % 130));
                let alive: Vec<i32> = pids.lock().unwrap().values().copied().collect();
                let Some(pid) =
                    alive.get(usize::try_from(random >> 33).unwrap() % alive.len().max(1))
                else {
                    continue;
                };
                let kill = duct::cmd("kill", ["-KILL".to_owned(), pid.to_string()]);
                kills += usize::from(kill.stderr_null().run().is_ok());
            }
            kills
        })
    };
    let observer = {
        let pids = Arc::clone(&pids);
        move |event: &Event| match event {
            Event::WorkerReady { stage, worker, pid: Some(pid), .. } => {
                pids.lock().unwrap().insert((stage.clone(), *worker), *pid);
            }
            Event::WorkerEnded { stage, worker, .. } => {
                pids.lock().unwrap().remove(&(stage.clone(), *worker));
            }
            _ => {}
        }
    };
    let slow =
        "import time\nclass Stage:\n def process(self, task):\n  time.sleep(0.001)\n  return task";
    let batched = "class Stage:\n def process_batch(self, tasks): return tasks";
    let fan = "class Stage:\n def process(self, task): return [dict(task.data, copy=0), dict(task.data, copy=1)]";
    // A worker may be killed repeatedly with the same innocent task.
    let stage = |text: &str, name: &str| python(text).with_name(name).with_max_attempts(50);
    let pipeline = Pipeline::new("test")
        .with_stage(stage(slow, "slow").with_num_workers(2))
        .with_stage(stage(batched, "batched").with_batch_size(7))
        .with_stage(stage(fan, "fan").with_batch_size(3).with_num_workers(2));
    let plan = Plan::new(&pipeline).unwrap();
    let mut seen = vec![[0_u8; 2]; TASKS];
    let mut sink = |task: Task| {
        let data = task.data.as_json().ok_or("no JSON")?;
        let at = |name: &str| {
            data[name].as_u64().and_then(|it| usize::try_from(it).ok()).ok_or("no number")
        };
        seen[at("n")?][at("copy")?] += 1;
        Ok(())
    };
    let result = local().execute(&plan, &mut numbers(TASKS), Arc::new(observer), &mut sink);
    is_over.store(true, Ordering::Relaxed);
    let kills = killer.join().unwrap();
    let report = result.unwrap();
    assert!(kills >= 5, "only {kills} kills");
    assert!(seen.iter().all(|copies| *copies == [1, 1]));
    let counts: Vec<(u64, u64)> =
        report.stages.iter().map(|stage| (stage.tasks, stage.outputs)).collect();
    let tasks = TASKS as u64;
    assert_eq!(counts, [(tasks, tasks), (tasks, tasks), (tasks, 2 * tasks)]);
}
