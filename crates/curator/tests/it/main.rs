//! The command `curator`, run as people and scripts run it, with real uv, pip and Python.

mod building;
mod classes;
#[path = "../../../backends/tests/it/corpus.rs"]
mod corpus;
mod destinations;
mod documented;
mod exact;
mod executing;
mod explaining;
mod failed;
mod foreign;
mod guides;
mod hostile;
mod interrupting;
mod keeping;
mod limits;
mod malformed;
mod permissions;
mod pipelines;
mod progress;
mod python_answers;
mod python_checkpoints;
mod python_ends;
mod python_environments;
mod python_functions;
mod python_interrupted;
mod python_mistakes;
mod python_notebook;
mod python_pipelines;
mod python_raised;
mod python_returned;
mod python_scale;
mod python_settings;
mod python_testing;
mod python_threads;
mod python_travelling;
mod python_unseen;
mod python_values;
mod recording;
mod reporting;
mod resuming;
mod running;
mod secrets;
mod snapshots;
mod starting;
mod support;
#[cfg(feature = "arrow")]
mod tables;
mod troubleshooting;
mod usage;
mod users;
mod warm;

/// A file that is not listed above would never be compiled or run.
#[test]
fn no_file_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
        let is_listed = include_str!("main.rs").contains(&format!("\nmod {name};"));
        assert!(name == "main" || is_listed, "{name}.rs");
    }
}
