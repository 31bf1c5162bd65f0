//! Curator beside a real Ray: environments for the workers of Ray's tasks, actors and data sets.
//!
//! Nothing is mocked: our own crates make the base with Ray from the package index, and keep it for
//! the next run of these tests.

mod command; // `curator run` with an engine on Ray
mod conformance; // the cases that every executor must pass, over all of them
mod declared; // what code says of itself, where a worker contradicts it
mod faults; // what is killed or fails, and what is left of it
mod flow; // outputs that are there before the run is over
mod guide; // the page for users of Ray and NeMo Curator, run unchanged
mod launcher; // `curator env exec` as the interpreter of Ray's workers
mod nemo; // pipelines of NeMo Curator as they are, on our executors
mod nemo_files; // stages of NeMo Curator in a pipeline file and from Rust
mod nodes; // clusters of several nodes on one machine
mod promises; // what environments of stages promise, from Python
mod refusals; // what cannot be run, told before or as soon as Ray is asked
mod run; // pipelines on an engine, in processes of their own
mod workers;
mod world; // the base with Ray, clusters one at a time, Python scripts

/// A file of tests that no module names would never run.
#[test]
fn every_file_is_a_module() {
    let main = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ray");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
