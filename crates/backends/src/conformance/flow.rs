//! Tasks on their way through stages.

use serde_json::{Value, json};
use stage::{Data, Pipeline, Task};

use super::setting::{Notes, Setting, data, numbers};
use super::stages::{multiply, python};

fn pipeline() -> Pipeline {
    Pipeline::new("conformance")
}

/// `setup_on_node` runs once, before any `setup`, and `teardown` as often as `setup`.
pub(super) fn hooks(setting: &Setting<'_>) {
    let notes = Notes::new();
    let stage = python("Hooks", json!({ "folder": notes.path() })).with_num_workers(2);
    let report = setting.must_run(&pipeline().with_stage(stage), numbers(20));
    assert_eq!(report.outputs.len(), 20);
    let lines = notes.lines();
    assert_eq!(notes.count("setup_on_node"), 1, "{lines:?}");
    assert_eq!(lines.first().map(String::as_str), Some("setup_on_node"), "{lines:?}");
    let setups = notes.count("setup");
    assert!((1..=2).contains(&setups), "{lines:?}");
    assert_eq!(notes.count("teardown"), setups, "{lines:?}");
}

/// Tasks multiply and vanish, through Python, Rust and Python again, and their ids show their
/// origin.
pub(super) fn fan_out(setting: &Setting<'_>) {
    let pipeline = pipeline()
        .with_stage(python("Range", Value::Null))
        .with_stage(multiply(10))
        .with_stage(python("Increment", Value::Null));
    let report = setting.must_run(&pipeline, numbers(4));
    let seen: Vec<(String, Value)> =
        report.outputs.iter().map(|task| task.id().to_string()).zip(data(&report)).collect();
    let expected = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)].map(|(parent, child)| {
        let id = format!("0_{parent}_{child}_0_0");
        (id, json!({ "n": child * 10 + 1, "of": format!("0_{parent}") }))
    });
    assert_eq!(seen, expected);
    let timed: Vec<&str> =
        report.outputs[0].timings().iter().map(|timing| timing.stage.as_str()).collect();
    assert_eq!(timed, ["Range", "multiply", "Increment"]);
    for (stage, counts) in report.stages.iter().zip([(4, 6), (6, 6), (6, 6)]) {
        assert_eq!((stage.tasks, stage.outputs), counts, "{stage:?}");
    }
}

/// A batch becomes one task, and no task is left out or counted twice.
pub(super) fn aggregate(setting: &Setting<'_>) {
    let stage = python("Sum", Value::Null).with_batch_size(5).with_num_workers(1);
    let report = setting.must_run(&pipeline().with_stage(stage), numbers(20));
    let sum = |key: &str| data(&report).iter().filter_map(|data| data[key].as_u64()).sum::<u64>();
    assert_eq!((sum("count"), sum("sum")), (20, 190));
    assert!(report.outputs.iter().all(|task| task.id().to_string().starts_with('r')));
}

/// Unchanged data comes out with the same digits, keys in the same order and the same escapes,
/// through Python, Rust that reads and writes, and Python again.
pub(super) fn exact(setting: &Setting<'_>) {
    let tasks: Vec<String> = samples();
    let given = tasks.iter().map(|line| Task::from_json_line(line).expect("a task"));
    let pass =
        || python("Exact", json!({ "a": 1e-5, "A": 123_456_789_012_345_678_901_234_567_890_u128 }));
    let through_rust = pipeline()
        .with_stage(pass().with_batch_size(7))
        .with_stage(multiply(1))
        .with_stage(pass().with_name("again"));
    for pipeline in [pipeline().with_stage(pass()), through_rust] {
        let report = setting.must_run(&pipeline, given.clone().collect());
        assert_eq!(report.outputs.len(), tasks.len());
        for (line, task) in tasks.iter().zip(&report.outputs) {
            let Data::Json(json) = &task.data else { panic!("other data came back") };
            assert_eq!(json.text(), line);
        }
    }
}

/// Returns objects with a number `n`, as Python's `json` writes them.
fn samples() -> Vec<String> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut doubles = move || {
        let number = f64::from_bits(next());
        if number.is_finite() { number } else { -0.0 }
    };
    let sample = |at: usize| {
        let doubles: Vec<String> = (0..50).map(|_| as_python(doubles())).collect();
        let digits = "1234567890".repeat(1 + at % 40);
        format!(
            r#"{{"z":[{}],"n":{at},"a":{digits},"é":"ü","A":{{"y":null,"x":-{digits}}}}}"#,
            doubles.join(",")
        )
    };
    (0..100).map(sample).collect()
}

/// Returns a double as Python's `repr` prints it.
fn as_python(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').expect("an exponent");
    match exponent.parse::<i32>().expect("a number") {
        -4..16 => format!("{number:?}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

/// Many small tasks through three stages with different batch sizes: none is lost, doubled or mixed
/// up.
pub(super) fn thousand(setting: &Setting<'_>) {
    let stage =
        |name: &str, size| python("Increment", Value::Null).with_name(name).with_batch_size(size);
    let pipeline = pipeline()
        .with_stage(stage("one", 100))
        .with_stage(stage("two", 7))
        .with_stage(stage("three", 250));
    let report = setting.must_run(&pipeline, numbers(1000));
    let seen: Vec<Value> = data(&report);
    let expected: Vec<Value> = (0..1000).map(|number| json!({ "n": number + 3 })).collect();
    assert!(
        seen == expected,
        "{} outputs: {:?} …",
        seen.len(),
        seen.iter().take(5).collect::<Vec<_>>()
    );
    assert_eq!(report.stages.iter().map(|stage| stage.tasks).collect::<Vec<_>>(), [1000; 3]);
}

/// One large payload passes through two stages unchanged.
pub(super) fn large(setting: &Setting<'_>) {
    let bytes: Vec<u8> = (0..50_000_000_u32).map(|at| (at % 251) as u8).collect();
    let stage = |name: &str| python("Reverse", Value::Null).with_name(name);
    let pipeline = pipeline().with_stage(stage("there")).with_stage(stage("back"));
    let report = setting.must_run(&pipeline, vec![Task::new(bytes.clone())]);
    let [task] = &report.outputs[..] else { panic!("{} outputs", report.outputs.len()) };
    assert!(task.data.as_bytes() == Some(&bytes[..]), "the bytes changed on the way");
}

/// Tables pass through stages batch by batch, small ones and large ones.
#[cfg(feature = "arrow")]
pub(super) fn tables(setting: &Setting<'_>) {
    let tables = [0, 3, 200_000].map(table);
    let pipeline = pipeline()
        .with_stage(super::stages::reverse("there"))
        .with_stage(super::stages::reverse("back"));
    let report = setting.must_run(&pipeline, tables.clone().map(Task::new).into());
    let back: Vec<_> = report.outputs.iter().map(|task| task.data.as_table()).collect();
    assert!(back == tables.each_ref().map(Some), "the tables changed on the way");
}

/// Tables pass through Python stages: one with `pyarrow`, if the base has it, cuts and joins them;
/// one without it does, too; and one only passes them on.
#[cfg(feature = "arrow")]
pub(super) fn columns(setting: &Setting<'_>) {
    let double = |name: &str, has_pyarrow: bool| {
        let args = json!({ "has_pyarrow": has_pyarrow });
        python("Double", args).with_name(name)
    };
    let pipeline = pipeline()
        .with_stage(double("with", true))
        .with_stage(super::stages::reverse("there"))
        .with_stage(double("without", false))
        .with_stage(python("Pass", Value::Null))
        .with_stage(super::stages::reverse("back"));
    // Without empty batches, which pyarrow does not write.
    let tables = [1, 3, 50_000].map(table);
    let report = setting.must_run(&pipeline, tables.clone().map(Task::new).into());
    let back: Vec<_> = report.outputs.iter().map(|task| task.data.as_table()).collect();
    let expected: Vec<_> = tables.iter().flat_map(|table| [Some(table); 4]).collect();
    assert!(back == expected, "the tables changed on the way");
}

/// Returns a table in two batches, the second with one row more.
#[cfg(feature = "arrow")]
fn table(rows: i64) -> stage::Table {
    use std::sync::Arc;

    use stage::arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    let batch = |first: i64, rows: i64| {
        let numbers: Int64Array = (first..first + rows).map(Some).collect();
        let texts: StringArray = (0..rows).map(|row| (row % 2 == 0).then_some("text")).collect();
        let columns = [("n", Arc::new(numbers) as ArrayRef), ("text", Arc::new(texts))];
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .expect("two columns of one length")
    };
    let batches = vec![batch(0, rows), batch(7, 1)];
    stage::Table::new(batches[0].schema(), batches).expect("batches of one schema")
}

/// No tasks, and a stage that drops all tasks: neither is an error.
pub(super) fn nothing(setting: &Setting<'_>) {
    let pipeline = pipeline()
        .with_stage(python("Range", Value::Null))
        .with_stage(python("Increment", Value::Null));
    assert!(setting.must_run(&pipeline, Vec::new()).outputs.is_empty());
    let report = setting.must_run(&pipeline, numbers(1));
    assert!(report.outputs.is_empty(), "{:?}", report.outputs);
    assert_eq!(report.stages.len(), 2);
}
