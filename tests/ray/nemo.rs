//! `curator.nemo`: unchanged pipelines of the real NeMo Curator, on the local executor. The outputs
//! must equal those of its own adapter; a whole run also asks Ray Data.

use std::path::Path;

use serde_json::{Value, json};

use crate::guide::nemo_curator;
use crate::world::{cache, cluster, curator, managed, tests_all};

#[test]
fn pipelines_of_nemo_curator_run_as_they_are() {
    let base = managed(nemo_curator());
    // A whole run starts Ray.
    let cluster = tests_all().then(cluster);
    let folder = tempfile::tempdir().expect("a folder");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/curator/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ray/nemo.py");
    let mut arguments = vec![script.as_os_str(), folder.path().as_os_str()];
    if tests_all() {
        arguments.push("all".as_ref());
    }
    let command = duct::cmd(base.python(), arguments)
        .env("CURATOR_PROGRAM", curator())
        .env("CURATOR_CACHE_DIR", cache())
        .env("PYTHONPATH", package)
        .stdout_capture()
        .stderr_capture()
        .unchecked();
    // NeMo Curator's own executors leave their Ray behind; by its folder it is found and ended.
    let command = match &cluster {
        Some(cluster) => command.env("RAY_TMPDIR", cluster.dir()),
        None => command,
    };
    let output = command.run().expect("an interpreter");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));

    let documents = &found["documents"];
    assert_eq!(documents["ids"].as_array().map(Vec::len), Some(3));
    let files = documents["files"].as_object().expect("files by name");
    let rows: Vec<&Value> = files.values().flat_map(|rows| rows.as_array().unwrap()).collect();
    assert_eq!((files.len(), rows.len()), (3, 240));
    assert!(rows.iter().all(|row| row["packaging"] == "24.0"), "{}", rows[0]);
    let workers = [
        "file_partitioning",
        "jsonl_reader + word_count",
        "NewlineNormalizer",
        "mark",
        "add_id + document_splitter + parquet_writer",
    ];
    assert_eq!(found["workers"], json!(workers));
    assert_eq!(found["numbers"], json!(true));
    let raised = json!([["no 1", 7], ["in the stage 'bad' of NeMo Curator"]]);
    assert_eq!(found["raised"], raised);
    if cfg!(target_os = "linux") {
        let births = found["births"].as_array().expect("a list");
        assert!(births.len() == 3 && births.iter().all(|it| *it == births[0]), "{births:?}");
    }
    assert_eq!(found["ids depend on batches"], json!([]));
    assert_eq!(found["frames"], json!([]));
    assert_eq!(found["written"], json!(["0", "1", "2", "3", "4", "5"]));
    let shared = json!({ "hand_out": true, "one_thrice": true, "one_data_thrice": true });
    assert_eq!(found["sharing"], shared);
    let ignored = "`zzzzzz` is no field of a runtime_env: Ray ignores it, unless a plugin reads it";
    assert_eq!(found["unknown"], json!([[ignored, "nemo.py"]]));
    let refused = &found["refused"];
    for (name, words) in [
        ("is_raft_actor", "'is_raft_actor' needs RAFT actors"),
        ("is_shuffle_stage", "'is_shuffle_stage' needs a shuffle"),
        ("is_lsh_stage", "'is_lsh_stage' needs a shuffle"),
        ("ids", "'numbers documents' asks an actor of Ray"),
        ("conda", "stage 'conda' has `conda`"),
        ("container", "stage 'container' has `container`"),
        ("image_uri", "stage 'image_uri' has `image_uri`"),
        ("without nemo", "'elsewhere' needs `nemo_curator`"),
    ] {
        let told = refused[name].as_str().unwrap_or_default();
        assert!(told.contains(words), "{name}: {told}");
    }
    assert_eq!(refused["nothing ran"], json!(true));
    let words = [["task 1", "to_frame"], ["task 1", "Arrow table"], ["Series", "to_frame"]];
    for (place, words) in words.iter().enumerate() {
        let told = found["unsendable"][place].as_str().unwrap_or_default();
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
    if tests_all() {
        for name in ["unfused is equal", "numbers unfused", "ray data is equal"] {
            assert_eq!(found[name], json!(true), "{name}");
        }
        let engines = ["on ray-data", "on ray-actor-pool", "on xenna"];
        let bridges = ["ray-data", "pool", "xenna"];
        let bridges =
            bridges.iter().flat_map(|it| ["environments", "bridged"].map(|way| (way, it)));
        let names = ["versions"].into_iter().chain(engines).map(str::to_owned);
        for name in names.chain(bridges.map(|(way, engine)| format!("{way} {engine}"))) {
            let versions = &found[&name];
            assert_eq!(versions["own"], "23.2", "{name}: {versions}");
            assert_eq!(versions["none"], versions["base"], "{name}: {versions}");
        }
    }
}
