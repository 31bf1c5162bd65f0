//! Tasks and their parts.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::json::{dyadic, json, json_object};
use crate::{Data, Task, TaskId, Timing};

/// Generates an id: of the root, of an aggregate, or of a descendant of either.
pub fn task_id() -> impl Strategy<Value = TaskId> {
    let index = || prop_oneof![4 => 0_u64..12, 1 => any::<u64>()];
    let origin = prop_oneof![
        Just(TaskId::root()),
        vec(0_u64..20, 0..4).prop_map(|parents| {
            let parents: Vec<_> = parents.iter().map(|i| TaskId::root().child(*i)).collect();
            TaskId::aggregate(&parents)
        }),
    ];
    (origin, vec(index(), 0..5))
        .prop_map(|(origin, path)| path.into_iter().fold(origin, |id, index| id.child(index)))
}

/// Generates JSON or bytes, or, with the feature `arrow`, a table.
pub fn data() -> impl Strategy<Value = Data> {
    let data =
        prop_oneof![json().prop_map(Data::from), vec(any::<u8>(), 0..64).prop_map(Data::Bytes)];
    #[cfg(feature = "arrow")]
    let data = prop_oneof![2 => data, 1 => table().prop_map(Data::Table)];
    data
}

/// Generates a table of one batch: numbers with missing ones, and texts.
#[cfg(feature = "arrow")]
pub fn table() -> impl Strategy<Value = crate::Table> {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    vec((any::<Option<i64>>(), any::<String>()), 0..6).prop_map(|rows| {
        let numbers: Int64Array = rows.iter().map(|row| row.0).collect();
        let texts: StringArray = rows.iter().map(|row| Some(row.1.as_str())).collect();
        let columns = [
            ("number", Arc::new(numbers) as ArrayRef, true),
            ("text", Arc::new(texts) as ArrayRef, false),
        ];
        // Columns of one length are always a table.
        RecordBatch::try_from_iter_with_nullable(columns)
            .map_or_else(|_| crate::Table::default(), crate::Table::from)
    })
}

/// Generates the costs of a stage for a task.
pub fn timing() -> impl Strategy<Value = Timing> {
    let time = || (0_u64..1 << 40).prop_map(Duration::from_nanos);
    (any::<String>(), time(), time(), btree_map(any::<String>(), dyadic(), 0..3)).prop_map(
        |(stage, process, wait, metrics)| {
            Timing::new(stage, process).with_wait(wait).with_metrics(metrics)
        },
    )
}

/// Generates a task somewhere in a run.
pub fn task() -> impl Strategy<Value = Task> {
    (task_id(), any::<String>(), data(), json_object(), vec(timing(), 0..3)).prop_map(
        |(id, dataset_name, data, metadata, timings)| {
            let task =
                Task::new(data).with_id(id).with_dataset_name(dataset_name).with_metadata(metadata);
            timings.into_iter().fold(task, Task::add_timing)
        },
    )
}
