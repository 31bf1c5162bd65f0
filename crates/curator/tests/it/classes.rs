//! Classes that declare their own packages, run by the command: each stage runs in the packages
//! that its class asks for, in any form, and a pipeline's file has the last word.

use serde_json::{Value, json};

use crate::pipelines::Folder;

const CLASSES: &str = r#"
class Literal:
    runtime_env = {"uv": ["packaging==24.0"]}

    def __init__(self, key="literal"):
        self.key = key

    def process(self, task):
        import packaging

        task.data[self.key] = packaging.__version__
        return task


class ByPip(Literal):
    runtime_env = {"pip": ["packaging==23.2"]}


class Computed(Literal):
    def __init__(self, version, key="computed"):
        super().__init__(key)
        self.runtime_env = {"uv": ["packaging==" + version]}


class Base(Literal):
    runtime_env = {}
    batch_size = 4
"#;

const PIPELINE: &str = r#"
[[stage]]
python = "classes.py:Literal"

[[stage]]
python = "classes.py:ByPip"
args = { key = "by_pip" }

[[stage]]
python = "classes.py:Computed"
args = { version = "24.1" }

[[stage]]
python = "classes.py:Base"
args = { key = "base" }

[[stage]]
name = "overridden"
python = "classes.py:Literal"
args = { key = "overridden" }
runtime_env = { uv = ["packaging==23.2"] }

[[stage]]
name = "emptied"
python = "classes.py:Literal"
args = { key = "emptied" }
runtime_env = {}

[[stage]]
name = "ignored"
python = "classes.py:Literal"
args = { key = "ignored" }
declared = "ignore"
"#;

fn folder() -> Folder {
    let folder = Folder::new(PIPELINE);
    folder.write("classes.py", CLASSES);
    folder.write("tasks.jsonl", "{}\n");
    folder
}

#[test]
fn each_class_runs_with_the_versions_that_it_declares() {
    let folder = folder();
    let seen = |more: &[&str]| -> Value {
        let arguments = ["run", "pipeline.toml", "-i", "tasks.jsonl"];
        folder.run(&[&arguments, more].concat()).json()
    };
    let mut expected = json!({
        "literal": "24.0", "by_pip": "23.2", "computed": "24.1", "base": "26.0",
        "overridden": "23.2", "emptied": "26.0", "ignored": "26.0",
    });
    assert_eq!(seen(&["--report", "report.json"]), expected);
    let report: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    let told = report["declared"].as_array().unwrap();
    let overridden = told.iter().filter(|it| it["is_overridden"] == true);
    let overridden: Vec<_> = overridden.map(|it| it["stage"].as_str().unwrap()).collect();
    assert_eq!(overridden, ["overridden", "emptied"]);

    let set = ["--set", "stage.Literal.runtime_env={ uv = ['packaging==24.1'] }"];
    expected["literal"] = "24.1".into();
    assert_eq!(seen(&set), expected);
}

#[test]
fn a_plan_says_where_settings_come_from() {
    let folder = folder();
    let text = folder.run(&["plan", "pipeline.toml"]).text();
    for line in [
        r#"Literal: runtime_env from the class: {"uv":["packaging==24.0"]}"#,
        r#"Computed: runtime_env from the class: {"uv":["packaging==24.1"]}"#,
        "Base: batch_size from the class: 4",
        "Base: runtime_env from the class: {}",
        r#"overridden: runtime_env overrides the class's {"uv":["packaging==24.0"]}"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("ignored: runtime_env"), "{text}");
    let plan = folder.run(&["plan", "pipeline.toml", "--json"]).json();
    let state = |place: usize| plan["stages"][place]["state"].as_str().unwrap().to_owned();
    assert!(["hit", "to_build"].contains(&&*state(0)), "{plan}");
    assert_eq!(state(3), "base");
    assert_eq!(plan["declared"].as_array().unwrap().len(), 7, "{plan}");

    let forbidden = ["plan", "pipeline.toml", "--set", "stage.Literal.declared='forbid'"];
    folder.run(&forbidden).fails(1, "declares `runtime_env`");
}
