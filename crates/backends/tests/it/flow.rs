//! Many tasks: bounded memory, workers that are added, devices that are shared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backends::{Event, Executor, ExecutorExt, LocalExecutor, Plan};
use serde_json::json;
use stage::{Pipeline, Resources, Task};

use crate::support::{Notes, local, numbers, outputs, python, watched};

const PASS: &str = "class Stage:\n def process(self, task): return task";

#[test]
fn a_hundred_thousand_tasks_stream_through_three_stages_in_bounded_memory() {
    const TASKS: usize = 100_000;
    let pipeline = Pipeline::new("test")
        .with_stage(python(PASS).with_name("a").with_batch_size(64))
        .with_stage(python(PASS).with_name("b"))
        .with_stage(python(PASS).with_name("c").with_batch_size(16));
    let plan = Plan::new(&pipeline).unwrap();
    // How far the source may run ahead of the sink: three queues, and the tasks that workers hold.
    let (given, taken, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut tasks = (0..TASKS).map(|number| {
        let ahead = given.fetch_add(1, Ordering::Relaxed) - taken.load(Ordering::Relaxed);
        most.fetch_max(ahead, Ordering::Relaxed);
        Task::new(json!({ "n": number, "text": "x".repeat(100) }))
    });
    let mut seen = vec![false; TASKS];
    let mut sink = |task: Task| {
        let number = task.data.as_json().and_then(|data| data["n"].as_u64()).expect("its number");
        let number = usize::try_from(number)?;
        assert!(!seen[number], "{number} came twice");
        seen[number] = true;
        taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let report = local().execute(&plan, &mut tasks, Arc::new(()), &mut sink).unwrap();
    assert!(seen.into_iter().all(|seen| seen));
    assert_eq!(report.stages[2].outputs, TASKS as u64);
    let most = most.load(Ordering::Relaxed);
    assert!(most < 10_000, "{most} tasks were under way at once");
}

#[test]
fn a_large_payload_goes_there_and_back() {
    let text = "class Stage:\n def process(self, task): return task.data[::-1]";
    let bytes: Vec<u8> = (0..50_000_000_u32).map(|number| (number % 251) as u8).collect();
    let report = local()
        .run(&Pipeline::new("test").with_stage(python(text)), [Task::new(bytes.clone())])
        .unwrap();
    let back = report.outputs[0].data.as_bytes().unwrap();
    assert_eq!(back.len(), bytes.len());
    assert!(back.iter().rev().eq(bytes.iter()));
}

#[test]
fn a_slow_stage_gets_more_workers_and_a_fixed_one_does_not() {
    let slow =
        "import time\nclass Stage:\n def process(self, task):\n  time.sleep(0.02)\n  return task";
    let count = |fixed: bool| {
        let mut stage = python(slow);
        if fixed {
            stage = stage.with_num_workers(2);
        }
        let pipeline = Pipeline::new("test").with_stage(stage);
        let (result, events) = watched(&local().with_cpus(4), &pipeline, numbers(150));
        assert_eq!(result.unwrap().outputs.len(), 150);
        let workers = events.iter().filter_map(|event| match event {
            Event::WorkerReady { worker, .. } => Some(*worker),
            _ => None,
        });
        workers.collect::<BTreeSet<_>>().len()
    };
    assert!(count(false) > 1);
    assert_eq!(count(true), 2);
}

/// The source pauses until an extra worker has ended for lack of work, and then continues.
#[test]
fn workers_go_when_there_is_nothing_to_do_and_come_again() {
    let slow =
        "import time\nclass Stage:\n def process(self, task):\n  time.sleep(0.02)\n  return task";
    let (ended, ready) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (ends, starts) = (ended.clone(), ready.clone());
    let observer = move |event: &Event| match event {
        Event::WorkerReady { .. } => drop(starts.fetch_add(1, Ordering::Relaxed)),
        Event::WorkerEnded { worker, in_order, .. } => {
            assert!(in_order);
            ends.fetch_add(usize::from(*worker > 0), Ordering::Relaxed);
        }
        _ => {}
    };
    let wait_until = |is_so: &dyn Fn() -> bool, problem: &str| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_mins(2), "{problem}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut started = 0;
    let tasks = numbers(600).enumerate().map(move |(at, task)| {
        if at == 150 {
            wait_until(&|| ended.load(Ordering::Relaxed) > 0, "no worker has ended");
            started = ready.load(Ordering::Relaxed);
        } else if at == 599 {
            wait_until(&|| ready.load(Ordering::Relaxed) > started, "no worker has come again");
        }
        task
    });
    let executor = local().with_cpus(4).with_idle_limit(Duration::from_millis(100));
    let pipeline = Pipeline::new("test").with_stage(python(slow).with_batch_size(1));
    let report = executor.run_observed(&pipeline, tasks, Arc::new(observer)).unwrap();
    assert_eq!(report.outputs.len(), 600);
}

#[test]
fn workers_are_replaced_after_their_share_of_tasks() {
    let text = "import os\nclass Stage:\n def process(self, task): return os.getpid()";
    let stage = python(text).with_recycle_after(5).with_num_workers(1);
    let report = local().run(&Pipeline::new("test").with_stage(stage), numbers(20)).unwrap();
    let pids: BTreeSet<String> = outputs(&report).iter().map(|(_, pid)| pid.to_string()).collect();
    assert_eq!((report.outputs.len(), pids.len()), (20, 4));
}

const DEVICES: &str = "import os\nclass Stage:\n def process(self, task):\n  seen = os.environ.get('CUDA_VISIBLE_DEVICES')\n  return (task.data if isinstance(task.data, list) else []) + [[seen]]";

fn devices(executor: &LocalExecutor, gpus: [f64; 2]) -> Vec<serde_json::Value> {
    devices_of(executor, gpus, &Notes::new(), numbers(3))
}

/// Runs two stages that note each task, and returns which devices each task met.
fn devices_of(
    executor: &LocalExecutor,
    gpus: [f64; 2],
    notes: &Notes,
    tasks: impl Iterator<Item = Task> + Send,
) -> Vec<serde_json::Value> {
    // A list would be a fan-out, so the stages wrap it in a task.
    let note = format!("open({:?}, 'a').write('task\\n')", notes.path.to_str().expect("text"));
    let text = DEVICES
        .replace("return ", &format!("{note}\n  from curator_stage import Task\n  return Task("))
        + ")";
    let stage = |name: &str, gpus| {
        python(&text).with_name(name).with_resources(Resources::cpus(1.0).with_gpus(gpus))
    };
    let pipeline =
        Pipeline::new("test").with_stage(stage("a", gpus[0])).with_stage(stage("b", gpus[1]));
    let report = executor.run(&pipeline, tasks).expect("a run");
    outputs(&report).into_iter().map(|(_, data)| data).collect()
}

#[test]
fn stages_see_their_own_devices() {
    let notes = Notes::new();
    let is_met = || notes.count("task") == 2;
    // The first stage has not ended, and has its device still, when the second one takes its own.
    let tasks = numbers(3).enumerate().map(|(at, task)| {
        let begun = Instant::now();
        while at == 1 && !is_met() {
            assert!(begun.elapsed() < Duration::from_mins(2), "no task came through");
            std::thread::sleep(Duration::from_millis(10));
        }
        task
    });
    let seen = devices_of(&local().with_devices(["3", "5"]), [1.0, 1.0], &notes, tasks);
    assert_eq!(seen.len(), 3);
    for seen in &seen {
        let is_apart = *seen == json!([["3"], ["5"]]) || *seen == json!([["5"], ["3"]]);
        assert!(is_apart, "{seen:?}");
    }
    let seen = devices(&local().with_devices(["3", "5"]), [2.0, 0.0]);
    assert!(seen.iter().all(|seen| seen[0] == json!(["3,5"])), "{seen:?}");
}

#[test]
fn stages_take_turns_at_a_device_that_both_want() {
    let seen = devices(&local().with_devices(["7"]), [1.0, 1.0]);
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| *seen == json!([["7"], ["7"]])), "{seen:?}");
}

#[test]
fn more_than_the_machine_has_is_not_refused() {
    let stage = |name: &str| python(PASS).with_name(name).with_resources(Resources::cpus(64.0));
    let pipeline = Pipeline::new("test").with_stage(stage("a")).with_stage(stage("b"));
    assert_eq!(local().run(&pipeline, numbers(100)).unwrap().outputs.len(), 100);
    let seen = devices(&local().with_devices(Vec::<String>::new()), [1.0, 0.0]);
    assert!(seen.iter().all(|seen| seen[0] == json!([""])), "{seen:?}");
}

#[test]
fn a_sink_that_refuses_ends_the_run_and_a_run_without_tasks_is_fine() {
    let pipeline = Pipeline::new("test").with_stage(python(PASS));
    let plan = Plan::new(&pipeline).unwrap();
    let mut endless = (0..).map(|number: u64| Task::new(json!(number)));
    let mut count = 0;
    let error = local()
        .execute(&plan, &mut endless, Arc::new(()), &mut |_| {
            count += 1;
            if count == 10 { Err("full".into()) } else { Ok(()) }
        })
        .unwrap_err();
    assert!(
        error.report().contains("the sink refused task 0_9_0\n  caused by: full"),
        "{}",
        error.report()
    );
    let report = local().run(&pipeline, numbers(0)).unwrap();
    assert_eq!((report.outputs.len(), report.stages[0].tasks), (0, 0));
}

/// Where there are fewer cores than stages, the stage that the first task meets first starts and
/// imports first, and later ones do not take its core.
#[test]
fn earlier_stages_import_before_later_ones() {
    let notes = Notes::new();
    let stage = |name: &str| {
        let note = |what: &str| {
            format!("open({:?}, 'a').write('{what} {name}\\n')", notes.path.to_str().unwrap())
        };
        let (begins, ends) = (note("begins"), note("ends"));
        let code = "class Stage:\n    def process(self, task):\n        return task\n";
        let text = format!("import time\n{begins}\ntime.sleep(0.1)\n{ends}\n{code}");
        python(&text).with_name(name)
    };
    let names = ["first", "second", "third", "fourth"];
    let pipeline = names.iter().map(|name| stage(name));
    let pipeline = pipeline.fold(Pipeline::new("test"), Pipeline::with_stage);
    let report = local().with_cpus(1).run(&pipeline, numbers(1)).unwrap();
    assert_eq!(report.outputs.len(), 1);
    let expected = names.iter().flat_map(|name| [format!("begins {name}"), format!("ends {name}")]);
    assert_eq!(notes.lines(), expected.collect::<Vec<_>>());
}
