//! The crate from outside: deletions and their limits, owners of folders, and files that are whole
//! or absent.

mod claims;
mod deletion;
mod drafts;
mod mounts;
mod races;
mod scratch;
mod trees;

use std::fs;
use std::path::Path;

/// Prints which test this user cannot run.
#[expect(clippy::print_stderr, reason = "for the people that run the tests")]
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
