//! The crate from outside: what the cache promises, and bases and environments with real
//! interpreters, real pip and real uv.

mod additive;
mod bases;
mod basics;
mod describing;
mod eggs;
mod eviction;
mod faults;
mod fingerprints;
mod foreign;
mod installations;
mod isolation;
mod leases;
mod memos;
mod model;
mod overlay;
mod places;
mod processes;
mod races;
mod setup;
mod sharing;
mod speed;
mod trust;
mod virtualenvs;

use std::fs;
use std::path::Path;

/// A file that is not declared here is a test that never runs.
#[test]
fn no_file_is_left_out() {
    let main = include_str!("main.rs");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        assert!(!is_rust || stem == "main" || main.contains(&format!("mod {stem};")), "{stem}");
    }
}
