//! Rust and Python stages in one pipeline.

use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};

use backends::run::Intake;
use backends::{Cause, Error, Event, Executor, ExecutorExt, Plan};
use envspec::RuntimeEnv;
use serde_json::json;
use stage::{BoxError, Context, Output, Pipeline, RustStage, Stage, Task};

use crate::support::{Notes, local, numbers, outputs, python, recording};

#[test]
fn rust_and_python_stages_mix() {
    let add = RustStage::from_fn("add", |task: Task, _: &mut Context| {
        let n = task.data.as_json().and_then(|data| data["n"].as_i64()).ok_or("no number")?;
        Ok::<_, BoxError>(task.with_data(json!({ "n": n + 100 })))
    });
    let keep_even = RustStage::from_fn("keep_even", |task: Task, _: &mut Context| {
        let n = task.data.as_json().and_then(serde_json::Value::as_i64).unwrap_or_default();
        Ok::<_, BoxError>((n % 2 == 0).then_some(task))
    });
    let double = python("class Stage:\n def process(self, task): return task.data['n'] * 3");
    let pipeline = Pipeline::new("test").with_stage(add).with_stage(double).with_stage(keep_even);
    let report = local().run(&pipeline, numbers(4)).unwrap();
    assert_eq!(
        outputs(&report),
        [("0_0_0_0_0".into(), json!(300)), ("0_2_0_0_0".into(), json!(306))]
    );
}

struct Noting(std::path::PathBuf);

impl Noting {
    fn note(&self, line: &str) -> Result<(), BoxError> {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.0)?;
        // One write, since other workers note lines at the same time.
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}

impl Stage for Noting {
    fn process(&self, task: Task, context: &mut Context) -> Result<Output, BoxError> {
        let n = task.data.as_json().and_then(|data| data["n"].as_i64()).unwrap_or_default();
        assert!(n != 2, "no two");
        if n == 3 {
            return Err("no three".into());
        }
        let kept = context.kept_mut::<i64>().ok_or("set-up has not run")?;
        *kept += n;
        Ok(task.into())
    }

    fn setup_on_node(&self, _: &mut Context) -> Result<(), BoxError> {
        self.note("node")
    }

    fn setup(&self, context: &mut Context) -> Result<(), BoxError> {
        context.keep(0_i64);
        self.note("setup")
    }

    fn teardown(&self, _: &mut Context) -> Result<(), BoxError> {
        self.note("teardown")
    }
}

#[test]
fn hooks_errors_and_panics_of_rust_stages() {
    let notes = Notes::new();
    let stage = RustStage::from_stage(Noting(notes.path.clone())).with_num_workers(2);
    let report = recording().run(&Pipeline::new("test").with_stage(stage), numbers(6)).unwrap();
    assert_eq!(report.outputs.len(), 4);
    let causes: Vec<&Cause> = report.failed.iter().map(|failed| &failed.cause).collect();
    assert!(causes.contains(&&Cause::Failed(vec!["no three".into()])), "{causes:?}");
    assert!(causes.contains(&&Cause::Panicked("no two".into())), "{causes:?}");
    assert_eq!((notes.count("node"), notes.count("setup"), notes.count("teardown")), (1, 2, 2));

    let stage = RustStage::from_stage(Noting("/nowhere/at/all".into()));
    let error = local().run(&Pipeline::new("test").with_stage(stage), numbers(1)).unwrap_err();
    assert!(matches!(error, Error::RustSetup { .. }), "{error:?}");
}

#[test]
fn a_rust_stage_without_packages_needs_no_python() {
    let pass = RustStage::from_fn("pass", |task: Task, _: &mut Context| Ok::<_, BoxError>(task));
    let executor = backends::LocalExecutor::default()
        .with_base(std::path::PathBuf::from("/no/python/here"))
        .with_cache_dir("/proc/no/cache/here");
    let report = executor.run(&Pipeline::new("test").with_stage(pass), numbers(3)).unwrap();
    assert_eq!((report.outputs.len(), report.environments.len()), (3, 0));
}

#[test]
fn a_rust_stage_with_an_environment_starts_programs_from_it() {
    let run = RustStage::from_fn("run", |task: Task, context: &mut Context| {
        let command = context.command("python3");
        let mut child = duct::cmd(command.program(), ["-c", "import os; print(os.environ['VAR'])"]);
        for (name, value) in command.env() {
            child = child.env(name, value);
        }
        Ok::<_, BoxError>(task.with_data(json!(child.read()?)))
    });
    let env = RuntimeEnv::new().with_env_var("VAR", "seen");
    let pipeline = Pipeline::new("test").with_stage(run.with_runtime_env(env));
    let report = local().run(&pipeline, numbers(1)).unwrap();
    assert_eq!(report.outputs[0].data.as_json().unwrap(), &json!("seen"));
}

/// Law: a run that stops at the first failure tells of one, which is its result, also if several
/// tasks fail at once. None of the others counts as finished.
#[test]
fn of_failures_at_once_one_is_told() {
    const AT_ONCE: usize = 4;
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let stage = RustStage::from_fn("fail", move |_: Task, _: &mut Context| {
        barrier.wait();
        Err::<Task, BoxError>("as all do".into())
    });
    let stage = stage.with_num_workers(AT_ONCE).with_batch_size(1);
    let plan = Plan::new(&Pipeline::new("test").with_stage(stage)).unwrap();
    let (sender, ended) = mpsc::channel();
    let intake = Arc::new(Intake::new(move |ended| _ = sender.send(ended)));
    let told = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (told, intake) = (told.clone(), intake.clone());
        Arc::new(move |event: &Event| {
            backends::Observer::on_event(&*intake, event);
            if let Event::TaskFailed(failed) = event {
                told.lock().unwrap().push(failed.tasks.clone());
            }
        })
    };
    let mut tasks = (0..).zip(numbers(AT_ONCE)).map(|(index, task)| intake.hand_in(index, task));
    let result = local().execute(&plan, &mut tasks, observer, &mut |_| Ok(()));
    let Err(Error::Task(failed)) = result else { panic!("{result:?}") };
    assert_eq!(*told.lock().unwrap(), [failed.tasks]);
    let ended: Vec<_> = ended.try_iter().collect();
    assert_eq!(ended.len(), AT_ONCE);
    assert_eq!(ended.iter().filter(|ended| !ended.failures.is_empty()).count(), 1);
    assert!(ended.iter().all(|ended| !ended.failures.is_empty() || !ended.is_complete));
}
