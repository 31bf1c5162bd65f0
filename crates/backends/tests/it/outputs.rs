//! What a stage may return, and the ids of its outputs.

use backends::{Cause, Error, Event, ExecutorExt};
use serde_json::{Value, json};
use stage::{AnyStage, BoxError, Context, Data, Pipeline, PythonStage, RustStage, Task};

use crate::support::{local, numbers, one, outputs, python, recording, watched};

#[test]
fn a_value_a_task_a_list_and_none() {
    let text = r#"
from curator_stage import Task
class Stage:
    def process(self, task):
        n = task.data["n"]
        if n == 0:
            return {"value": n}
        if n == 1:
            task.data["seen"] = task.id
            return task
        if n == 2:
            return [{"i": i} for i in range(3)]
        if n == 3:
            return Task([1, 2], metadata={"kind": "list"})
        if n == 4:
            return (item for item in "ab")
        return None
"#;
    let report = local().run(&one(text), numbers(6)).unwrap();
    let expected = [
        ("0_0_0", json!({ "value": 0 })),
        ("0_1_0", json!({ "n": 1, "seen": "0_1" })),
        ("0_2_0", json!({ "i": 0 })),
        ("0_2_1", json!({ "i": 1 })),
        ("0_2_2", json!({ "i": 2 })),
        ("0_3_0", json!([1, 2])),
        ("0_4_0", json!("a")),
        ("0_4_1", json!("b")),
    ];
    assert_eq!(outputs(&report), expected.map(|(id, data)| (id.to_owned(), data)));
    assert_eq!(report.outputs[5].metadata["kind"], "list");
    assert_eq!((report.stages[0].tasks, report.stages[0].outputs), (6, 8));
}

#[test]
fn metadata_and_dataset_travel_and_bytes_stay_bytes() {
    let text = r#"
class Stage:
    def process(self, task):
        assert task.dataset_name == "set" and task.metadata == {"a": 1}, task.metadata
        task.metadata["b"] = 2
        task.data = task.data + b"\x00\xff"
        return task
"#;
    let pipeline = one(text).with_stage(
        python("class Stage:\n def process(self, task): return bytes(reversed(task.data))")
            .with_name("second"),
    );
    let metadata = json!({ "a": 1 }).as_object().cloned().unwrap();
    let task = Task::new(vec![1_u8]).with_dataset_name("set").with_metadata(metadata);
    let report = local().run(&pipeline, [task]).unwrap();
    let output = &report.outputs[0];
    assert_eq!(output.data, Data::Bytes(vec![0xff, 0, 1]));
    assert_eq!(output.dataset_name, "set");
    assert_eq!(Value::Object(output.metadata.clone()), json!({ "a": 1, "b": 2 }));
    let timed: Vec<&str> = output.timings().iter().map(|timing| timing.stage.as_str()).collect();
    assert_eq!(timed, ["stage", "second"]);
}

#[test]
fn a_batch_gives_one_entry_per_task_or_an_aggregate() {
    let text = r#"
from curator_stage import Aggregate
class Stage:
    def __init__(self, mode):
        self.mode = mode
    def process_batch(self, tasks):
        ns = [task.data["n"] for task in tasks]
        if self.mode == "sum":
            return Aggregate([{"sum": sum(ns)}])
        if self.mode == "short":
            return [None]
        return [n if n % 2 else None for n in ns]
"#;
    let stage = |mode: &str| {
        let stage = python(text).with_args(json!({ "mode": mode })).with_batch_size(4);
        Pipeline::new("test").with_stage(stage)
    };
    let report = local().run(&stage("odd"), numbers(10)).unwrap();
    let odd: Vec<Value> = outputs(&report).into_iter().map(|(_, data)| data).collect();
    assert_eq!(odd, [1, 3, 5, 7, 9].map(Value::from));
    assert_eq!(report.outputs[0].id().to_string(), "0_1_0");
    assert_eq!(report.stages[0].batches, 3, "two full ones and the rest");

    let report = local().run(&stage("sum"), numbers(8)).unwrap();
    let sums: Vec<Value> =
        outputs(&report).into_iter().map(|(_, data)| data["sum"].clone()).collect();
    assert_eq!(sums.len(), 2);
    assert!(sums.contains(&json!(6)) && sums.contains(&json!(22)));
    assert!(report.outputs.iter().all(|task| task.id().to_string().starts_with('r')));
    let again = local().run(&stage("sum"), numbers(8)).unwrap();
    assert_eq!(outputs(&again), outputs(&report), "ids follow from the parents alone");

    let error = local().run(&stage("short"), numbers(4)).unwrap_err();
    assert!(error.to_string().contains("got 4 tasks and returned 1 entries"), "{error}");
}

#[test]
fn what_cannot_be_sent_is_named_with_its_place() {
    let text = r#"
from curator_stage import Task
class Stage:
    def process(self, task):
        loop = []
        loop.append(loop)
        return [
            {"a": [1, {"b": object()}]}, {"a": float("nan")}, {(1, 2): "key"}, Task(1, {"t": "\ud800"}), loop, {"set": {1}},
        ][task.data["n"]]
"#;
    let report = recording().run(&one(text), numbers(6)).unwrap();
    let messages: Vec<String> = report
        .failed
        .iter()
        .map(|failed| match &failed.cause {
            Cause::Raised(error) => error.message.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    // The list is data here, so its items are outputs; one that contains itself still cannot travel.
    for expected in [
        "data['a'][1]['b'] is a builtins.object",
        "data['a'] is nan, which JSON cannot hold",
        "has the key (1, 2), and keys must be text",
        "metadata['t'] holds half of a surrogate pair",
        "contains itself",
        "data['set'] is a builtins.set",
    ] {
        assert!(
            messages.iter().any(|message| message.contains(expected)),
            "{expected}: {messages:?}"
        );
    }
    assert!(report.outputs.is_empty());
}

#[test]
fn declared_inputs_are_checked_at_the_door() {
    let stage = python("class Stage:\n def process(self, task): return task").with_inputs(["text"]);
    let pipeline = Pipeline::new("test").with_stage(stage);
    let error = local().run(&pipeline, numbers(1)).unwrap_err();
    let Error::Task(failed) = &error else { panic!("{error:?}") };
    assert!(failed.to_string().contains("it needs the key 'text', and has 'n'"), "{failed}");
}

/// Whatever the outputs are and come of, and whatever the stage is written in.
#[test]
fn an_output_without_a_declared_key_is_warned_of_once() {
    const GIVES: [(&str, &[&str]); 5] = [
        ("def process(self, task): return task", &["`m`, `o`"]),
        ("def process(self, task): return {'m': 1, 'n': 2, 'o': 3}", &[]),
        ("def process(self, task): return [{'m': 1, 'o': 1}, {'m': 2}]", &["`o`"]),
        ("def process(self, task): return None if task.data['n'] else b''", &["`m`, `o`"]),
        ("def process_batch(self, tasks): return Aggregate([{'o': 0}])", &["`m`"]),
    ];
    let rust = RustStage::from_fn("stage", |task: Task, _: &mut Context| {
        Ok::<_, BoxError>(task.with_data(json!({ "m": [] })))
    });
    let head = "from curator_stage import Aggregate\nclass Stage:\n";
    let stages =
        GIVES.map(|(code, lacks)| (AnyStage::from(python(&format!("{head} {code}"))), lacks));
    for (stage, lacks) in stages.into_iter().chain([(rust.into(), &["`o`"][..])]) {
        let pipeline = Pipeline::new("test").with_stage(stage.with_outputs(["m", "o"]));
        let (result, events) = watched(&local(), &pipeline, numbers(30));
        result.unwrap_or_else(|error| panic!("{}", error.report()));
        let told: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Warning { message, .. } => Some(message.as_str()),
                _ => None,
            })
            .collect();
        let expected: Vec<_> = lacks
            .iter()
            .map(|keys| {
                format!("it gave a task without {keys}, which it declares among its outputs")
            })
            .collect();
        assert_eq!(told, expected);
    }
}

#[test]
fn functions_modules_and_arguments() {
    let text = "def double(task): return task.data['n'] * 2\nclass Outer:\n  class Inner:\n    def __init__(self, a, b=0): self.sum = a + b\n    def process(self, task): return task.data + self.sum";
    let pipeline = Pipeline::new("test")
        .with_stage(PythonStage::from_source(text, "double"))
        .with_stage(
            PythonStage::from_source(text, "Outer.Inner").with_args(json!([10])).with_name("a"),
        )
        .with_stage(
            PythonStage::from_source(text, "Outer.Inner")
                .with_args(json!({ "a": 100, "b": 1 }))
                .with_name("b"),
        )
        .with_stage(PythonStage::from_module("copy", "copy").with_name("module"));
    let report = local().run(&pipeline, numbers(2)).unwrap();
    assert_eq!(
        outputs(&report),
        [("0_0_0_0_0_0".to_owned(), json!(111)), ("0_1_0_0_0_0".to_owned(), json!(113))]
    );
}

/// Between Python stages, a table is bytes that the program need not read.
#[cfg(not(feature = "arrow"))]
#[test]
fn a_table_that_the_program_cannot_read_passes_between_python_stages() {
    let make = r"
import curator_streams
class Fake:
    def __init__(self, data):
        self.data = data
    def size(self):
        return len(self.data)
    def write_into(self, view):
        view[:] = self.data
class Stage:
    def setup(self):
        curator_streams.as_table = lambda data: data if isinstance(data, Fake) else None
        curator_streams.stream = lambda fake: fake
    def process(self, task):
        return Fake(b'table' * 10_000 * task.data['n'])
";
    let read = r"
import curator_streams
class Stage:
    def setup(self):
        curator_streams.open_table = lambda view: [len(view)]
    def process(self, task):
        return task.data[0]
";
    let tables = python(make).with_name("tables");
    let pipeline = Pipeline::new("test").with_stage(tables.clone()).with_stage(python(read));
    let report = local().run(&pipeline, numbers(3)).unwrap();
    let sizes: Vec<_> = outputs(&report).into_iter().map(|(_, size)| size).collect();
    assert_eq!(sizes, [json!(0), json!(50_000), json!(100_000)]);
    let error = local().run(&Pipeline::new("test").with_stage(tables), numbers(1)).unwrap_err();
    assert!(error.report().contains("built with the feature `arrow`"), "{}", error.report());
}

/// A coroutine is awaited, in one event loop for the life of a worker. Generators of either kind
/// give the values that they yield: one entry for each task for `process_batch`.
#[test]
fn coroutines_and_generators_are_run() {
    let head = r"
import asyncio
from curator_stage import Aggregate, Task
class Stage:
    async def setup(self):
        self.loop = asyncio.get_running_loop()
        self.lock = asyncio.Lock()
    async def double(self, task):
        assert asyncio.get_running_loop() is self.loop
        async with self.lock:
            await asyncio.sleep(0)
            return task.data['n'] * 2
";
    let one_each = [0, 2, 4, 6].map(Value::from).to_vec();
    let twice = [0, 0, 2, 2, 4, 4, 6, 6].map(Value::from).to_vec();
    for (body, expected) in [
        ("    async def process(self, task): return await self.double(task)\n", &one_each),
        ("    async def process(self, task): return Task(await self.double(task))\n", &one_each),
        ("    async def process(self, task): return [await self.double(task)] * 2\n", &twice),
        ("    def process(self, task): return self.double(task)\n", &one_each),
        (
            "    async def process(self, task):\n        for _ in range(2): yield await self.double(task)\n",
            &twice,
        ),
        (
            "    def process(self, task):\n        yield task.data['n'] * 2\n        yield Task(task.data['n'] * 2)\n",
            &twice,
        ),
        (
            "    async def process_batch(self, tasks): return await asyncio.gather(*map(self.double, tasks))\n",
            &one_each,
        ),
        (
            "    def process_batch(self, tasks): return [self.double(task) for task in tasks]\n",
            &one_each,
        ),
        (
            "    def process_batch(self, tasks):\n        for task in tasks: yield task.data['n'] * 2\n",
            &one_each,
        ),
        (
            "    def process_batch(self, tasks):\n        for task in tasks: yield [task.data['n'] * 2] * 2\n",
            &twice,
        ),
        (
            "    async def process_batch(self, tasks):\n        for task in tasks: yield await self.double(task)\n",
            &one_each,
        ),
    ] {
        let stage = python(&format!("{head}{body}")).with_batch_size(4).with_num_workers(1);
        let report = local().run(&Pipeline::new("test").with_stage(stage), numbers(4));
        let report = report.unwrap_or_else(|error| panic!("{body}: {}", error.report()));
        let found: Vec<Value> = outputs(&report).into_iter().map(|(_, data)| data).collect();
        assert_eq!(&found, expected, "{body}");
    }
    let drops = "    async def process(self, task): await self.double(task)\n";
    let report = local().run(&one(&format!("{head}{drops}")), numbers(4)).unwrap();
    assert_eq!(report.outputs.len(), 0);
    let sum = "    async def process_batch(self, tasks):\n        return Aggregate([sum([await self.double(task) for task in tasks])])\n";
    let stage = python(&format!("{head}{sum}")).with_batch_size(4);
    let report = local().run(&Pipeline::new("test").with_stage(stage), numbers(4)).unwrap();
    assert_eq!(report.outputs[0].data, json!(12).into());
    let function = "async def Stage(task): return task.data['n']";
    assert_eq!(local().run(&one(function), numbers(3)).unwrap().outputs.len(), 3);
}

/// What a stage yields is sent as it is then, though the stage goes on to change it: one object, filled
/// anew for each yield, is as many outputs.
#[test]
fn what_is_yielded_is_what_it_was_at_that_moment() {
    let head = "from curator_stage import Task\nclass Stage:\n";
    let fill =
        "        one = {}\n        for k in range(3):\n            one['k'] = k\n            ";
    let process = [
        format!("    def process(self, task):\n{fill}yield one\n"),
        format!("    async def process(self, task):\n{fill}yield one\n"),
        format!("    def process(self, task):\n{fill}task.data = one\n            yield task\n"),
        format!("    def process(self, task):\n{fill}yield Task(one)\n            one['k'] = 9\n"),
        format!(
            "    def process(self, task): return self.make()\n    def make(self):\n{fill}yield one\n"
        ),
        format!(
            "    def process_batch(self, tasks): return [self.make() for task in tasks]\n    def \
             make(self):\n{fill}yield one\n"
        ),
        format!(
            "    async def process_batch(self, tasks):\n        for task in tasks: yield self.make()\n    \
             async def make(self):\n{fill}yield one\n"
        ),
    ];
    let three = [0, 1, 2, 0, 1, 2].map(|k| json!({ "k": k }));
    let batch = ["", "async "].map(|kind| {
        format!(
            "    {kind}def process_batch(self, tasks):\n        one = []\n        for task in tasks:\n            \
             one[:] = [task.data, {{'k': 7}}]\n            yield one\n            task.data['n'] = 9\n"
        )
    });
    let pairs = [json!({ "n": 0 }), json!({ "k": 7 }), json!({ "n": 1 }), json!({ "k": 7 })];
    let all = process.iter().map(|body| (body, &three[..]));
    for (body, expected) in all.chain(batch.iter().map(|body| (body, &pairs[..]))) {
        let stage = python(&format!("{head}{body}")).with_batch_size(2).with_num_workers(1);
        let report = local().run(&Pipeline::new("test").with_stage(stage), numbers(2));
        let report = report.unwrap_or_else(|error| panic!("{body}: {}", error.report()));
        let found: Vec<Value> = outputs(&report).into_iter().map(|(_, data)| data).collect();
        assert_eq!(found, expected, "{body}");
    }
    // What a generator has yielded before it fails is nothing.
    for kind in ["", "async "] {
        let body = format!(
            "    {kind}def process(self, task):\n        yield b'some'\n        yield task\n        assert task.data['n'] != 1\n"
        );
        let report = recording().run(&one(&format!("{head}{body}")), numbers(3)).unwrap();
        assert_eq!((report.outputs.len(), report.failed.len()), (4, 1), "{body}");
        assert_eq!(outputs(&report)[3].1, json!({ "n": 2 }), "{body}");
    }
}

#[test]
fn what_a_coroutine_raises_is_the_task_s_and_shows_the_stage_s_own_frames() {
    let text = r"
class Stage:
    async def process(self, task):
        if task.data['n'] == 1:
            raise ValueError('no luck')
        return task
";
    let report = recording().run(&one(text), numbers(3)).unwrap();
    assert_eq!((report.outputs.len(), report.failed.len()), (2, 1));
    let detail = report.failed[0].detail();
    assert!(detail.contains("ValueError: no luck") && detail.contains("in process"), "{detail}");
    for ours in ["/curator_", "base_events.py"] {
        assert!(!detail.contains(ours), "{detail}");
    }
}

#[test]
fn values_that_would_be_lost_are_refused() {
    for (text, words) in [
        (
            "class Stage:\n def process(self, task):\n  if True: return 1\n  yield 2",
            "the generator returned a int, which is lost",
        ),
        (
            "class Stage:\n def process_batch(self, tasks):\n  return [1]\n  yield 2",
            "the generator returned a list",
        ),
        (
            "class Stage:\n def process_batch(self, tasks):\n  yield 2\n  yield 2",
            "got 1 tasks and returned 2 entries",
        ),
        (
            "class Stage:\n def process(self, task): return [self.other()]\n async def other(self): pass",
            "await it, in an `async def`",
        ),
    ] {
        let error = local().run(&one(text), numbers(1)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// If a stage drops all its tasks, its code may lack a `return`.
#[test]
fn a_stage_that_dropped_all_that_it_got_is_told_at_the_end() {
    let dropped = |text: &str, count| {
        let (result, events) = watched(&recording(), &one(text), numbers(count));
        result.unwrap();
        let warnings = events.iter().filter_map(|event| match event {
            Event::Warning { stage, message } => Some(format!("{stage:?} {message}")),
            _ => None,
        });
        warnings.collect::<Vec<_>>()
    };
    let forgets = "class Stage:\n def process(self, task): task.data['m'] = 1";
    let all = dropped(forgets, 3);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("\"stage\"") && all[0].contains("it dropped all 3 tasks"), "{all:?}");
    assert!(dropped(forgets, 1)[0].contains("it dropped the only task that it got"));
    assert_eq!(dropped(forgets, 0), [""; 0], "it got none");
    let one_stays =
        "class Stage:\n def process(self, task): return task if task.data['n'] == 1 else None";
    assert_eq!(dropped(one_stays, 3), [""; 0]);
    let fails = "class Stage:\n def process(self, task): raise ValueError";
    assert_eq!(dropped(fails, 3), [""; 0], "that it failed is told");
    let both = "class Stage:\n def process(self, task):\n  if task.data['n']: raise ValueError";
    assert!(dropped(both, 3)[0].contains("it dropped the only task that it got"));
}
