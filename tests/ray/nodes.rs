//! Clusters of several nodes on one machine, each with an environment cache of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{ENGINES, Job, Running, wait_for};
use crate::world::{self, Cluster, Started};

/// Returns a stage that holds its tasks, in an environment of its own, with this text in its table.
fn hold(name: &str, dir: &Path, workers: &str) -> String {
    format!(
        "[[stage]]\nname = {name:?}\npython = \"{}:Hold\"\nargs = {{ folder = {:?} }}\nbatch_size = \
         1\nruntime_env = {{ uv = [\"packaging==24.0\"] }}\n{workers}\n",
        world::script("faults.py").display(),
        dir.display().to_string(),
    )
}

/// Starts a cluster with one node; the caches of the nodes have the package managers already.
fn start(cluster: &Cluster) -> Started {
    for node in ["first", "second", "third"] {
        let cache = cache_of(cluster, node);
        std::fs::create_dir(&cache).expect("a folder of ours");
        world::base();
        std::os::unix::fs::symlink(world::cache().join("tools"), cache.join("tools"))
            .expect("a link");
    }
    cluster.start(&world::script("nodes.py"))
}

fn cache_of(cluster: &Cluster, node: &str) -> PathBuf {
    cluster.dir().join(format!("cache-{node}"))
}

/// Returns a run that uses the cache of each node.
fn job(
    cluster: &Cluster,
    ray: &Started,
    engine: &str,
    dir: &Path,
    stages: &str,
    tasks: u64,
) -> Job {
    let own = cache_of(cluster, "first");
    Job::new(dir, engine, stages, tasks)
        .with("address", ray.first_line())
        .with("cache", Value::Null)
        .with_var("CURATOR_CACHE_DIR", own.to_str().expect("text"))
}

/// Waits until workers on this many nodes hold tasks.
fn held_on_nodes(running: &Running, count: usize) {
    wait_for("a worker on each node", || {
        let nodes: BTreeSet<String> =
            running.held(1).into_iter().map(|(_, _, node)| node).collect();
        (nodes.len() >= count).then_some(())
    });
}

/// Returns the environments in a cache.
fn environments(cache: &Path) -> usize {
    std::fs::read_dir(cache.join("envs-v1")).map_or(0, Iterator::count)
}

/// Checks that outputs come from the first node and from this one, each from an environment in the
/// node's own cache, and that the hook for a node ran once on each.
#[track_caller]
fn assert_on_both(
    cluster: &Cluster,
    other: &str,
    outputs: &[&Value],
    running_nodes: &[(String, String)],
) {
    let seen: BTreeSet<(&str, &str)> = outputs
        .iter()
        .map(|data| {
            (data["node"].as_str().expect("a node"), data["prefix"].as_str().expect("a path"))
        })
        .collect();
    let nodes: BTreeSet<&str> = seen.iter().map(|(node, _)| *node).collect();
    assert_eq!((seen.len(), nodes.len()), (2, 2), "{seen:?}");
    for name in ["first", other] {
        let cache = cache_of(cluster, name);
        let own = seen.iter().filter(|(_, prefix)| Path::new(prefix).starts_with(&cache)).count();
        assert_eq!((own, environments(&cache)), (1, 1), "{name}: {seen:?}");
    }
    let set_up: BTreeSet<&str> =
        running_nodes.iter().filter_map(|(node, _)| node.split('-').next()).collect();
    assert_eq!((running_nodes.len(), &set_up), (2, &nodes), "{running_nodes:?}");
}

fn uses_both(cluster: &Cluster, ray: &Started, engine: &str, other: &str) {
    let dir = cluster.dir().join(format!("both-{engine}"));
    let stages = hold("Hold", &dir, "num_workers_per_node = 1");
    let running = job(cluster, ray, engine, &dir, &stages, 16).start(cluster);
    held_on_nodes(&running, 2);
    running.go_on();
    let nodes = running.notes("node");
    let answer = running.answer();
    answer.assert_complete(16);
    assert_on_both(cluster, other, &answer.outputs(), &nodes);
}

/// The program's file is removed before the other node joins, which has only the shipped copy.
fn ray_data_uses_a_late_one(cluster: &Cluster, ray: &Started, other: &str) {
    let program = cluster.dir().join("worker");
    std::fs::copy(env!("CARGO_BIN_EXE_run-on-ray"), &program).expect("a copy");
    let dir = cluster.dir().join("late-ray-data");
    let stages = hold("Hold", &dir, "resources = { cpus = 2 }");
    let running = job(cluster, ray, "ray-data", &dir, &stages, 64)
        .with("program", program.to_str())
        .start(cluster);
    held_on_nodes(&running, 1);
    std::fs::remove_file(&program).expect("a copy of ours");
    ray.ask(&format!("add {other} 2"));
    held_on_nodes(&running, 2);
    running.go_on();
    let nodes = running.notes("node");
    let answer = running.answer();
    answer.assert_complete(64);
    assert_on_both(cluster, other, &answer.outputs(), &nodes);
}

/// A stage that starts after a node has joined runs there, too.
fn actor_pools_use_a_late_one(cluster: &Cluster, ray: &Started, other: &str) {
    let [dir, later] = ["early", "later"].map(|name| cluster.dir().join(name));
    std::fs::create_dir(&later).expect("a folder of ours");
    let stages =
        hold("Early", &dir, "num_workers = 1") + &hold("Late", &later, "num_workers_per_node = 1");
    let running = job(cluster, ray, "ray-actor-pool", &dir, &stages, 16).start(cluster);
    held_on_nodes(&running, 1);
    ray.ask(&format!("add {other} 2"));
    running.go_on();
    let notes = |kind: &str| crate::run::notes(&later, kind);
    wait_for("workers on both nodes", || {
        assert!(running.is_running(), "it ended: {:?}", running.said());
        let nodes: BTreeSet<String> = notes("held")
            .into_iter()
            .filter_map(|(_, text)| Some(text.split(' ').nth(1)?.to_owned()))
            .collect();
        (nodes.len() == 2).then_some(())
    });
    std::fs::write(later.join("go"), "").expect("a folder of ours");
    let answer = running.answer();
    let mut outputs = answer.outputs();
    assert_eq!(outputs.len(), 16);
    let numbers: BTreeSet<u64> =
        outputs.iter().filter_map(|data| data["number"]["number"].as_u64()).collect();
    assert_eq!(numbers.len(), 16);
    outputs.retain(|data| data["node"].is_string());
    assert_on_both(cluster, other, &outputs, &notes("node"));
}

/// The tasks of a node that dies run on another one.
fn outlives(cluster: &Cluster, ray: &Started, engine: &str, other: &str) {
    let dir = cluster.dir().join(format!("dies-{engine}"));
    let stages = hold("Hold", &dir, "num_workers_per_node = 1");
    let running = job(cluster, ray, engine, &dir, &stages, 16).start(cluster);
    held_on_nodes(&running, 2);
    let dead = ray.ask(&format!("kill {other}"));
    running.go_on();
    let answer = running.answer();
    answer.assert_complete(16);
    for data in answer.outputs() {
        assert_ne!(data["node"], dead.as_str(), "{engine}");
    }
}

/// One cluster for all: a node joins, is used by each engine, and dies; then another one. Ray Data
/// and the actor pools also use a node that joins late, which is the harder case: a quick round
/// leaves out the other one for them.
#[test]
fn nodes_join_and_die_while_pipelines_run() {
    let cluster = world::cluster();
    let ray = start(&cluster);
    ray_data_uses_a_late_one(&cluster, &ray, "second");
    for engine in ENGINES {
        if engine == "xenna" || world::tests_all() {
            uses_both(&cluster, &ray, engine, "second");
        }
    }
    outlives(&cluster, &ray, "ray-data", "second");
    actor_pools_use_a_late_one(&cluster, &ray, "third");
    outlives(&cluster, &ray, "ray-actor-pool", "third");
}
