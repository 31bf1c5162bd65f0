//! Laws of tasks and their ids.
//!
//! - An id is its text: reading its displayed form gives it back, and any other text is refused,
//!   never with a panic.
//! - Ids are ordered as their numbers are, and a task comes before its children.
//! - Children of different tasks, and different children of one, have different ids; so have
//!   aggregates of different sets of tasks. The order of the parents makes no difference to an
//!   aggregate.
//! - The ids of a batch's outputs depend only on the parents and the positions, and all differ.
//! - A task survives JSON.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use serde_json::json;
use stage::strategies::{task, task_id};
use stage::{BatchOutput, Error, Lineage, Output, Task, TaskId, Timing};

/// The expected order: numbers as numbers, and the shorter id first.
fn naturally(left: &str, right: &str) -> Ordering {
    let numbers = |id: &str| -> Vec<u64> {
        id.split('_').skip(1).map(|number| number.parse().expect("an id holds numbers")).collect()
    };
    let origin = |id: &str| id.split('_').next().map(str::to_owned);
    origin(left).cmp(&origin(right)).then_with(|| numbers(left).cmp(&numbers(right)))
}

proptest! {
    #[test]
    fn an_id_is_its_text(id in task_id()) {
        prop_assert_eq!(&id.to_string().parse::<TaskId>().unwrap(), &id);
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<TaskId>(&json).unwrap(), id);
    }

    #[test]
    fn any_text_is_an_id_or_refused(text in prop_oneof![any::<String>(), "[0-9r_a-f]{0,20}"]) {
        if let Ok(id) = text.parse::<TaskId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn ids_sort_naturally(left in task_id(), right in task_id(), index in any::<u64>()) {
        prop_assert_eq!(left.cmp(&right), naturally(&left.to_string(), &right.to_string()));
        prop_assert!(left < left.child(index));
        prop_assert_eq!(left.child(index).parent(), Some(left));
    }

    #[test]
    fn different_origins_have_different_ids(
        left in task_id(),
        right in task_id(),
        i in any::<u64>(),
        j in any::<u64>(),
    ) {
        prop_assert_eq!(left == right && i == j, left.child(i) == right.child(j));
    }

    #[test]
    fn an_aggregate_is_named_for_the_set_of_its_parents(
        left in btree_set(task_id(), 0..5),
        right in btree_set(task_id(), 0..5),
    ) {
        let id = TaskId::aggregate(&left);
        prop_assert_eq!(&id, &TaskId::aggregate(left.iter().rev()));
        prop_assert_eq!(left == right, id == TaskId::aggregate(&right));
        prop_assert_eq!(id.parent(), None);
    }

    #[test]
    fn a_batch_gives_every_task_its_own_id(
        parents in btree_set(task_id(), 1..5),
        sizes in vec(0_usize..4, 5),
        is_aggregate in any::<bool>(),
    ) {
        let parents: Vec<Lineage> =
            parents.into_iter().map(|id| Task::new(json!(1)).with_id(id).lineage()).collect();
        let entry = |size: usize| Output::Many(vec![Task::new(json!(2)); size]);
        let output = if is_aggregate {
            BatchOutput::Aggregate(entry(sizes[0]))
        } else {
            let sizes = sizes.iter().take(parents.len());
            BatchOutput::PerTask(sizes.map(|size| entry(*size)).collect())
        };
        let expected = if is_aggregate { sizes[0] } else { sizes.iter().take(parents.len()).sum() };
        let tasks = output.clone().into_tasks(&parents).unwrap();
        let ids: BTreeSet<&TaskId> = tasks.iter().map(Task::id).collect();
        prop_assert_eq!(ids.len(), expected);
        prop_assert_eq!(output.into_tasks(&parents).unwrap(), tasks);
    }

    #[test]
    fn a_task_survives_json(task in task()) {
        let json = serde_json::to_string(&task).unwrap();
        prop_assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
    }

    #[test]
    fn no_json_makes_a_task_panic(text in any::<String>(), value in stage::strategies::json()) {
        drop(serde_json::from_str::<Task>(&text));
        drop(serde_json::from_value::<Task>(value.clone()));
        let around = json!({ "id": value.clone(), "data": { "base64": value } });
        drop(serde_json::from_value::<Task>(around));
    }
}

#[test]
fn tasks_are_numbered_in_the_order_given() {
    let tasks: Vec<Task> = Task::numbered([json!("a"), json!("b")]).collect();
    assert_eq!(tasks[1].id().to_string(), "0_1");
    assert_eq!(Task::empty().id().to_string(), "0");
}

#[test]
fn a_dropped_task_moves_no_other() {
    let parents: Vec<Lineage> =
        Task::numbered([json!(0), json!(1)]).map(|task| task.lineage()).collect();
    let output = BatchOutput::PerTask(vec![Output::Dropped, Task::new(json!(2)).into()]);
    let tasks = output.into_tasks(&parents).unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].id().to_string(), "0_1_0");
}

#[test]
fn an_aggregate_of_one_task_has_the_bare_id_and_several_are_its_children() {
    let parents: Vec<Lineage> =
        Task::numbered([json!(0), json!(1)]).map(|task| task.lineage()).collect();
    let bare = TaskId::aggregate(parents.iter().map(Lineage::id));
    let ids = |size| {
        let output = Output::Many(vec![Task::new(json!(2)); size]);
        let tasks = BatchOutput::Aggregate(output).into_tasks(&parents).unwrap();
        tasks.iter().map(|task| task.id().clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(1), std::slice::from_ref(&bare));
    assert_eq!(ids(2), [bare.child(0), bare.child(1)]);
}

#[test]
fn a_batch_with_a_wrong_number_of_entries_is_refused() {
    let parents: Vec<Lineage> =
        Task::numbered([json!(0), json!(1)]).map(|task| task.lineage()).collect();
    let error = BatchOutput::PerTask(vec![Output::Dropped]).into_tasks(&parents).unwrap_err();
    assert!(matches!(error, Error::EntryCount { expected: 2, given: 1 }));
}

#[test]
fn descendants_inherit_the_data_set_and_the_history_but_choose_no_id() {
    let timing = Timing::new("first", Duration::from_secs(1));
    let parent = Task::new(json!(1)).with_dataset_name("set").add_timing(timing.clone());
    let forged = Task::new(json!(2))
        .with_id(TaskId::root().child(99))
        .add_timing(Timing::new("forged", Duration::ZERO));
    let tasks = Output::from(vec![forged.clone(), forged.with_dataset_name("own")])
        .into_tasks(&parent.lineage());
    assert_eq!(tasks[0].id().to_string(), "0_0");
    assert_eq!(tasks[0].dataset_name, "set");
    assert_eq!(tasks[0].timings(), [timing]);
    assert_eq!(tasks[1].dataset_name, "own");
}

#[test]
fn a_source_is_followed_through_everything_made_of_it() {
    use std::sync::{Arc, Mutex};

    let ended = Arc::new(Mutex::new(Vec::new()));
    let source = |index| {
        let ended = ended.clone();
        stage::SourceTask::new(index, move |index| ended.lock().unwrap().push(index))
    };
    let of = |task: &Task| task.sources().iter().map(|it| it.index()).collect::<Vec<_>>();
    let tasks = [4, 9].map(|index| Task::empty().with_source(source(index)));
    // A task keeps its number in any position.
    let tasks: Vec<Task> = Task::numbered(tasks).collect();
    assert_eq!(tasks[1].id().to_string(), "0_9");
    let parents: Vec<_> = tasks.iter().map(Task::lineage).collect();
    drop(tasks);
    let children = Output::Many(vec![Task::empty(), Task::empty()]).into_tasks(&parents[0]);
    assert_eq!(children.iter().map(of).collect::<Vec<_>>(), [[4], [4]]);
    let both = BatchOutput::Aggregate(Task::empty().into()).into_tasks(&parents).unwrap();
    assert_eq!(of(&both[0]), [4, 9]);
    drop(parents);
    drop(children);
    assert!(ended.lock().unwrap().is_empty());
    drop(both);
    ended.lock().unwrap().sort_unstable();
    assert_eq!(*ended.lock().unwrap(), [4, 9]);
}

proptest! {
    #[test]
    fn a_task_survives_its_line(task in task()) {
        let line = task.to_json_line();
        prop_assert!(!line.contains('\n'));
        let read = Task::from_json_line(&line).unwrap();
        prop_assert_eq!(&read.data, &task.data);
        prop_assert_eq!(&read.metadata, &task.metadata);
        prop_assert_eq!(&read.dataset_name, &task.dataset_name);
        // Data that looks like a task is data.
        let nested = Task::new(serde_json::to_value(&task).unwrap());
        prop_assert_eq!(&Task::from_json_line(&nested.to_json_line()).unwrap().data, &nested.data);
        // A whole task is read with all its fields.
        prop_assert_eq!(Task::from_json_line(&serde_json::to_string(&task).unwrap()).unwrap(), task);
    }
}

#[test]
fn a_line_is_data_unless_it_is_a_whole_task() {
    for line in [
        "null",
        "[1]",
        r#"{"data":1}"#,
        r#"{"data":{"json":1,"x":2}}"#,
        r#"{"data":{"json":1},"text":"a"}"#,
        r#"{"line":3,"malformed":{"text":"1"}}"#,
    ] {
        assert_eq!(Task::from_json_line(line).unwrap().to_json_line(), line);
    }
    let failed = r#"{"data": {"json": {"a": 1}}, "id": "0_3", "failures": [{"stage": "s"}]}"#;
    assert_eq!(Task::from_json_line(failed).unwrap().to_json_line(), r#"{"a":1}"#);
    assert!(Task::from_json_line(r#"{"data": {"base64": "?"}}"#).is_err());
    assert!(Task::from_json_line("{").is_err());
}
