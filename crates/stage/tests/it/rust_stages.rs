//! Rust stages: hooks, outputs, typed stages, and the test executor that runs them.

use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::testing::InMemoryExecutor;
use stage::{
    BatchOutput, BoxError, Context, Data, EnvView, Error, Output, Pipeline, PythonStage, RustStage,
    Stage, Task, TypedStage,
};

fn run(stage: RustStage, tasks: Vec<Value>) -> Result<Vec<Task>, Error> {
    InMemoryExecutor::default().run(&Pipeline::new("p").with_stage(stage), tasks)
}

fn values(tasks: &[Task]) -> Vec<&Value> {
    tasks.iter().filter_map(|task| task.data.as_json()).collect()
}

/// Notes each call of a hook, and fails in the chosen one.
#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<String>>>,
    fails_in: &'static str,
}

impl Recorder {
    fn note(&self, hook: &str, call: String) -> Result<(), BoxError> {
        self.calls.lock().expect("no test panics with the lock").push(call);
        if self.fails_in == hook { Err("told to".into()) } else { Ok(()) }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no test panics with the lock").clone()
    }
}

impl Stage for Recorder {
    fn process(&self, task: Task, context: &mut Context) -> Result<Output, BoxError> {
        *context.kept_mut::<u32>().ok_or("setup came first")? += 1;
        context.record("calls", 1.0);
        self.note("process", format!("process {}", task.id()))?;
        Ok(task.into())
    }

    fn setup_on_node(&self, context: &mut Context) -> Result<(), BoxError> {
        self.note("setup_on_node", format!("setup_on_node {}", context.node_id()))
    }

    fn setup(&self, context: &mut Context) -> Result<(), BoxError> {
        context.keep(0_u32);
        self.note("setup", format!("setup {}", context.worker_index()))
    }

    fn teardown(&self, context: &mut Context) -> Result<(), BoxError> {
        let count = context.take_kept::<u32>().ok_or("setup came first")?;
        self.note("teardown", format!("teardown after {count}"))
    }
}

#[test]
fn every_hook_is_called_once_and_in_order() {
    let recorder = Recorder::default();
    let stage = RustStage::from_stage(recorder.clone());
    assert_eq!(stage.name(), "Recorder");
    let tasks = run(stage, vec![json!(1), json!(2)]).unwrap();
    let expected =
        ["setup_on_node local", "setup 0", "process 0_0", "process 0_1", "teardown after 2"];
    assert_eq!(recorder.calls(), expected);
    let [timing] = tasks[1].timings() else { panic!("one stage, one timing") };
    assert_eq!(timing.stage, "Recorder");
    assert!((timing.metrics["calls"] - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_failed_task_is_named_and_the_worker_torn_down() {
    let recorder = Recorder { fails_in: "process", ..Recorder::default() };
    let error = run(RustStage::from_stage(recorder.clone()), vec![json!(1), json!(2)]).unwrap_err();
    assert_eq!(error.to_string(), "process of stage `Recorder` failed on task `0_0`");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(source.as_deref(), Some("told to"));
    assert_eq!(recorder.calls().last().map(String::as_str), Some("teardown after 1"));
}

#[test]
fn a_failed_setup_is_not_torn_down() {
    let recorder = Recorder { fails_in: "setup", ..Recorder::default() };
    let error = run(RustStage::from_stage(recorder.clone()), vec![json!(1)]).unwrap_err();
    assert!(matches!(error, Error::Stage { hook: "setup", task: None, .. }));
    assert_eq!(recorder.calls(), ["setup_on_node local", "setup 0"]);
}

#[test]
fn attempts_are_counted() {
    let recorder = Recorder { fails_in: "process", ..Recorder::default() };
    let stage = RustStage::from_stage(recorder.clone()).with_max_attempts(3);
    run(stage, vec![json!(1)]).unwrap_err();
    let tries = recorder.calls().iter().filter(|call| *call == "process 0_0").count();
    assert_eq!(tries, 3);
}

/// The sum of a batch.
struct Sum;

impl Stage for Sum {
    fn process(&self, _: Task, _: &mut Context) -> Result<Output, BoxError> {
        Err("a sum needs its batch".into())
    }

    fn process_batch(&self, tasks: Vec<Task>, _: &mut Context) -> Result<BatchOutput, BoxError> {
        let sum: i64 = values(&tasks).into_iter().filter_map(Value::as_i64).sum();
        Ok(BatchOutput::Aggregate(Task::new(json!(sum)).into()))
    }
}

proptest! {
    /// An aggregate covers each task once, and its id shows its batch.
    #[test]
    fn a_batch_holds_at_most_the_batch_size(numbers in vec(-9_i64..9, 0..12), size in 1_usize..5) {
        let stage = RustStage::from_stage(Sum).with_batch_size(size);
        let tasks = run(stage, numbers.iter().map(|number| json!(number)).collect()).unwrap();
        prop_assert_eq!(tasks.len(), numbers.len().div_ceil(size));
        let total: i64 = values(&tasks).into_iter().filter_map(Value::as_i64).sum();
        prop_assert_eq!(total, numbers.iter().sum::<i64>());
        prop_assert!(tasks.iter().all(|task| task.id().to_string().starts_with('r')));
    }

    /// By default, a batch maps its tasks one by one: its size does not change the outputs.
    #[test]
    fn the_default_batch_maps_the_tasks(numbers in vec(0_u64..5, 0..12), size in 1_usize..5) {
        let repeat = RustStage::from_fn("repeat", |task: Task, _: &mut Context| {
            let count = task.data.as_json().and_then(Value::as_u64).ok_or("no number")?;
            Ok::<_, BoxError>((0..count).map(|i| Task::new(json!(i))).collect::<Vec<_>>())
        });
        let tasks: Vec<Value> = numbers.iter().map(|number| json!(number)).collect();
        let ids = |stage| -> Vec<_> {
            let tasks = run(stage, tasks.clone()).expect("all are numbers");
            tasks.iter().map(|task| (task.id().clone(), task.data.clone())).collect()
        };
        let one_by_one = ids(repeat.clone());
        prop_assert_eq!(one_by_one.len() as u64, numbers.iter().sum::<u64>());
        prop_assert_eq!(ids(repeat.with_batch_size(size)), one_by_one);
    }
}

#[derive(Deserialize)]
struct Page {
    text: String,
}

#[derive(Serialize)]
struct Word {
    word: String,
}

/// The words of a page.
struct Words;

impl TypedStage for Words {
    type In = Page;
    type Out = Word;

    fn process(&self, page: Page, _: &mut Context) -> Result<Output<Word>, BoxError> {
        let words: Vec<_> =
            page.text.split_whitespace().map(|word| Word { word: word.to_owned() }).collect();
        Ok(words.into())
    }
}

#[test]
fn a_typed_stage_sees_values_and_keeps_what_surrounds_them() {
    let stage = RustStage::typed(Words);
    assert_eq!(stage.name(), "Words");
    let metadata = json!({ "shard": 7 }).as_object().unwrap().clone();
    let page = Task::new(json!({ "text": "a b" }))
        .with_metadata(metadata.clone())
        .with_dataset_name("set");
    let pipeline = Pipeline::new("p").with_stage(stage);
    let tasks = InMemoryExecutor::default().run(&pipeline, [page]).unwrap();
    assert_eq!(values(&tasks), [&json!({ "word": "a" }), &json!({ "word": "b" })]);
    assert!(tasks.iter().all(|task| task.metadata == metadata && task.dataset_name == "set"));
}

/// Counts the pages; `fails` leaves one out.
struct Count {
    fails: bool,
}

impl TypedStage for Count {
    type In = Page;
    type Out = usize;

    fn process(&self, _: Page, _: &mut Context) -> Result<Output<usize>, BoxError> {
        Err("a count needs its batch".into())
    }

    fn process_batch(
        &self,
        pages: Vec<Page>,
        _: &mut Context,
    ) -> Result<BatchOutput<usize>, BoxError> {
        if self.fails {
            return Ok(BatchOutput::PerTask(vec![Output::One(1); pages.len() - 1]));
        }
        Ok(BatchOutput::Aggregate(pages.len().into()))
    }
}

#[test]
fn a_typed_stage_may_take_the_whole_batch() {
    let pages = || vec![json!({ "text": "a" }), json!({ "text": "b" })];
    let count = RustStage::typed(Count { fails: false }).with_batch_size(2);
    assert_eq!(values(&run(count, pages()).unwrap()), [&json!(2)]);
    let count = RustStage::typed(Count { fails: true }).with_batch_size(2);
    let error = run(count, pages()).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("a batch of 2 tasks came back with 1 entries"));
}

#[test]
fn a_typed_stage_refuses_what_it_cannot_read() {
    let pipeline = Pipeline::new("p").with_stage(RustStage::typed(Words));
    for data in [Data::from(json!({ "txt": "a" })), Data::from(vec![1_u8])] {
        let error = InMemoryExecutor::default().run(&pipeline, [Task::new(data)]).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap();
        assert!(cause.contains("Page"), "{cause}");
    }
}

#[test]
fn a_python_stage_is_refused_before_anything_runs() {
    let recorder = Recorder::default();
    let pipeline = Pipeline::new("p")
        .with_stage(RustStage::from_stage(recorder.clone()))
        .with_stage(PythonStage::from_module("a", "B"));
    let error = InMemoryExecutor::default().run(&pipeline, [json!(1)]).unwrap_err();
    assert!(matches!(error, Error::PythonOnly { stage } if stage == "B"));
    assert!(recorder.calls().is_empty());
}

#[test]
fn declared_inputs_are_checked_at_the_door() {
    let recorder = Recorder::default();
    let stage = RustStage::from_stage(recorder.clone()).with_inputs(["text"]);
    let error = run(stage, vec![json!({ "text": 1 }), json!({})]).unwrap_err();
    assert_eq!(error.to_string(), "task `0_1` has no `text`, which stage `Recorder` needs");
    assert_eq!(recorder.calls().last().map(String::as_str), Some("teardown after 1"));
}

#[test]
fn a_stage_finds_the_programs_of_its_environment() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    // Any folder with a file serves as an environment here: `main.rs` is its program.
    let environment = EnvView::new(format!("{dir}/python"), [].into());
    let programs = RustStage::from_fn("programs", |task: Task, context: &mut Context| {
        let shown = |program| context.command(program).program().display().to_string();
        Ok::<_, Error>(task.with_data(json!([shown("main.rs"), shown("git")])))
    });
    let pipeline = Pipeline::new("p").with_stage(programs);
    let executor = InMemoryExecutor::default();
    let without = executor.run(&pipeline, [json!(1)]).unwrap();
    assert_eq!(values(&without), [&json!(["main.rs", "git"])]);
    let with =
        executor.with_environment("programs", environment).run(&pipeline, [json!(1)]).unwrap();
    assert_eq!(values(&with), [&json!([format!("{dir}/main.rs"), "git"])]);
}
