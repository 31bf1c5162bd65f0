//! Runs that end early, because a task failed while an environment was being built, or because the
//! caller stops them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backends::run::Intake;
use backends::{Error, Event, ExecutorExt, LocalExecutor, Plan, RunReport, Stop};
use envspec::{RuntimeEnv, Tool};
use serde_json::json;
use stage::{Isolation, Pipeline, PythonStage, Task, Workers};

use crate::support::{Notes, local, numbers, python, watched};
use crate::world::{World, host};

/// Time limit of a test for a hang; the hang itself would last ten minutes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns Python code that notes its start, and does not end.
fn hangs(notes: &Notes) -> String {
    format!("open('{}', 'w').close(); __import__('time').sleep(600)\n", notes.path.display())
}

/// Returns a stage that fails once that code runs.
fn fails_then(notes: &Notes) -> PythonStage {
    let text = "import os, time\nclass Stage:\n    def __init__(self, path):\n        \
        self.path = path\n    def process(self, task):\n        \
        while not os.path.exists(self.path):\n            time.sleep(0.01)\n        \
        raise ValueError('at the first task')\n";
    python(text).with_name("first").with_args(json!([notes.path]))
}

/// Checks that a fail-fast run ends with its failure while the environment of another stage, with
/// these requirements, hangs in its build.
fn ends_while_building(world: &World, notes: &Notes, requirements: &[&str]) {
    let spec = json!({ "uv": {
        "packages": requirements,
        "uv_pip_install_options": ["--no-index", "--find-links", world.wheels()],
    } });
    let env = RuntimeEnv::from_json(&spec.to_string()).expect("a spec");
    let other = python("class Stage:\n    def process(self, task):\n        return task\n");
    let pipeline = Pipeline::new("test")
        .with_stage(fails_then(notes))
        .with_stage(other.with_name("second").with_runtime_env(env));
    let executor =
        LocalExecutor::default().with_base(world.base_python()).with_cache_dir(world.cache());
    // The package manager is there already.
    world.prepare(&world.spec(Tool::Uv, &["plain"])).expect("an environment");
    let begun = Instant::now();
    let error = executor.run(&pipeline, numbers(1)).expect_err("a failure");
    assert!(matches!(&error, Error::Task(failed) if failed.stage == "first"), "{}", error.report());
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_failure_does_not_wait_for_an_import_of_ray() {
    let notes = Notes::new();
    let world = World::new(&[], &[("plain", "1.0", &[]), ("added", "1.0", &[])]);
    let ray = world.root.join("base/lib");
    let site = std::fs::read_dir(ray).unwrap().flatten().next().unwrap().path();
    let list =
        json!([{ "name": "ray", "version": "2.60.0", "files": { "ray.py": hangs(&notes) } }]);
    world.write_wheels(&list);
    let wheels = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/wheels.py");
    // After `plain`, so that only the build under test looks at it.
    world.prepare(&world.spec(Tool::Uv, &["plain"])).unwrap();
    let wheel = world.wheel("ray", "2.60.0");
    let words = [wheels.into(), "--install".into(), site.join("site-packages"), wheel];
    duct::cmd(host(), words).run().unwrap();
    let spec = world.spec(Tool::Uv, &["added"]);
    let stop = Arc::<std::sync::atomic::AtomicBool>::default();
    let provisioner = world.builder().stop(stop.clone()).open().expect("a provisioner");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let build = scope.spawn(|| provisioner.prepare(&spec, Isolation::Shared));
        while !notes.path.exists() {
            assert!(begun.elapsed() < PATIENCE, "no process imports it");
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(build.join().unwrap(), Err(Error::Stopped)));
    });
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_failure_does_not_wait_for_the_byte_compiler() {
    let notes = Notes::new();
    let world = World::new(&[], &[("plain", "1.0", &[])]);
    // Every interpreter of the environment runs the code at its start, and the compiler is the
    // first.
    let files = json!({ "added.py": "", "added.pth": format!("import sys; {}", hangs(&notes)) });
    world.write_wheels(&json!([{ "name": "added", "version": "1.0", "files": files }]));
    ends_while_building(&world, &notes, &["added"]);
}

#[test]
fn a_failure_does_not_wait_for_a_source_that_is_built() {
    let notes = Notes::new();
    let world = World::new(&[], &[("plain", "1.0", &[])]);
    let project = world.root.join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("backend.py"), hangs(&notes)).unwrap();
    let text = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
        [project]\nname = \"added\"\nversion = \"1.0\"\n";
    std::fs::write(project.join("pyproject.toml"), text).unwrap();
    ends_while_building(&world, &notes, &[project.to_str().unwrap()]);
}

/// Stops the run once a worker has begun the first task.
fn stopped_run(
    executor: &LocalExecutor,
    pipeline: &Pipeline,
    notes: &Notes,
    how: impl FnOnce(&Stop) + Send,
) -> (RunReport, Vec<Event>) {
    let stop = Stop::new();
    let executor = executor.clone().with_stop(stop.clone());
    let (result, events) = std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            let begun = Instant::now();
            while notes.lines().is_empty() && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
            how(stop);
        });
        watched(&executor, pipeline, numbers(200))
    });
    (result.expect("no failure"), events)
}

fn slow(notes: &Notes, seconds: f64) -> PythonStage {
    let text = "import time\nclass Stage:\n    def __init__(self, path, seconds):\n        \
        self.path, self.seconds = path, seconds\n    def process(self, task):\n        \
        open(self.path, 'a').write('begun\\n')\n        time.sleep(self.seconds)\n        \
        return task\n    def teardown(self):\n        open(self.path, 'a').write('teardown\\n')\n";
    python(text).with_args(json!([notes.path, seconds])).with_workers(Workers::Fixed(1))
}

#[test]
fn a_run_that_is_stopped_finishes_what_its_workers_have_and_drops_the_rest() {
    let notes = Notes::new();
    let last = python("class Stage:\n    def process(self, task):\n        return task\n");
    let pipeline =
        Pipeline::new("test").with_stage(slow(&notes, 0.5)).with_stage(last.with_name("last"));
    let (report, events) = stopped_run(&local(), &pipeline, &notes, Stop::in_order);
    assert!(report.is_stopped);
    let begun = notes.count("begun");
    assert!(begun <= 2, "{begun} of 200 were begun");
    assert_eq!(notes.count("teardown"), 1);
    assert_eq!(report.stages[0].tasks, begun as u64);
    let dropped: usize = events
        .iter()
        .map(|event| match event {
            Event::Dropped { tasks, .. } => *tasks,
            _ => 0,
        })
        .sum();
    assert!(dropped > 100, "{dropped}");
    assert!(!events.iter().any(|event| matches!(event, Event::Stopping)), "nothing failed");
    assert!(events.iter().all(|event| !matches!(event, Event::StageFinished { .. })));
}

#[test]
fn what_is_dropped_is_not_complete_and_what_came_out_is() {
    let notes = Notes::new();
    let pipeline = Pipeline::new("test").with_stage(slow(&notes, 0.3));
    let plan = Plan::new(&pipeline).unwrap();
    let ended = Arc::new(std::sync::Mutex::new(Vec::new()));
    let intake = {
        let ended = ended.clone();
        Arc::new(Intake::new(move |it| ended.lock().unwrap().push((it.index, it.is_complete))))
    };
    let stop = Stop::new();
    let executor = local().with_stop(stop.clone());
    let mut tasks = (0..50).map(|index| intake.hand_in(index, Task::new(json!({ "n": index }))));
    let mut out = Vec::new();
    let report = {
        use backends::Executor;
        let mut sink = |task: Task| {
            out.push(task.sources()[0].index());
            stop.in_order();
            Ok(())
        };
        executor.execute(&plan, &mut tasks, intake.clone(), &mut sink).unwrap()
    };
    assert!(report.is_stopped && out.len() < 50, "{out:?}");
    let ended = ended.lock().unwrap();
    let complete: Vec<u64> = ended.iter().filter(|(_, is)| *is).map(|(index, _)| *index).collect();
    assert_eq!(complete, out);
    assert!(ended.len() > complete.len());
}

#[test]
fn the_grace_period_bounds_it_and_at_once_is_at_once() {
    for (grace, how) in [
        (Duration::from_millis(200), Stop::in_order as fn(&Stop)),
        (Duration::from_hours(1), Stop::at_once),
    ] {
        let notes = Notes::new();
        let pipeline = Pipeline::new("test").with_stage(slow(&notes, 600.0));
        let begun = Instant::now();
        let executor = local().with_stop_grace(grace);
        let (report, events) = stopped_run(&executor, &pipeline, &notes, how);
        assert!(report.is_stopped && report.outputs.is_empty());
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(notes.count("teardown"), 0, "it is killed");
        assert!(events.iter().any(|event| matches!(event, Event::Stopping)));
    }
}
