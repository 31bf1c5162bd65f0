//! The crate from outside: what is deleted and what is not, whose a folder is, and files that are
//! there whole.

mod claims;
mod deletion;
mod drafts;
mod mounts;
mod races;
mod trees;

use std::fs;
use std::path::Path;

/// Says what this user could not have tested.
#[expect(clippy::print_stderr, reason = "read by whoever runs the tests")]
fn not_tested(test: &str, needs: &str) {
    eprintln!("not tested: {test} needs `{needs}`");
}

/// A test file that is not declared here never runs.
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
