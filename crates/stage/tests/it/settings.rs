//! The settings of a stage add up: what the table of settings has, all other lists have, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use stage::strategies::settings;
use stage::{PipelineFile, declarable};

/// What an entry has beside settings.
const CODE: [&str; 4] = ["python", "source", "args", "declared"];

/// The settings that the schema of the pipeline file has.
fn in_schema() -> BTreeSet<String> {
    let schema = PipelineFile::schema();
    let fields = schema["$defs"]["Stage"]["properties"].as_object().expect("fields").keys();
    fields.filter(|field| !CODE.contains(&field.as_str())).cloned().collect()
}

fn declared() -> BTreeSet<String> {
    declarable().map(str::to_owned).collect()
}

/// The words in a Python tuple of this name.
fn tuple(text: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(&format!("\n{name} = (\n")).expect("the tuple");
    let (inner, _) = rest.split_once(')').expect("its end");
    inner.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn python_knows_the_settings() {
    let worker = include_str!("../../../backends/python/curator_declared.py");
    assert_eq!(tuple(worker, "SETTINGS"), declared());
    let front = include_str!("../../../curator/python/curator/_stage.py");
    let mut front = tuple(front, "SETTINGS");
    front.insert("name".to_owned());
    assert_eq!(front, in_schema());
}

#[test]
fn code_may_declare_every_setting() {
    let all = in_schema();
    assert_eq!(declared(), all);
    assert_eq!(declarable().next(), Some("name"));
}

#[test]
fn the_reference_has_every_setting() {
    let page = include_str!("../../../../docs/pipeline-files.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let settings = in_schema();
    let found: Vec<String> =
        rows.map(|(name, _)| name.to_owned()).filter(|name| settings.contains(name)).collect();
    let missing: Vec<_> = settings.iter().filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "without a line in docs/pipeline-files.md: {missing:?}");
    for setting in declarable() {
        let (_, rest) = page.split_once("A class may say the same of itself").expect("the words");
        let (paragraph, _) = rest.split_once("\n\n").expect("their end");
        assert!(paragraph.contains(&format!("`{setting}`")), "{setting}");
    }
}

#[test]
fn strategies_make_every_setting() {
    let mut runner = TestRunner::deterministic();
    let mut made = BTreeSet::new();
    for _ in 0..60 {
        let settings = settings().new_tree(&mut runner).expect("settings").current();
        let Ok(Value::Object(fields)) = serde_json::to_value(settings) else { panic!("no object") };
        made.extend(fields.into_iter().map(|(name, _)| name));
    }
    assert_eq!(made, in_schema());
}

/// A setting is one row: outside the table, no file of its folder names it.
#[test]
fn a_setting_stands_in_one_place() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/settings");
    for entry in fs::read_dir(dir).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.ends_with("table.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for setting in ["batch_size", "task_timeout", "max_attempts", "recycle_after", "isolation"]
        {
            let found = code.clone().find(|line| line.contains(setting));
            assert_eq!(found, None, "{setting} in {}", path.display());
        }
    }
}
