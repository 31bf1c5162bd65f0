//! Arrow tables in stages whose environment has no `pyarrow`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backends::{Event, ExecutorExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use stage::arrow_array::builder::{Int64Builder, MapBuilder, StringBuilder};
use stage::arrow_array::types::*;
use stage::arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array,
    Decimal256Array, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Int64Array,
    LargeBinaryArray, LargeListArray, LargeStringArray, ListArray, NullArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StringArray, StringViewArray, StructArray,
};
use stage::arrow_schema::{DataType, Field, Schema};
use stage::{Data, Pipeline, PythonStage, Table, Task};

use crate::support::{local, outputs, python, recording, watched};

/// Returns a stage that finds no `pyarrow`, even if the machine's `python3` has it.
fn bare(text: &str) -> PythonStage {
    python(&format!("import sys\nsys.modules['pyarrow'] = None\n{text}"))
}

/// A column, and the column that Python makes of its values.
type Column = (ArrayRef, ArrayRef);

fn pair(made: impl Array + 'static, again: impl Array + 'static) -> Column {
    (Arc::new(made), Arc::new(again))
}

/// Returns values of which some are missing, but not the first, so that Python knows their type.
fn optional<T: Clone + std::fmt::Debug + 'static>(
    rows: usize,
    values: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Vec<Option<T>>> {
    let rest = vec(prop::option::weighted(0.8, values.clone()), rows - 1);
    (values, rest).prop_map(|(first, rest)| [vec![Some(first)], rest].concat())
}

fn numbers<T: ArrowPrimitiveType, U: ArrowPrimitiveType>(
    rows: usize,
    values: impl Strategy<Value = T::Native> + Clone + 'static,
    again: fn(T::Native) -> U::Native,
) -> BoxedStrategy<Column> {
    let pair = move |values: Vec<Option<T::Native>>| {
        pair(
            values.iter().copied().collect::<PrimitiveArray<T>>(),
            values.iter().map(|value| value.map(again)).collect::<PrimitiveArray<U>>(),
        )
    };
    optional(rows, values).prop_map(pair).boxed()
}

fn times<T: ArrowTimestampType>(rows: usize, micros: i64, unit: i64) -> BoxedStrategy<Column> {
    // From the year 68 to 9892, as far as 64 bits of the unit reach.
    let last = 250_000_000_000_000_000.min(i64::MAX / unit);
    let first = -last.min(60_000_000_000_000_000);
    let zones = prop::sample::select(vec![None, Some("UTC"), Some("+02:30"), Some("-11:00")]);
    (optional(rows, first / micros..last / micros), zones)
        .prop_map(move |(values, zone)| {
            let made = values.iter().map(|value| value.map(|value| value * unit));
            let again = values.iter().map(|value| value.map(|value| value * micros));
            pair(
                made.collect::<PrimitiveArray<T>>().with_timezone_opt(zone),
                again.collect::<PrimitiveArray<TimestampMicrosecondType>>().with_timezone_opt(zone),
            )
        })
        .boxed()
}

fn texts(rows: usize) -> BoxedStrategy<Column> {
    let bytes = || optional(rows, vec(any::<u8>(), 0..9));
    prop_oneof![
        optional(rows, any::<String>()).prop_map(|values| {
            pair(StringArray::from(values.clone()), StringArray::from(values))
        }),
        optional(rows, "[a-z]{0,9}").prop_map(|values| {
            pair(LargeStringArray::from(values.clone()), StringArray::from(values))
        }),
        optional(rows, "[a-c]").prop_map(|values| {
            let made: DictionaryArray<Int8Type> = values.iter().map(Option::as_deref).collect();
            pair(made, StringArray::from(values))
        }),
        bytes().prop_map(|values| {
            let made: BinaryArray = values.iter().map(Option::as_deref).collect();
            pair(made.clone(), made)
        }),
        bytes().prop_map(|values| {
            let made: LargeBinaryArray = values.iter().map(Option::as_deref).collect();
            pair(made, values.iter().map(Option::as_deref).collect::<BinaryArray>())
        }),
        optional(rows, any::<[u8; 3]>()).prop_map(|values| {
            let made = values.iter().map(Option::as_ref);
            let made = FixedSizeBinaryArray::try_from_sparse_iter_with_size(made, 3);
            let again: BinaryArray = values.iter().map(Option::as_ref).collect();
            pair(made.expect("3 bytes each"), again)
        }),
    ]
    .boxed()
}

fn nested(rows: usize) -> BoxedStrategy<Column> {
    let lists = |sizes: std::ops::Range<usize>| {
        let first = vec(any::<i32>().prop_map(Some), 1..3);
        let rest = prop::option::of(vec(any::<Option<i32>>(), sizes));
        (first, vec(rest, rows - 1)).prop_map(|(first, rest)| [vec![Some(first)], rest].concat())
    };
    let wide = |list: &Option<Vec<Option<i32>>>| {
        list.as_ref().map(|list| list.iter().map(|item| item.map(i64::from)).collect::<Vec<_>>())
    };
    prop_oneof![
        lists(0..4).prop_map(move |lists| pair(
            ListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone()),
            ListArray::from_iter_primitive::<Int64Type, _, _>(lists.iter().map(wide)),
        )),
        lists(0..4).prop_map(move |lists| pair(
            LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone()),
            ListArray::from_iter_primitive::<Int64Type, _, _>(lists.iter().map(wide)),
        )),
        optional(rows, any::<[i32; 2]>()).prop_map(move |lists| {
            let lists: Vec<_> =
                lists.into_iter().map(|it| it.map(|it| it.map(Some).to_vec())).collect();
            pair(
                FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone(), 2),
                ListArray::from_iter_primitive::<Int64Type, _, _>(lists.iter().map(wide)),
            )
        }),
        (optional(rows, any::<bool>()), optional(rows, any::<i16>()), texts(rows)).prop_map(
            |(valid, numbers, (made, again))| {
                let nulls = BooleanArray::from(valid).nulls().cloned();
                let both = |numbers: ArrayRef, texts: ArrayRef| {
                    let field = |name: &str, array: &ArrayRef| {
                        Field::new(name, array.data_type().clone(), true)
                    };
                    let fields = vec![field("number", &numbers), field("text", &texts)];
                    StructArray::new(fields.into(), vec![numbers, texts], nulls.clone())
                };
                let short: PrimitiveArray<Int16Type> = numbers.iter().copied().collect();
                let long: Int64Array = numbers.iter().map(|it| it.map(i64::from)).collect();
                pair(both(Arc::new(short), made), both(Arc::new(long), again))
            }
        ),
        optional(rows, vec(("[a-z]{1,3}", any::<Option<i64>>()), 0..3)).prop_map(|rows| {
            let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
            for row in rows {
                for (key, value) in row.iter().flatten() {
                    maps.keys().append_value(key);
                    maps.values().append_option(*value);
                }
                maps.append(row.is_some()).expect("as many keys as values");
            }
            let made = maps.finish();
            pair(made.clone(), made)
        }),
    ]
    .boxed()
}

/// Returns a column of any type that Python reads.
fn column(rows: usize) -> BoxedStrategy<Column> {
    type F16 = <Float16Type as ArrowPrimitiveType>::Native;
    let halves = any::<i8>().prop_map(F16::from);
    let micros = 0..86_400_000_000_i64;
    prop_oneof![
        Just(pair(NullArray::new(rows), NullArray::new(rows))),
        optional(rows, any::<bool>())
            .prop_map(|it| pair(BooleanArray::from(it.clone()), BooleanArray::from(it))),
        prop_oneof![
            numbers::<Int8Type, Int64Type>(rows, any::<i8>(), i64::from),
            numbers::<Int16Type, Int64Type>(rows, any::<i16>(), i64::from),
            numbers::<Int32Type, Int64Type>(rows, any::<i32>(), i64::from),
            numbers::<Int64Type, Int64Type>(rows, any::<i64>(), |it| it),
            numbers::<UInt8Type, Int64Type>(rows, any::<u8>(), i64::from),
            numbers::<UInt16Type, Int64Type>(rows, any::<u16>(), i64::from),
            numbers::<UInt32Type, Int64Type>(rows, any::<u32>(), i64::from),
            numbers::<UInt64Type, UInt64Type>(rows, 1 << 63..u64::MAX, |it| it),
            numbers::<Float16Type, Float64Type>(rows, halves, f64::from),
            numbers::<Float32Type, Float64Type>(rows, any::<f32>(), f64::from),
            numbers::<Float64Type, Float64Type>(rows, any::<f64>(), |it| it),
        ],
        prop_oneof![
            numbers::<Date32Type, Date32Type>(rows, -719_162..2_932_897, |it| it),
            (numbers::<Date32Type, Date32Type>(rows, -719_162..2_932_897, |it| it)).prop_map(
                |(days, again)| {
                    let days = days.as_any().downcast_ref::<PrimitiveArray<Date32Type>>();
                    let days = days.expect("days").iter();
                    let made = days.map(|day| day.map(|day| i64::from(day) * 86_400_000));
                    (Arc::new(made.collect::<PrimitiveArray<Date64Type>>()) as ArrayRef, again)
                }
            ),
            numbers::<Time32SecondType, Time64MicrosecondType>(rows, 0..86_400, |it| {
                i64::from(it) * 1_000_000
            }),
            numbers::<Time32MillisecondType, Time64MicrosecondType>(rows, 0..86_400_000, |it| {
                i64::from(it) * 1_000
            }),
            numbers::<Time64MicrosecondType, Time64MicrosecondType>(rows, micros.clone(), |it| it),
            numbers::<Time64NanosecondType, Time64MicrosecondType>(
                rows,
                micros.prop_map(|it| it * 1_000),
                |it| it / 1_000
            ),
            times::<TimestampSecondType>(rows, 1_000_000, 1),
            times::<TimestampMillisecondType>(rows, 1_000, 1),
            times::<TimestampMicrosecondType>(rows, 1, 1),
            times::<TimestampNanosecondType>(rows, 1, 1_000),
            numbers::<DurationSecondType, DurationMicrosecondType>(
                rows,
                any::<i32>().prop_map(i64::from),
                |it| it * 1_000_000
            ),
            numbers::<DurationMicrosecondType, DurationMicrosecondType>(rows, any::<i64>(), |it| {
                it
            }),
        ],
        prop_oneof![
            optional(rows, any::<i64>()).prop_map(|values| {
                let made: Decimal128Array = values.iter().map(|it| it.map(i128::from)).collect();
                let made = made.with_precision_and_scale(38, 3).expect("a scale");
                pair(made.clone(), made)
            }),
            optional(rows, any::<i64>()).prop_map(|values| {
                let made: Decimal256Array = values.iter().map(|it| it.map(Into::into)).collect();
                let made = made.with_precision_and_scale(76, -2).expect("a scale");
                pair(made.clone(), made)
            }),
        ],
        texts(rows),
        nested(rows),
    ]
    .boxed()
}

fn is_kept(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Map(..))
}

/// Returns a table in several batches, and the one batch that its values make.
fn tables() -> impl Strategy<Value = (Table, Table)> {
    (1..10_usize)
        .prop_flat_map(|rows| (vec(column(rows), 1..5), vec(0..=rows, 0..3), Just(rows)))
        .prop_map(|(columns, mut cuts, rows)| {
            let batch = |again: bool| {
                let one = |(at, (made, made_again)): (usize, &Column)| {
                    let array = if again { made_again } else { made };
                    let kind = array.data_type().clone();
                    // Columns that Python cannot make again, it keeps as they are.
                    let is_new = again && !is_kept(&kind);
                    let is_nullable = is_new || at.is_multiple_of(2) || array.is_nullable();
                    let field = Field::new(format!("c{at}"), kind, is_nullable);
                    let notes = HashMap::from([("unit".to_owned(), at.to_string())]);
                    let field = if is_new { field } else { field.with_metadata(notes) };
                    (field, Arc::clone(array))
                };
                let (fields, arrays): (Vec<_>, Vec<_>) =
                    columns.iter().enumerate().map(one).unzip();
                let notes = HashMap::from([("made".to_owned(), "in Rust".to_owned())]);
                let notes = if again { HashMap::new() } else { notes };
                let schema = Schema::new_with_metadata(fields, notes);
                RecordBatch::try_new(schema.into(), arrays).expect("columns of one length")
            };
            let made = batch(false);
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([rows]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let batches = starts.zip(ends).map(|(start, end)| made.slice(start, end - start));
            let table = Table::new(made.schema(), batches.collect()).expect("one schema");
            (table, batch(true).into())
        })
}

/// Returns the rows one by one, independent of the batches.
fn rows(table: &Table) -> Vec<RecordBatch> {
    let one_by_one = |batch: &RecordBatch| {
        (0..batch.num_rows()).map(|row| batch.slice(row, 1)).collect::<Vec<_>>()
    };
    table.batches().iter().flat_map(one_by_one).collect()
}

/// Returns a part of the rows, in their batches.
fn slice(table: &Table, offset: usize, length: usize) -> Vec<RecordBatch> {
    let mut first = 0;
    let mut slices = Vec::new();
    for batch in table.batches() {
        let last = first + batch.num_rows();
        let (start, end) = (offset.max(first), (offset + length).min(last));
        if start < end {
            slices.push(batch.slice(start - first, end - start));
        }
        first = last;
    }
    slices
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Tables that Python passes on keep their values and batches, columns that it makes of the
    /// values hold the same values, and slices hold their rows.
    #[test]
    fn columns_go_through_python_as_they_are(made in vec(tables(), 40)) {
        let text = r#"
from curator_table import Table
class Stage:
    def process(self, task):
        table = task.data
        assert type(table) is Table
        names = table.column_names
        again = {}
        for column, name in zip(table.columns, names):
            values = column.to_pylist()
            assert values == list(column) and values.count(None) == column.null_count
            assert values == [column[at] for at in range(len(table))]
            is_kept = column.type.startswith(("decimal", "map"))
            again[name] = column if is_kept else values
        yield table
        yield table.select(names[::-1]).append_column("more", [1] * len(table)).select(names)
        yield Table.from_pydict(again)
        yield table.slice(1, max(len(table) - 2, 0))
"#;
        let pipeline = Pipeline::new("columns").with_stage(bare(text));
        let tasks = made.iter().map(|(table, _)| Task::new(table.clone()));
        let report = local().run(&pipeline, tasks.collect::<Vec<_>>());
        let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
        let tables: Vec<&Table> =
            report.outputs.iter().map(|task| task.data.as_table().expect("a table")).collect();
        prop_assert_eq!(tables.len(), 4 * made.len());
        for ([passed, chosen, again, cut], (table, values)) in
            tables.as_chunks::<4>().0.iter().zip(&made)
        {
            prop_assert_eq!(*passed, table);
            prop_assert_eq!(*chosen, table);
            prop_assert_eq!(rows(again), rows(values));
            let rest: Vec<_> =
                cut.batches().iter().filter(|batch| batch.num_rows() > 0).cloned().collect();
            prop_assert_eq!(rest, slice(table, 1, table.rows().saturating_sub(2)));
        }
    }

    /// Any damaged stream is either an error or a table whose columns are values or errors, quickly
    /// and with little memory.
    #[test]
    fn damaged_streams_are_errors_or_tables(
        made in vec((tables(), vec(damage(), 0..4), any::<Option<Index>>()), 60),
    ) {
        let text = r"
import resource
from curator_table import Table
class Stage:
    def setup(self):
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    def process(self, task):
        try:
            table = Table.from_stream(task.data)
        except (TypeError, ValueError) as error:
            return str(error)
        for column in table.columns:
            for part in (column, column[1:3]):
                try:
                    assert len(part.to_pylist()) == len(part)
                    part.values
                except (TypeError, ValueError) as error:
                    assert str(error).startswith('column '), error
        try:
            stream = table.slice(1).to_stream()
            memory = bytearray(stream.size())
            stream.write_into(memory)
            Table.from_stream(memory)
        except ValueError:
            pass
        return table
";
        let stage = bare(text).with_task_timeout(Duration::from_mins(1));
        let damaged = made.into_iter().map(|((table, _), changes, cut)| {
            let mut bytes = table.to_ipc().expect("a stream");
            for (at, value) in changes {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + value.len());
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            Task::new(bytes)
        });
        let tasks = damaged.collect::<Vec<_>>();
        let count = tasks.len();
        let report = recording().run(&Pipeline::new("damage").with_stage(stage), tasks).unwrap();
        for failed in &report.failed {
            // Rust checks the whole table; Python checks the parts that it reads and cuts.
            let failed = failed.to_string();
            let is_told = failed.contains("data that cannot be read")
                || failed.contains("it raised ValueError: no Arrow stream: offsets");
            prop_assert!(is_told, "{}", failed);
        }
        prop_assert_eq!(report.failed.len() + report.outputs.len(), count);
    }
}

/// Returns some bytes for some place: random bytes, or numbers close to those of a stream.
fn damage() -> impl Strategy<Value = (Index, Vec<u8>)> {
    let bytes = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        (0..64_u32).prop_map(|number| number.to_le_bytes().to_vec()),
        any::<u32>().prop_map(|number| number.to_le_bytes().to_vec()),
        prop::sample::select(vec![0, 1, i64::MAX, i64::MIN, -1, 1 << 22])
            .prop_map(|number| number.to_le_bytes().to_vec()),
    ];
    (any::<Index>(), bytes)
}

fn one_table(columns: Vec<(&str, ArrayRef)>) -> Table {
    RecordBatch::try_from_iter(columns).expect("columns of one length").into()
}

#[test]
fn columns_that_a_stage_keeps_are_shared_memory_that_never_changes() {
    let text = r#"
class Stage:
    def setup(self):
        self.kept = []
    def process(self, task):
        values = task.data["n"].values
        self.kept.append((values[0], values))
        for first, kept in self.kept:
            assert kept[0] == first and kept[-1] == first + len(kept) - 1
            assert sum(kept[::999]) == sum(range(first, first + len(kept), 999))
        if values[0] % 7 == 0:
            self.kept.clear()
        base = values.obj
        while isinstance(base, memoryview):
            base = base.obj
        return {"base": type(base).__name__, "readonly": values.readonly}
"#;
    let tables = (0..50_i64).map(|first| {
        let numbers: Int64Array = (first..first + 100_000).map(Some).collect();
        Task::new(one_table(vec![("n", Arc::new(numbers))]))
    });
    let pipeline = Pipeline::new("kept").with_stage(bare(text).with_num_workers(1));
    let report = local().run(&pipeline, tables.collect::<Vec<_>>());
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    let seen = outputs(&report);
    assert_eq!(seen.len(), 50);
    assert!(
        seen.iter().all(|(_, seen)| *seen == json!({ "base": "mmap", "readonly": true })),
        "{seen:?}"
    );
}

#[test]
fn a_type_that_only_pyarrow_reads_is_passed_on() {
    let text = r#"
class Stage:
    def process(self, task):
        table = task.data
        assert len(table["n"].to_pylist()) == len(table)
        return table["view"].to_pylist() if table["n"][0] else table
"#;
    let table = |number: i64| {
        let views = StringViewArray::from_iter([Some("short"), None, Some("as long as it takes")]);
        let numbers = Int64Array::from(vec![number; 3]);
        one_table(vec![("view", Arc::new(views)), ("n", Arc::new(numbers))])
    };
    let pipeline = Pipeline::new("views").with_stage(bare(text));
    let report = recording().run(&pipeline, [0, 1].map(|n| Task::new(table(n)))).unwrap();
    assert_eq!(report.outputs[0].data, Data::from(table(0)));
    let failed = report.failed[0].to_string();
    let problem = "column 'view' is of type string_view, which only pyarrow reads: add pyarrow to \
                   the stage's runtime_env";
    assert!(failed.contains(problem), "{failed}");
}

#[test]
fn tables_without_columns_and_rows_come_back() {
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let empty = RecordBatch::try_new_with_options(Schema::empty().into(), vec![], &options);
    let none = one_table(vec![("n", Arc::new(Int64Array::from(vec![0_i64; 0])))]);
    let tables = [
        Table::default(),
        empty.expect("no columns").into(),
        Table::new(none.schema().clone(), vec![]).expect("no batches"),
        none,
    ];
    let text = "class Stage:\n def process(self, task): return [task, len(task.data)]";
    let pipeline = Pipeline::new("empty").with_stage(bare(text));
    let report = local().run(&pipeline, tables.clone().map(Task::new)).unwrap();
    for ((pair, table), rows) in
        report.outputs.as_chunks::<2>().0.iter().zip(tables).zip([0, 5, 0, 0])
    {
        assert_eq!(pair[0].data, Data::from(table));
        assert_eq!(pair[1].data, Data::from(json!(rows)));
    }
}

#[test]
fn inputs_are_columns_and_what_makes_none_is_told_by_its_place() {
    let text = r#"
from curator_table import Table
class Stage:
    def process(self, task):
        return Table.from_pydict({"n": task.data["n"], "other": [1, None, "x"]})
"#;
    let table = || one_table(vec![("n", Arc::new(Int64Array::from(vec![1, 2, 3])))]);
    for (inputs, problem) in [
        (vec!["n", "missing"], "it needs the key 'missing', and has 'n'"),
        (vec!["n"], "column 'other', row 2: str in a column of int"),
    ] {
        let pipeline = Pipeline::new("columns").with_stage(bare(text).with_inputs(inputs));
        let error = local().run(&pipeline, [Task::new(table())]).unwrap_err();
        assert!(error.report().contains(problem), "{}", error.report());
    }
}

#[test]
fn a_column_that_is_declared_and_not_there_is_warned_of() {
    let text = "class Stage:\n def process(self, task): return task.data";
    let pipeline = Pipeline::new("columns").with_stage(bare(text).with_outputs(["n", "missing"]));
    let table = one_table(vec![("n", Arc::new(Int64Array::from(vec![1, 2, 3])))]);
    let (result, events) = watched(&local(), &pipeline, [Task::new(table)]);
    result.unwrap();
    let is_told = |event: &Event| matches!(event, Event::Warning { message, .. } if message.contains("without `missing`, which"));
    assert_eq!(events.iter().filter(|event| is_told(event)).count(), 1, "{events:?}");
}
