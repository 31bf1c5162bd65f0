//! `curator run` with an engine on a real Ray: the command itself is the worker on the nodes.

use std::fs;

use serde_json::{Value, json};

use crate::world;

const STAGES: &str = "
import packaging


class Version:
    def __init__(self, key):
        self._key = key

    def process(self, task):
        return {**task.data, self._key: packaging.__version__}
";

#[test]
fn a_pipeline_file_runs_on_the_actor_pools() {
    let cluster = world::cluster();
    let ray = cluster.start(&world::script("start.py"));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("stages.py"), STAGES).unwrap();
    let stage = |key: &str, env: Value| {
        json!({
            "name": key, "python": "stages.py:Version", "args": { "key": key }, "runtime_env": env,
        })
    };
    let pipeline = json!({
        "name": "versions",
        "base": world::base(),
        "engine": { "backend": "ray-actor-pool", "address": ray.first_line() },
        "stage": [
            stage("old", json!({ "uv": ["packaging==24.0"] })),
            stage("new", json!({ "uv": ["packaging==25.0"] })),
        ],
    });
    let file = dir.path().join("pipeline.json");
    fs::write(&file, pipeline.to_string()).unwrap();
    let printed = duct::cmd(world::curator(), ["run".as_ref(), file.as_os_str()])
        .env("CURATOR_CACHE_DIR", world::cache())
        .env("RAY_TMPDIR", cluster.dir())
        .stdin_bytes("{\"n\": 1}\n{\"n\": 2}\n")
        .read()
        .expect("a run that succeeds");
    let mut outputs: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    outputs.sort_by_key(|output| output["n"].as_u64());
    let expected = |n: u64| json!({ "n": n, "old": "24.0", "new": "25.0" });
    assert_eq!(outputs, [expected(1), expected(2)]);
}
