//! Data is exact: data that a stage does not change comes out as it went in. The samples come from
//! Python's `json`: numbers of any size and precision, keys in their order, text with and without
//! escapes, halves of surrogate pairs.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use backends::{Cause, Checkpoint, ExecutorExt, Plan};
use proptest::prelude::*;
use serde_json::{Value, json};
use stage::{BoxError, Context, Data, Json, Pipeline, PythonStage, RustStage, Task};

use super::corpus::corpus;
use super::support::{local, one, python, recording};

const PASS: &str = "class Stage:\n    def process(self, task): return task";
/// What has been looked at is written anew.
const LOOK: &str =
    "class Stage:\n    def process(self, task):\n        task.data\n        return task";

/// Lines of JSON that Python wrote.
static CORPUS: LazyLock<Vec<String>> =
    LazyLock::new(|| corpus(["10000", "300", "600"]).lines().map(str::to_owned).collect());

fn compact(text: &str) -> String {
    Json::from_text(text).expect("JSON").text().to_owned()
}

fn text(task: &Task) -> &str {
    match &task.data {
        Data::Json(json) => json.text(),
        other => panic!("no JSON: {other:?}"),
    }
}

fn pass_in_rust(name: &str) -> RustStage {
    RustStage::from_fn(name, |task: Task, _: &mut Context| Ok::<_, BoxError>(task))
}

/// Reads the data where it can.
fn look_in_rust(name: &str) -> RustStage {
    RustStage::from_fn(name, |task: Task, _: &mut Context| {
        if let Data::Json(json) = &task.data
            && !json.is_doubtful()
        {
            assert!(task.data.as_json().is_some());
        }
        Ok::<_, BoxError>(task)
    })
}

/// Reads the data, and writes it anew where it can.
fn rewrite_in_rust(name: &str) -> RustStage {
    RustStage::from_fn(name, |task: Task, _: &mut Context| {
        let Data::Json(json) = task.data.clone() else { return Err("no JSON".into()) };
        if json.is_doubtful() {
            return Ok(task);
        }
        Ok::<_, BoxError>(task.with_data(json.into_value()?))
    })
}

fn tasks(lines: &[String]) -> Vec<Task> {
    lines.iter().map(|line| Task::from_json_line(line).expect("a line")).collect()
}

fn assert_all_the_same<'a>(lines: &[String], outputs: impl IntoIterator<Item = &'a Task>) {
    let mut outputs = outputs.into_iter();
    for line in lines {
        let task = outputs.next().expect("an output for each task");
        assert_eq!(text(task), compact(line));
    }
    assert!(outputs.next().is_none());
}

#[test]
fn what_stages_do_not_change_comes_out_as_it_went_in() {
    let python = |name: &str| python(LOOK).with_name(name);
    let pipeline = || Pipeline::new("test");
    for pipeline in [
        pipeline().with_stage(python("a").with_batch_size(16)),
        pipeline().with_stage(pass_in_rust("a")).with_stage(look_in_rust("b")),
        pipeline().with_stage(python("a")).with_stage(look_in_rust("b")).with_stage(python("c")),
    ] {
        let report = local().run(&pipeline, tasks(&CORPUS)).unwrap();
        assert_all_the_same(&CORPUS, &report.outputs);
    }
}

/// Rust writes text without escapes; everything else stays as Python wrote it.
#[test]
fn what_rust_writes_anew_has_the_same_numbers_and_the_same_order() {
    let pipeline = Pipeline::new("test").with_stage(rewrite_in_rust("a"));
    let report = local().run(&pipeline, tasks(&CORPUS)).unwrap();
    for (line, task) in CORPUS.iter().zip(&report.outputs) {
        if !line.contains("\\u") {
            assert_eq!(text(task), compact(line));
        }
        assert_eq!(task.data, Data::Json(Json::from_text(line.as_str()).unwrap()));
    }
}

#[test]
fn a_checkpoint_gives_what_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = one(LOOK);
    let plan = Plan::new(&pipeline).unwrap();
    for known in [0, CORPUS.len() / 2] {
        let checkpoint = Checkpoint::open(dir.path(), &plan).unwrap();
        assert_eq!(checkpoint.finished(), known);
        let count = if known == 0 { CORPUS.len() / 2 } else { CORPUS.len() };
        let mut outputs = Vec::new();
        let mut sink = |task: Task| {
            outputs.push(task);
            Ok(())
        };
        let mut tasks = tasks(&CORPUS[..count]).into_iter();
        checkpoint.run(&local(), &plan, &mut tasks, Arc::new(()), &mut sink).unwrap();
        assert_all_the_same(&CORPUS[..count], &outputs);
    }
}

#[test]
fn a_checkpoint_that_was_just_closed_may_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(&one(LOOK)).unwrap();
    let checkpoint = Checkpoint::open(dir.path(), &plan).unwrap();
    // As a process has its descriptor between its fork and its exec.
    let copy = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(checkpoint);
    });
    Checkpoint::open(dir.path(), &plan).unwrap();
    copy.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A whole task is read from its line and written back unchanged: data that is never parsed,
    /// and metadata with its numbers and the order of its keys.
    #[test]
    fn a_whole_task_keeps_its_texts(at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let data = compact(at.get::<String>(&CORPUS));
        let meta = compact(other.get::<String>(&CORPUS));
        let whole = format!(r#"{{"dataset_name":"d","data":{{"json":{data}}}}}"#);
        let task = Task::from_json_line(&whole).unwrap();
        prop_assert_eq!(text(&task), data);
        prop_assert_eq!(task.to_json_line(), whole);
        if !meta.contains("\\u") {
            let line = format!(r#"{{"data":{{"base64":""}},"metadata":{{"z":{meta},"a":1}}}}"#);
            prop_assert_eq!(Task::from_json_line(&line).unwrap().to_json_line(), line);
        }
    }
}

#[test]
fn integers_of_any_size_cross_both_ways() {
    let text = r#"
class Stage:
    def __init__(self, n): self.n = n
    def process(self, task):
        n = task.data["n"]
        task.metadata["big"] = 10**5000
        return {"power": n**2, "big": 2**70, "huge": 10**400, "vast": 10**5000, "arg": self.n, "n": n}
"#;
    let digits = |power: usize| format!("1{}", "0".repeat(power));
    let args = Json::from_text(format!(r#"{{"n":{}}}"#, digits(6000))).unwrap();
    let stage = PythonStage::from_source(text, "Stage").with_args(args.into_value().unwrap());
    let line = format!(r#"{{"n":{}}}"#, digits(4500));
    let report = local()
        .run(
            &Pipeline::new("test").with_stage(stage).with_stage(look_in_rust("look")),
            [Task::from_json_line(&line).unwrap()],
        )
        .unwrap();
    let expected = format!(
        r#"{{"power":{},"big":1180591620717411303424,"huge":{},"vast":{},"arg":{},"n":{}}}"#,
        digits(9000),
        digits(400),
        digits(5000),
        digits(6000),
        digits(4500)
    );
    assert_eq!(self::text(&report.outputs[0]), expected);
    assert_eq!(report.outputs[0].metadata["big"].to_string(), digits(5000));
}

#[test]
fn the_limit_on_digits_stays_for_the_stages_own_code() {
    let text = r#"
class Stage:
    def process(self, task):
        import sys
        limit = getattr(sys, "get_int_max_str_digits", lambda: 4300)()
        return {"n": task.data["n"], "limit": limit}
"#;
    let line = format!(r#"{{"n":1{}}}"#, "0".repeat(5000));
    let task = Task::from_json_line(&line).unwrap();
    let report = local().run(&one(text), [task]).unwrap();
    assert_eq!(report.outputs[0].data.as_json().unwrap()["limit"], 4300);
}

#[test]
fn arguments_are_exact_and_keep_their_order() {
    let text = r"
class Stage:
    def __init__(self, **args): self.args = args
    def process(self, task): return self.args
";
    let args =
        r#"{"z":123456789012345678901234567890,"b":0.36995516654807925,"a":{"y":1e-05,"x":-0.0}}"#;
    let value = Json::from_text(args).unwrap().into_value().unwrap();
    let pipeline = Pipeline::new("t").with_stage(python(text).with_args(value));
    let report = local().run(&pipeline, [Task::empty()]).unwrap();
    assert_eq!(self::text(&report.outputs[0]), args);
}

#[test]
fn new_text_is_written_as_the_tasks_own() {
    let text = "class Stage:\n    def process(self, task): return [task.data, {'new': 'é'}]";
    let lines = [r#"{"a":"\u00e9"}"#, r#"{"a":"é"}"#, r#"{"a":"e"}"#];
    let tasks = lines.map(|line| Task::from_json_line(line).unwrap());
    let report = local().run(&one(text), tasks).unwrap();
    let texts: Vec<&str> = report.outputs.iter().map(self::text).collect();
    let (escaped, raw) = (r#"{"new":"\u00e9"}"#, r#"{"new":"é"}"#);
    assert_eq!(texts, [lines[0], escaped, lines[1], raw, lines[2], raw]);
    // The stage again, in batches.
    let text = "class Stage:\n    def process_batch(self, tasks): return tasks";
    let tasks = lines.map(|line| Task::from_json_line(line).unwrap());
    let pipeline = Pipeline::new("test").with_stage(python(text).with_batch_size(3));
    let report = local().run(&pipeline, tasks).unwrap();
    assert_eq!(report.outputs.iter().map(self::text).collect::<Vec<_>>(), lines);
}

#[test]
fn half_a_surrogate_pair_is_an_error_only_where_rust_looks_at_it() {
    let line = r#"{"n":1,"t":["\ud800"]}"#;
    let tasks = || [r#"{"n":0}"#, line].map(|line| Task::from_json_line(line).unwrap());
    let look = |is_careless: bool| {
        RustStage::from_fn("look", move |task: Task, _: &mut Context| {
            let value = match task.data.as_json() {
                Some(value) => value.clone(),
                // A stage that ignores the error must not go on with an empty value.
                None if is_careless => Value::Null,
                None => return Err(task.data.json().unwrap().unwrap_err().into()),
            };
            Ok::<_, BoxError>(task.with_data(value))
        })
    };
    for is_careless in [true, false] {
        let pipeline = Pipeline::new("t")
            .with_stage(python(LOOK))
            .with_stage(pass_in_rust("pass"))
            .with_stage(look(is_careless));
        let report = recording().run(&pipeline, tasks()).unwrap();
        assert_eq!(report.outputs.len(), 1);
        let failed = &report.failed[0];
        assert_eq!(failed.stage, "look");
        let Cause::Unreadable(why) = &failed.cause else { panic!("{failed}") };
        assert!(why.starts_with(r#"data["t"][0] holds half of a surrogate pair"#), "{why}");
    }
    let pipeline = Pipeline::new("t").with_stage(python(LOOK)).with_stage(pass_in_rust("pass"));
    let report = recording().run(&pipeline, tasks()).unwrap();
    assert_eq!(self::text(&report.outputs[1]), line);
}

#[test]
fn what_python_cannot_read_is_its_tasks_failure_alone() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let lines = [deep(100_000), deep(200), "1".to_owned()];
    let report = recording().run(&one(LOOK), tasks(&lines)).unwrap();
    assert_eq!(report.outputs.iter().map(text).collect::<Vec<_>>(), [&lines[1], "1"]);
    let Cause::Raised(error) = &report.failed[0].cause else { panic!("{:?}", report.failed) };
    assert!(error.message.contains("nested deeper than"), "{}", error.message);
    // What does not look passes it on.
    let pipeline = Pipeline::new("t").with_stage(pass_in_rust("pass"));
    for pipeline in [pipeline, one(PASS)] {
        let report = recording().run(&pipeline, tasks(&lines)).unwrap();
        assert_all_the_same(&lines, &report.outputs);
    }
}

#[test]
fn keys_that_come_twice_pass_unread() {
    let line = r#"{"a":1,"b":0,"a":2}"#;
    let task = || [Task::from_json_line(line).unwrap()];
    let report = local().run(&Pipeline::new("t").with_stage(look_in_rust("look")), task()).unwrap();
    assert_eq!(text(&report.outputs[0]), line);
    // The last value of a repeated key counts, as in Python.
    assert_eq!(report.outputs[0].data.as_json(), Some(&json!({ "a": 2, "b": 0 })));
    let report = local().run(&one(LOOK), task()).unwrap();
    assert_eq!(text(&report.outputs[0]), r#"{"a":2,"b":0}"#);
}

/// JSON that Python would write in another way, or not at all.
const ODD: [&str; 6] = [
    r#"{"a":1,"b":0,"a":2}"#,
    r"[1.10,1E400,-0,1e5,0.1234567890123456789012]",
    "12345678901234567890123.000",
    r#"{"s":"\ud800 \/ é","t":"\uD83D\uDE00"}"#,
    r#""""#,
    "null",
];

/// A stage in Python that does not look at a task's data passes on the text, whatever it does with
/// the task, and whenever it gives it back.
#[test]
fn what_python_does_not_look_at_comes_out_as_its_text() {
    let lines = ODD.map(str::to_owned);
    let stages = [
        PASS,
        "class Stage:\n    def process(self, task):\n        task.metadata['seen'] = True\n        \
         return [task]",
        "class Stage:\n    def process(self, task):\n        yield task",
        "class Stage:\n    async def process(self, task): return task",
        "class Stage:\n    def process_batch(self, tasks): return tasks",
        "from curator_stage import Aggregate\nclass Stage:\n    def process_batch(self, tasks): \
         return Aggregate(tasks)",
        // A batch later; what is left comes with the last one.
        "class Stage:\n    kept = []\n    def process(self, task):\n        \
         self.kept.append(task)\n        if len(self.kept) == 6:\n            return \
         self.kept\n        return None",
    ];
    for stage in stages {
        for batch_size in [1, 4, 6] {
            let stage = python(stage).with_batch_size(batch_size).with_num_workers(1);
            let pipeline = Pipeline::new("t").with_stage(stage);
            let report = local().run(&pipeline, tasks(&lines)).unwrap();
            // The outputs of an aggregate have ids of their own, and so another order.
            let found: BTreeSet<_> = report.outputs.iter().map(text).collect();
            assert_eq!(found, ODD.into_iter().collect(), "{batch_size}");
            assert_eq!(report.outputs.len(), ODD.len());
        }
    }
}

/// A look that comes late, from elsewhere, at a copy, or in place of another: each sees the data.
#[test]
fn data_is_there_for_every_way_to_look() {
    let looks = [
        "return task.data",
        "return getattr(task, 'data')",
        "import copy; return copy.copy(task)",
        "import copy; return copy.deepcopy([task])[0].data",
        "import pickle; return pickle.loads(pickle.dumps(task)).data",
        "task.data['n'] += 0; return task",
        "from curator_stage import Task; return Task(task.data)",
        "from concurrent.futures import ThreadPoolExecutor as P\n        with P(4) as p:\n            \
         a, b = p.map(lambda it: it.data, [task, task])\n        assert a is b is task.data\n        \
         return task",
        "assert task == task; return task",
        "assert \"data={'n': 1.5}\" in repr(task); return task",
        "task.data = {'n': 1.5}; return task",
    ];
    for look in looks {
        let stage = format!("class Stage:\n    def process(self, task):\n        {look}");
        let report = local().run(&one(&stage), tasks(&[r#"{"n":1.50}"#.to_owned()])).unwrap();
        assert_eq!(text(&report.outputs[0]), r#"{"n":1.5}"#, "{look}");
    }
}

/// The time grows linearly with the number of outputs; otherwise a run of this many would take
/// hours.
#[test]
fn a_task_may_become_very_many() {
    const MANY: usize = 30_000;
    let text = format!("class Stage:\n    def process(self, task): return [0] * {MANY}");
    let fail = RustStage::from_fn("fail", |task: Task, _: &mut Context| {
        if task.id().to_string().ends_with('7') { Err(BoxError::from("no")) } else { Ok(task) }
    });
    let report = recording()
        .run(&Pipeline::new("t").with_stage(python(&text)).with_stage(fail), [Task::empty()])
        .unwrap();
    assert_eq!((report.outputs.len(), report.failed.len()), (MANY - MANY / 10, MANY / 10));
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(&one(&text)).unwrap();
    let checkpoint = Checkpoint::open(dir.path(), &plan).unwrap();
    let mut count = 0;
    let mut sink = |_: Task| {
        count += 1;
        Ok(())
    };
    let mut tasks = [Task::empty()].into_iter();
    checkpoint.run(&local(), &plan, &mut tasks, Arc::new(()), &mut sink).unwrap();
    assert_eq!(count, MANY);
}

/// Classes that are made of `Task`, with `data` as a field, an attribute or a property of their own.
#[test]
fn a_stage_may_make_its_own_classes_of_tasks() {
    const CLASSES: &str = "
import copy, pickle
from dataclasses import dataclass, field
from curator_stage import Task

@dataclass
class Field(Task):
    data: list
    extra: int
    metadata: dict = field(default_factory=dict)
    dataset_name: str = ''

@dataclass
class Made(Field):
    data: list = field(default_factory=list)
    extra: int = 1

class Attribute(Task):
    data = 0

class Property(Task):
    data = property(lambda self: self.own, lambda self, data: setattr(self, 'own', data))

class Below(Property):
    pass

class Slots(Task):
    __slots__ = ('extra',)

class Own(Task):
    def __init__(self, data):
        self.data, self.metadata, self.dataset_name = data, {}, ''

class Stage:
    def process(self, task):
        try:
            Field()
        except TypeError as error:
            assert 'data' in str(error), error
        else:
            raise AssertionError('a field has a default value that it was not given')
        assert Made().data == []
        made = [Field([1], 2), Made([1]), Made(), Attribute([1]), Property([1]), Below([1]),
                Slots([1]), Own([1])]
        for at, it in enumerate(made):
            it.data = [*it.data, at]
            for other in (copy.copy(it), copy.deepcopy(it), pickle.loads(pickle.dumps(it))):
                assert type(other) is type(it) and other.data == it.data, other
        return made
";
    let report = local().run(&one(CLASSES), tasks(&["1".to_owned()])).unwrap();
    let found: Vec<_> = report.outputs.iter().map(text).collect();
    let expected = ["[1,0]", "[1,1]", "[2]", "[1,3]", "[1,4]", "[1,5]", "[1,6]", "[1,7]"];
    assert_eq!(found, expected);
}
