//! Arrow tables between Rust and Python stages, whose environment has `pyarrow` or not.

use std::sync::Arc;

use curator::backends::{Cause, FailurePolicy};
use curator::stage::arrow_array::cast::AsArray;
use curator::stage::arrow_array::types::Int64Type;
use curator::stage::arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use curator::stage::{BoxError, Context, Data, Table};
use curator::{
    ExecutorExt, LocalExecutor, Pipeline, PythonStage, RunReport, RuntimeEnv, RustStage, Task,
};
use serde_json::json;

use crate::support::{local, shared_cache};

/// Returns a table with this many rows, whose numbers begin at `first`.
fn table(first: i64, rows: i64) -> Table {
    let numbers: Int64Array = (first..first + rows).map(Some).collect();
    let texts: StringArray = (0..rows).map(|row| (row % 3 > 0).then(|| "x".repeat(5))).collect();
    let columns = [("n", Arc::new(numbers) as ArrayRef), ("text", Arc::new(texts))];
    RecordBatch::try_from_iter(columns).expect("two columns of one length").into()
}

fn numbers(data: &Data) -> Vec<i64> {
    let table = data.as_table().expect("a table");
    let columns = table.batches().iter().map(|batch| batch.column_by_name("n").expect("a column"));
    columns.flat_map(|column| column.as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// Returns a stage in an environment with `pyarrow` and `pandas`.
fn stage(text: &str) -> PythonStage {
    bare(text).with_runtime_env(pyarrow())
}

fn pyarrow() -> RuntimeEnv {
    RuntimeEnv::uv(["pyarrow", "pandas", "tzdata"])
}

/// Returns a stage in an environment without them.
fn bare(text: &str) -> PythonStage {
    PythonStage::from_source(text, "Stage").with_name("stage")
}

fn recording() -> LocalExecutor {
    local().with_cache_dir(shared_cache()).with_failure_policy(FailurePolicy::Record)
}

fn run(stages: impl IntoIterator<Item = PythonStage>, tables: Vec<Table>) -> RunReport {
    let pipeline = stages.into_iter().fold(Pipeline::new("tables"), Pipeline::with_stage);
    let report = recording().run(&pipeline, tables.into_iter().map(Task::new));
    report.unwrap_or_else(|error| panic!("{}", error.report()))
}

const ADD: &str = r#"
import pyarrow, pyarrow.compute
class Stage:
    def process(self, task):
        assert isinstance(task.data, pyarrow.Table), task.data
        assert task.data.column("text").null_count == (len(task.data) + 2) // 3
        at = task.data.column_names.index("n")
        return task.data.set_column(at, "n", pyarrow.compute.add(task.data.column("n"), 1))
"#;

#[test]
fn a_table_goes_through_python_stages_and_comes_back() {
    let sizes = [0, 1, 10, 5_000, 200_000, 3];
    let stages = ["one", "two"].map(|name| stage(ADD).with_name(name));
    let report = run(stages, sizes.map(|rows| table(7, rows)).into());
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    for (task, rows) in report.outputs.iter().zip(sizes) {
        assert_eq!(numbers(&task.data), (9..9 + rows).collect::<Vec<_>>());
    }
    // Repeated with a Rust stage between them, and with all data over the socket.
    let double = RustStage::from_fn("double", |task: Task, _: &mut Context| {
        let first = numbers(&task.data).first().copied().unwrap_or_default();
        let rows = task.data.as_table().map_or(0, Table::rows);
        Ok::<_, BoxError>(task.with_data(table(2 * first, i64::try_from(rows)?)))
    });
    let pipeline = Pipeline::new("mixed").with_stage(stage(ADD)).with_stage(double);
    let tasks = || [Task::new(table(4, 20_000))];
    for executor in [recording(), recording().with_arenas_from(None)] {
        let report = executor.run(&pipeline, tasks()).unwrap();
        assert_eq!(numbers(&report.outputs[0].data), (10..20_010).collect::<Vec<_>>());
    }
}

#[test]
fn the_columns_are_the_shared_memory_and_what_is_kept_never_changes() {
    // 80 tables of 4 MiB are more than an arena holds.
    let text = r#"
import pyarrow.compute
from curator_stage import Task
class Stage:
    def setup(self):
        self.kept = []
    def is_shared(self, address):
        with open("/proc/self/maps") as maps:
            for line in maps:
                if "memfd:curator" in line:
                    start, end = (int(part, 16) for part in line.split()[0].split("-"))
                    if start <= address < end:
                        return True
        return False
    def process(self, task):
        column = task.data.column("n")
        self.kept.append((column[0].as_py(), column))
        for first, kept in self.kept:
            assert kept[0].as_py() == first and kept[-1].as_py() == first + len(kept) - 1
            assert pyarrow.compute.sum(kept).as_py() == len(kept) * (2 * first + len(kept) - 1) // 2
        if column[0].as_py() % 7 == 0:
            self.kept.clear()
        shared = self.is_shared(column.chunk(0).buffers()[1].address)
        return [Task({"shared": shared})]
"#;
    let shared = |count: i64, rows: i64| {
        let tables = (0..count).map(|number| table(number, rows)).collect();
        let report = run([stage(text).with_num_workers(1)], tables);
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        let is_shared =
            |task: &Task| task.data.as_json().is_some_and(|data| data["shared"] == true);
        report.outputs.iter().filter(|task| is_shared(task)).count()
    };
    assert_eq!(shared(60, 100_000), 60);
    assert_eq!(shared(5, 10), 0, "small ones come with the frame");
    let all = text.replace("% 7 == 0", "< 0");
    let report = run(
        [stage(&all).with_num_workers(1)],
        (0..90).map(|number| table(number, 300_000)).collect(),
    );
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.outputs.len(), 90);
}

/// Tables of every size, passed on or made anew, go through three stages, each of which may pass on
/// memory that another stage wrote.
#[test]
fn tables_are_handed_on_from_stage_to_stage() {
    let text = r#"
import pyarrow, pyarrow.compute
class Stage:
    def setup(self):
        self.kept = []
    def process(self, task):
        table, number = task.data, task.data.column("n")[0].as_py()
        assert pyarrow.compute.sum(table.column("n")).as_py() == len(table) * (2 * number + len(table) - 1) // 2
        self.kept = (self.kept + [(number, table)])[-3:]
        assert all(kept.column("n")[0].as_py() == first for first, kept in self.kept)
        if number % 2:
            return table
        task.data = table.set_column(0, "n", pyarrow.compute.add(table.column("n"), 2))
        return [task, pyarrow.table({"n": [number]})]
"#;
    let sizes = [1, 20_000, 700, 300_000, 2_000_000, 5, 90_000, 1_000_000, 1];
    let tables = sizes.iter().enumerate().map(|(number, rows)| {
        let number = i64::try_from(number).expect("a small number");
        table(number, *rows)
    });
    let stages = ["one", "two", "three"].map(|name| stage(text).with_name(name));
    let report = run(stages, tables.collect());
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let mut expected = Vec::new();
    for (first, rows) in (0..).zip(sizes) {
        if first % 2 == 1 {
            expected.push((first, rows));
            continue;
        }
        // Each stage adds two, and a table with the number that it saw.
        expected.push((first + 6, rows));
        expected.push((first + 4, 1));
        expected.extend([(first + 4, 1), (first + 2, 1)]);
        expected.extend([(first + 4, 1), (first + 2, 1), (first + 2, 1), (first, 1)]);
    }
    let mut seen: Vec<(i64, i64)> = report
        .outputs
        .iter()
        .map(|task| {
            let numbers = numbers(&task.data);
            let (first, rows) = (numbers[0], i64::try_from(numbers.len()).expect("a small number"));
            assert!(numbers.iter().copied().eq(first..first + rows));
            (first, rows)
        })
        .collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// Rust stages without a worker between them share a table's memory.
#[test]
fn rust_stages_hand_a_table_on_as_it_is() {
    let address = |task: &Task| {
        let batch = &task.data.as_table().expect("a table").batches()[0];
        batch.column(0).as_primitive::<Int64Type>().values().as_ptr().addr()
    };
    let note = |name: &'static str| {
        RustStage::from_fn(name, move |mut task: Task, _: &mut Context| {
            task.metadata.insert(name.to_owned(), json!(address(&task)));
            Ok::<_, BoxError>(task)
        })
    };
    let task = Task::new(table(3, 100_000));
    let pipeline = Pipeline::new("rust").with_stage(note("one")).with_stage(note("two"));
    let report = recording().run(&pipeline, [task.clone()]).unwrap();
    let output = &report.outputs[0];
    for name in ["one", "two"] {
        assert_eq!(output.metadata[name], json!(address(&task)));
    }
    assert_eq!(address(output), address(&task));
}

#[test]
fn frames_of_pandas_and_arrays_of_numpy() {
    let text = r#"
import numpy, pandas
class Stage:
    def process(self, task):
        columns = task.to_numpy()
        assert isinstance(columns["n"], numpy.ndarray) and not columns["n"].flags.writeable
        assert list(columns) == ["n", "text"] and columns["text"][0] is None
        frame = task.to_pandas()
        assert isinstance(frame, pandas.DataFrame)
        frame["n"] = frame["n"] + columns["n"]
        return frame
"#;
    let report = run([stage(text)], vec![table(5, 4), table(0, 10_000)]);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(numbers(&report.outputs[0].data), [10, 12, 14, 16]);
    assert_eq!(numbers(&report.outputs[1].data).len(), 10_000);
}

/// What Arrow would have as something else is refused by its place; the rest comes out as it was.
#[test]
fn a_frame_of_pandas_is_what_it_was_or_refused() {
    let text = r#"
import datetime as dt, decimal
import pandas as pd
class Stage:
    def process(self, task):
        task.metadata["of"] = task.data
        return eval(task.data)
"#;
    let again = r#"
import datetime as dt, decimal
import pandas as pd
class Stage:
    def process(self, task):
        found, frame = task.to_pandas(), eval(task.metadata["of"])
        pd.testing.assert_frame_equal(found, frame)
        return "same"
"#;
    let same = [
        "pd.DataFrame([[1, 2]])",
        "pd.DataFrame({'a': [1]}, index=['x'])",
        "pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([('a', 'b'), ('a', 'c')]))",
        "pd.DataFrame([[1, 2]], columns=pd.to_datetime(['2024', '2025']))",
        "pd.DataFrame({'a': pd.Categorical(['x', 'y'], categories=['y', 'x'], ordered=True)})",
        "pd.DataFrame({'a': pd.to_datetime(['2024-01-01']).tz_localize('Europe/Berlin')})",
        "pd.DataFrame({'a': [b'x', None]})",
        "pd.DataFrame({'a': ['x', None]})",
        "pd.DataFrame({'a': pd.Series([dt.date(2020, 1, 1), None], dtype=object)})",
        "pd.DataFrame({'a': pd.Series([decimal.Decimal('1.50'), None], dtype=object)})",
        "pd.DataFrame({'a': pd.Series([{'k': 'x'}, {'k': 'y'}], dtype=object)})",
        "pd.DataFrame()",
    ];
    let refused = [
        ("pd.DataFrame([[1, 2]], columns=[1, '1'])", "are named 1, '1', and names"),
        ("pd.DataFrame([[1, 2]], columns=[True, False])", "are named True, False"),
        (
            "pd.DataFrame({'a': pd.Categorical([b'x', 'y'])})",
            "the categories of column 'a', row 1 of the DataFrame has 'y' (a str)",
        ),
        (
            "pd.DataFrame({'a': [1, 2]}, index=[dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 3)])",
            "the index, row 1 of the DataFrame has datetime.datetime(2020, 1, 1, 3, 0)",
        ),
    ]
    .map(|(text, words)| (text.to_owned(), words.to_owned()));
    // Cells of a column of objects, with the one that Arrow would have as another.
    let cells = [
        ("[[1], {2}]", "row 1 of the DataFrame has {2} (a set)"),
        ("[[{1}]]", "has {1} (a set)"),
        ("[{'k': {1}}]", "has {1} (a set)"),
        ("[None, b'x', 'y']", "row 2 of the DataFrame has 'y' (a str)"),
        ("[['a', b'b']]", "(a bytes)"),
        ("[{'k': 'x'}, {'k': b'y'}]", "have text, or bytes"),
        ("[{b'k': 1}]", "has b'k' (a bytes)"),
        (
            "[dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 3)]",
            "row 1 of the DataFrame has datetime",
        ),
        ("[dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)]", "time zone"),
        ("[pd.Timestamp('2020-01-01 00:00:00.123456789')]", "123456789') (a Timestamp)"),
        ("[[pd.Timestamp('2020-01-01 00:00:00.123456789')]]", "123456789') (a Timestamp)"),
        ("[pd.Timedelta('1ns')]", "(a Timedelta)"),
        ("[dt.time(1, 2, tzinfo=dt.timezone.utc)]", "no time of day with a zone"),
        (
            "[decimal.Decimal('NaN'), decimal.Decimal(1)]",
            "row 0 of the DataFrame has Decimal('NaN')",
        ),
        ("['a', decimal.Decimal('NaN')]", "row 1 of the DataFrame has Decimal('NaN')"),
        ("[1.5, True]", "row 1 of the DataFrame has True (a bool)"),
    ];
    let of_objects = |(cells, words): (&str, &str)| {
        (format!("pd.DataFrame({{'a': pd.Series({cells}, dtype=object)}})"), words.to_owned())
    };
    let refused: Vec<(String, String)> = refused.into_iter().chain(cells.map(of_objects)).collect();
    let all = same.into_iter().chain(refused.iter().map(|(text, _)| text.as_str()));
    let pipeline = Pipeline::new("frames").with_stage(stage(text));
    let pipeline = pipeline.with_stage(stage(again).with_name("again"));
    let report = recording().run(&pipeline, all.map(|text| Task::new(json!(text))));
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(report.outputs.len(), same.len(), "{:?}", report.failed);
    assert_eq!(report.failed.len(), refused.len(), "{:?}", report.failed);
    for (text, words) in refused {
        let is_told = report.failed.iter().any(|failed| failed.to_string().contains(&words));
        assert!(is_told, "{text}: {:?}", report.failed);
    }
}

/// The checks are Python's, which has both there.
#[test]
fn columns_without_pyarrow_are_what_pyarrow_reads_and_writes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/it/columns.py");
    let text = std::fs::read_to_string(file).expect("a file beside this one");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("    def ")?.strip_suffix("(self):"))
        .collect();
    assert_eq!(names.len(), 12, "{names:?}");
    let checks = PythonStage::from_file(file, "Checks").with_runtime_env(pyarrow());
    let pipeline = Pipeline::new("columns").with_stage(checks.with_num_workers(2));
    let report = recording().run(&pipeline, names.into_iter().map(|name| Task::new(json!(name))));
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(report.failed.is_empty(), "{:?}", report.failed);
}

/// Stages with and without `pyarrow` take turns, and the additions of each one arrive.
#[test]
fn tables_go_between_stages_with_pyarrow_and_without() {
    let text = r#"
from curator_table import Table
class Stage:
    def process(self, task):
        assert type(task.data) is Table, task.data
        total = [n + len(text or "") for n, text in zip(task.data["n"], task.data["text"])]
        return task.data.append_column("total", total)
"#;
    let check = r#"
import pyarrow.compute
class Stage:
    def process(self, task):
        length = pyarrow.compute.binary_length(task.data["text"].fill_null(""))
        total = pyarrow.compute.add(task.data["n"], pyarrow.compute.cast(length, "int64"))
        assert task.data["total"].to_pylist() == total.to_pylist()
        return task.data.select(["n", "text"])
"#;
    let stages = [
        stage(ADD).with_name("add"),
        bare(text).with_name("total"),
        stage(check).with_name("check"),
        bare("class Stage:\n def process(self, task): return task").with_name("pass"),
    ];
    let sizes = [0, 3, 5_000, 200_000];
    let report = run(stages, sizes.map(|rows| table(7, rows)).into());
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    for (task, rows) in report.outputs.iter().zip(sizes) {
        assert_eq!(numbers(&task.data), (8..8 + rows).collect::<Vec<_>>());
    }
}

/// In an environment that seems to have no `pyarrow`; one without numpy says so.
#[test]
fn numpy_needs_no_pyarrow() {
    let text = r#"
import sys
sys.modules["pyarrow"] = None
class Stage:
    def process(self, task):
        columns = task.to_numpy()
        assert not columns["n"].flags.writeable and columns["text"][0] is None
        assert list(task.to_pandas().columns) == ["n", "text"]
        return {"sum": int(columns["n"].sum())}
"#;
    let report = run([stage(text)], vec![table(0, 10_000)]);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.outputs[0].data, Data::from(json!({ "sum": 49_995_000 })));
    // A kept array keeps its memory, which is not reused meanwhile.
    let keeps = r#"
import sys
sys.modules["pyarrow"] = None
class Stage:
    def setup(self):
        self.kept = []
    def process(self, task):
        array = task.to_numpy()["n"]
        self.kept.append((int(array[0]), array))
        for first, kept in self.kept:
            assert kept[0] == first and kept[-1] == first + len(kept) - 1
        return {}
"#;
    let keeps = stage(keeps).with_num_workers(1);
    let report = run([keeps], (0..60).map(|number| table(number, 100_000)).collect());
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let report = run([bare(text)], vec![table(0, 10)]);
    let failed = report.failed[0].to_string();
    assert!(failed.contains("has no numpy: add it to its runtime_env"), "{failed}");
}

#[test]
fn columns_are_what_a_stage_declares() {
    let report = run(
        [
            stage(ADD).with_inputs(["n"]),
            stage(ADD).with_name("other").with_inputs(["n", "missing"]),
        ],
        vec![table(0, 3)],
    );
    let failed = report.failed[0].to_string();
    assert!(failed.contains("it needs the key 'missing', and has 'n', 'text'"), "{failed}");
    let rust = RustStage::from_fn("rust", |task: Task, _: &mut Context| Ok::<_, BoxError>(task));
    let pipeline = Pipeline::new("tables").with_stage(rust.with_inputs(["n", "missing"]));
    let report = recording().run(&pipeline, [Task::new(table(0, 3))]).unwrap();
    assert!(matches!(&report.failed[0].cause, Cause::MissingInput(why) if why.contains("missing")));
}

#[test]
fn what_is_no_table_is_that_tasks_error() {
    // A worker that passes any bytes off as a table.
    let text = r"
import curator_stage
import curator_streams
class Lie:
    def __init__(self, data):
        self.data = data
    def size(self):
        return len(self.data)
    def write_into(self, view):
        view[:] = self.data
class Stage:
    def setup(self):
        curator_streams.as_table = lambda data: data if isinstance(data, Lie) else None
        curator_streams.stream = lambda lie: lie
    def process(self, task):
        return Lie(task.data)
";
    let whole = table(0, 20_000).to_ipc().unwrap();
    let mut changed = whole.clone();
    changed[..400].iter_mut().step_by(3).for_each(|byte| *byte ^= 0x55);
    let payloads = [
        whole.clone(),
        whole[..whole.len() / 2].to_vec(),
        changed,
        vec![0xff; 100_000],
        Vec::new(),
    ];
    let lie = || bare(text).with_name("lie");
    // Either the program reads the table, or the next stage does.
    for pipeline in [
        Pipeline::new("lies").with_stage(lie()),
        Pipeline::new("lies").with_stage(lie()).with_stage(stage(ADD)),
    ] {
        let report = recording().run(&pipeline, payloads.clone().map(Task::new)).unwrap();
        assert_eq!((report.outputs.len(), report.failed.len()), (1, 4), "{:?}", report.failed);
        assert_eq!(numbers(&report.outputs[0].data).len(), 20_000);
    }
}

/// A stage's own outputs beside an unreadable table are kept, even if there are none.
#[test]
fn nothing_is_not_taken_for_a_table_that_cannot_be_read() {
    let lie = r"
import curator_stage
import curator_streams
class Lie:
    def size(self):
        return 100_000
    def write_into(self, view):
        view[:] = bytes(100_000)
class Stage:
    def setup(self):
        curator_streams.as_table = lambda data: data if isinstance(data, Lie) else None
        curator_streams.stream = lambda lie: lie
    def process(self, task):
        return [Lie(), curator_stage.Task({})]
";
    let nothing = "
from curator_stage import Task
class Stage:
 def process(self, task): return Task(None)";
    let pipeline = Pipeline::new("lies")
        .with_stage(bare(lie).with_name("lie"))
        .with_stage(bare(nothing).with_batch_size(2).with_max_attempts(1));
    let report = recording().run(&pipeline, [Task::new(json!(1))]).unwrap();
    assert_eq!((report.outputs.len(), report.failed.len()), (1, 1), "{:?}", report.failed);
    assert_eq!(report.outputs[0].data, Data::from(json!(null)));
}
