//! `run` with files of Arrow tables.

use serde_json::json;

use crate::pipelines::{Folder, lines, sorted};

const STAGES: &str = r#"
import pyarrow

def make(task):
    n = task.data["n"]
    return pyarrow.table({"n": list(range(n, n + 1000)), "text": ["x"] * 1000})

def total(task):
    return {"rows": len(task.data), "n": task.data.column("n")[0].as_py()}

def number(task):
    return pyarrow.table({"n": [task.data["n"]]}) if task.data["n"] else 1

def frame(task):
    import pandas

    n = task.data["n"]
    if n == "other":
        return pandas.DataFrame({"b": [1]})
    if n == "kinds":
        return pandas.DataFrame({"a": [str(n)]})
    return pandas.DataFrame({"a": range(n)})

def keep(task):
    task.data = pyarrow.table({"n": [task.data["n"]]})
    return task

def rows(task):
    frame = task.to_pandas()
    return {"rows": len(frame), "index": list(frame.index), "columns": list(frame.columns)}
"#;

fn stage(name: &str) -> String {
    format!(
        "[[stage]]\nname = \"{name}\"\npython = \"tables.py:{name}\"\n\
         runtime_env = {{ uv = [\"pyarrow\", \"pandas\"] }}\n"
    )
}

/// A folder with a pipeline of the stage `make`, and with another, `read.toml`, of the stage `read`.
fn folder(make: &str, read: &str, tasks: &str) -> Folder {
    let folder = Folder::new(&stage(make));
    folder.write("tables.py", STAGES);
    folder.write("tasks.jsonl", tasks);
    let base = folder.world.base();
    folder.write("read.toml", &format!("name = \"read\"\nbase = \"{base}\"\n{}", stage(read)));
    folder
}

const WRITE: [&str; 6] = ["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "t.arrow"];
const READ: [&str; 4] = ["run", "read.toml", "-i", "t.arrow"];

#[test]
fn tables_go_to_a_file_and_from_it_one_batch_a_task() {
    let folder = folder("make", "total", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n");
    let run = folder.run(&WRITE);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let run = folder.run(&[&READ[..], &["-o", "out.jsonl"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("3 tasks in, 3 out"), "{}", run.err);
    let out = folder.lines("out.jsonl");
    assert!(out.iter().all(|line| line["rows"] == 1000));
    assert_eq!(sorted(&out, "n"), [1, 2, 3]);
}

#[test]
fn what_fits_in_no_table_is_said() {
    let folder = folder("number", "rows", "{\"n\": 0}\n");
    folder.run(&WRITE).fails(1, "the result 0_0_0 is no table");
    let run = folder.run(&["run", "pipeline.toml", "-o", "t.arrow", "--whole-tasks"]);
    run.fails(2, "`--whole-tasks` is for JSON lines");
    folder.write("t.arrow", &json!({}).to_string());
    let run = folder.run(&["run", "pipeline.toml", "-i", "t.arrow"]);
    run.fails(1, "t.arrow: no Arrow file");
}

#[test]
fn frames_of_any_length_have_the_same_columns() {
    let folder = folder("frame", "rows", "{\"n\": 1}\n{\"n\": 3}\n{\"n\": 2}\n");
    let run = folder.run(&WRITE);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let read = lines(&folder.run(&READ).text());
    assert_eq!(sorted(&read, "rows"), [1, 2, 3]);
    for task in read {
        let rows = task["rows"].as_u64().expect("a number");
        assert_eq!(task["index"], json!((0..rows).collect::<Vec<_>>()), "{task}");
        assert_eq!(task["columns"], json!(["a"]));
    }
}

/// Law: a file has every result that was written, whole, although a later one cannot follow.
#[test]
fn results_before_a_failure_are_in_a_complete_file() {
    for (wrong, words) in [
        ("{\"n\": \"other\"}", "has other columns than those before it"),
        ("{\"n\": \"kinds\"}", "has other columns than those before it"),
    ] {
        let folder = folder("frame", "rows", &format!("{{\"n\": 2}}\n{{\"n\": 3}}\n{wrong}\n"));
        folder.run(&WRITE).fails(1, words);
        assert_eq!(sorted(&lines(&folder.run(&READ).text()), "rows"), [2, 3]);
    }
    // Also where it is the file of failed tasks that cannot be written.
    let folder = folder("frame", "rows", "{\"n\": 2}\n{\"n\": 3}\n{\"n\": null}\n");
    folder.run(&[&WRITE[..], &["--failed", "/dev/full"]].concat()).fails(1, "No space left");
    assert_eq!(sorted(&lines(&folder.run(&READ).text()), "rows"), [2, 3]);
}

#[test]
fn what_stands_beside_a_table_is_not_dropped_without_a_word() {
    for (beside, words) in [
        (json!({ "metadata": { "k": 1 } }), "the result 0_0_0 has metadata"),
        (json!({ "dataset_name": "d" }), "the result 0_0_0 has a dataset_name"),
    ] {
        let mut task = json!({ "data": { "json": { "n": 2 } } });
        task.as_object_mut()
            .expect("fields")
            .extend(beside.as_object().cloned().unwrap_or_default());
        let folder = folder("keep", "rows", &task.to_string());
        folder.run(&WRITE).fails(1, words);
        let run = folder.run(&["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "t.jsonl"]);
        assert_eq!(run.code, Some(0), "{}", run.err);
    }
}
