//! What the cache promises, over its public interface.

mod basics;
mod eviction;
mod faults;
mod leases;
mod model;
mod processes;
mod races;
mod sharing;
mod speed;

use std::fs;
use std::path::Path;

/// A file that nobody names here is a test that never runs.
#[test]
fn no_file_is_left_out() {
    let main = include_str!("main.rs");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(stem == "main" || main.contains(&format!("mod {stem};")), "{stem}");
    }
}
