//! The whole of Curator through its facade, with real pip, uv, Python and the package index.
//!
//! Nothing is mocked, so the index must be reachable; a test that cannot reach it fails.

mod bases; // bases of every kind: bare, read-only, the system's, on another device, none
mod costs; // what a stage without packages does not pay, and what a preview does not do
mod crashes; // builders that are killed, and what they leave
mod deletions; // what may delete
mod failures; // packages that cannot be had
mod files; // the files of a crate: how long, and what they need of each other
mod isolation; // the base and the neighbours stay byte for byte what they were
mod layers; // the arrows between the crates, and what a crate must show
mod libraries; // what is imported before workers are forked
mod local_packages; // folders and wheels as requirements
mod outside; // crates of strangers
mod overlap; // stages that work while environments are built
mod own_executor; // an executor that is none of ours
mod secrets; // credentials, and where they must not be
mod specs; // the forms of a `runtime_env`
mod support;
mod tables; // Arrow tables between Rust and stages that have `pyarrow`
mod threads;
mod together; // processes that want the same environment at once
mod values; // what becomes of numpy's and pandas' values
mod versions; // several versions of a package in one pipeline

/// A file of tests that no module names would never run.
#[test]
fn every_file_is_a_module() {
    let main = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
