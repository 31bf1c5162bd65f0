//! NeMo Curator's stages that a pipeline file or a Rust program names by their classes, on the local
//! executor. Its own adapter says what must come out.

use std::fs;
use std::path::Path;

use curator::{ExecutorExt, LocalExecutor, Pipeline, PythonStage, Task};
use serde_json::{Value, json};

use crate::guide::nemo_curator;
use crate::world::{cache, curator, managed, script};

/// The same stages as the script has, and one of the user's own in a file.
const PIPELINE: &str = r#"
name = "documents"

[[stage]]
python = "nemo_curator.stages.text.filters.score_filter:ScoreFilter"
args.text_field = "text"
args.score_field = "words"
args.filter_obj.python = "nemo_curator.stages.text.filters.heuristic.string:WordCountFilter"
args.filter_obj.args = { min_words = 2 }

[[stage]]
python = "nemo_curator.stages.text.modules:AddId"
args = { id_field = "id", id_prefix = "doc" }

[[stage]]
python = "own.py:Mark"
"#;

const OWN: &str = r#"
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.resources import Resources
from nemo_curator.tasks import DocumentBatch


class Mark(ProcessingStage[DocumentBatch, DocumentBatch]):
    name = "mark"
    resources = Resources(cpus=0.5)
    runtime_env = {"uv": ["packaging==24.0"]}

    def setup(self, worker_metadata=None):
        import packaging

        self.version = f"{packaging.__version__} {bool(worker_metadata.worker_id)}"

    def process(self, task):
        frame = task.to_pandas()
        frame["packaging"] = self.version
        return DocumentBatch(dataset_name=task.dataset_name, data=frame)
"#;

/// Documents one by one and in batches; the last batch loses all of its own.
fn tasks() -> Vec<Value> {
    vec![
        json!([{"text": "one two", "n": 1}, {"text": "one", "n": 2}, {"text": "a b c", "n": 3}]),
        json!({"text": "a single document", "n": 9_007_199_254_740_993_i64}),
        json!({"text": "gone"}),
        json!([{"text": "gone", "n": 1}]),
    ]
}

#[test]
fn stages_of_nemo_curator_run_from_a_pipeline_file() {
    let base = managed(nemo_curator());
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let lines: Vec<String> = tasks().iter().map(ToString::to_string).collect();
    let lines = lines.join("\n") + "\n";
    for (name, text) in [("p.toml", PIPELINE), ("own.py", OWN), ("tasks.jsonl", &*lines)] {
        fs::write(path(name), text).expect("a file");
    }
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/backends/python");
    let expected = duct::cmd(base.python(), [script("nemo_files.py"), files, path("tasks.jsonl")])
        .stderr_null()
        .read()
        .expect("what its adapter makes of them");
    let expected: Value = serde_json::from_str(&expected).expect("JSON");

    assert_eq!(expected["changed"], json!([]), "documents came out as others");
    for (what, words) in [
        ("name", ["`filter_obj`", "'WordCountFilter'"]),
        ("list", ["`filter_obj`", "DocumentFilter"]),
        ("composite", ["'jsonl_reader'", "FilePartitioningStage (file_partitioning)"]),
        ("text", ["'add_id'", "'some text'"]),
        ("mixed", ["'add_id'", "2]"]),
        ("raft", ["'raft'", "RAFT actors"]),
        ("videos", ["'videos'", "`Video`"]),
    ] {
        let told = expected["refused"][what].as_str().unwrap_or_default();
        let way_out = if what == "raft" { "curator.nemo" } else { "curator.nemo.CuratorExecutor" };
        assert!(words.iter().all(|word| told.contains(word)) && told.contains(way_out), "{told}");
    }
    let declared = &expected["declared"];
    assert_eq!(declared["resources"], json!({"cpus": 1.0, "gpu_memory_gb": 12.0}));
    assert_eq!((&declared["num_workers"], &declared["ray_stage_spec"]), (&json!(3), &Value::Null));

    let run = duct::cmd(curator(), ["run", "p.toml", "--input", "tasks.jsonl"])
        .dir(folder.path())
        .env("CURATOR_CACHE_DIR", cache())
        .env("VIRTUAL_ENV", base.python().ancestors().nth(2).expect("PREFIX/bin/python"));
    let run = run.stdout_capture().stderr_capture().unchecked().run().expect("the command");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&run.stdout);
    let mut found: Vec<Value> = Vec::new();
    for line in printed.lines().filter(|line| line.starts_with(['[', '{'])) {
        found.push(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {printed}")));
    }
    let marked = |rows: &Value| -> Vec<Value> {
        let mut rows = rows.as_array().cloned().unwrap_or_default();
        for row in &mut rows {
            row["packaging"] = json!("24.0 True");
        }
        rows
    };
    let whole = json!(marked(&expected["rows"][0]));
    let [single] = &marked(&expected["rows"][1])[..] else { panic!("{expected}") };
    assert!(found.contains(&whole) && found.contains(single), "{found:?}\n{expected}\n{said}");
    assert_eq!(found.iter().filter(|it| it.is_array() || it["text"].is_string()).count(), 2);
}

/// A reader in two stages, whose documents are a table from there on.
#[test]
fn readers_of_nemo_curator_run_from_rust() {
    const ROWS: &str = "def rows(task):\n    return task.data.to_pylist()\n";
    let base = managed(nemo_curator());
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        let lines = [1, 2].map(|n| format!("{}\n", json!({"text": name, "n": n})));
        fs::write(folder.path().join(format!("{name}.jsonl")), lines.concat()).expect("a file");
    }
    let stages = "nemo_curator.stages";
    let partition =
        PythonStage::from_module(format!("{stages}.file_partitioning"), "FilePartitioningStage");
    let read =
        PythonStage::from_module(format!("{stages}.text.io.reader.jsonl"), "JsonlReaderStage");
    let number = PythonStage::from_module(format!("{stages}.text.modules"), "AddId");
    let pipeline = Pipeline::new("read")
        .with_stage(
            partition.with_args(json!({"file_paths": folder.path(), "files_per_partition": 1})),
        )
        .with_stage(read)
        .with_stage(number.with_args(json!({"id_field": "id"})))
        .with_stage(PythonStage::from_source(ROWS, "rows"));
    let executor =
        LocalExecutor::default().with_base(base.python().to_owned()).with_cache_dir(cache());
    let report = executor.run(&pipeline, [Task::new(Value::Null)]);
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    // A list is several tasks.
    let rows = report.outputs.iter().filter_map(|task| task.data.as_json());
    let mut rows: Vec<String> = rows.map(Value::to_string).collect();
    rows.sort();
    let expected = [
        ("a", 1, "0_0_0_0_0"),
        ("a", 2, "0_0_0_0_1"),
        ("b", 1, "0_0_1_0_0"),
        ("b", 2, "0_0_1_0_1"),
    ]
    .map(|(text, n, id)| json!({"text": text, "n": n, "id": id}).to_string());
    assert_eq!(rows, expected);
    assert_eq!(report.stages[0].name, "file_partitioning", "its own name");
}
