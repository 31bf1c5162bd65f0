//! `run` with files of Arrow tables.

use serde_json::json;

use crate::pipelines::{Folder, sorted};

const STAGES: &str = r#"
import pyarrow

def make(task):
    n = task.data["n"]
    return pyarrow.table({"n": list(range(n, n + 1000)), "text": ["x"] * 1000})

def total(task):
    return {"rows": len(task.data), "n": task.data.column("n")[0].as_py()}

def number(task):
    return pyarrow.table({"n": [task.data["n"]]}) if task.data["n"] else 1
"#;

fn stage(name: &str) -> String {
    format!(
        "[[stage]]\nname = \"{name}\"\npython = \"tables.py:{name}\"\n\
         runtime_env = {{ uv = [\"pyarrow\"] }}\n"
    )
}

#[test]
fn tables_go_to_a_file_and_from_it_one_batch_a_task() {
    let folder = Folder::new(&stage("make"));
    folder.write("tables.py", STAGES);
    folder.write("tasks.jsonl", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n");
    let run = folder.run(&["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "t.arrow"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let base = folder.world.base();
    let total = format!("name = \"total\"\nbase = \"{base}\"\n{}", stage("total"));
    folder.write("total.toml", &total);
    let run = folder.run(&["run", "total.toml", "-i", "t.arrow", "-o", "out.jsonl"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("3 tasks in, 3 out"), "{}", run.err);
    let out = folder.lines("out.jsonl");
    assert!(out.iter().all(|line| line["rows"] == 1000));
    assert_eq!(sorted(&out, "n"), [1, 2, 3]);
}

#[test]
fn what_fits_in_no_table_is_said() {
    let folder = Folder::new(&stage("number"));
    folder.write("tables.py", STAGES);
    folder.write("tasks.jsonl", "{\"n\": 0}\n");
    let run = folder.run(&["run", "pipeline.toml", "-i", "tasks.jsonl", "-o", "t.arrow"]);
    run.fails(1, "the result 0_0_0 is no table");
    let run = folder.run(&["run", "pipeline.toml", "-o", "t.arrow", "--whole-tasks"]);
    run.fails(2, "`--whole-tasks` is for JSON lines");
    folder.write("t.arrow", &json!({}).to_string());
    let run = folder.run(&["run", "pipeline.toml", "-i", "t.arrow"]);
    run.fails(1, "t.arrow: no Arrow file");
}
