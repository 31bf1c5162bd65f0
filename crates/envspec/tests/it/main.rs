//! The public behaviour of `envspec`.

mod cost;
mod differential;
mod files;
mod golden;
mod laws;
mod lines;
mod local_projects;
mod merge;
mod panics;
mod projects;
mod purity;
mod secrets;
mod settings;
mod shape;
mod urls;
mod verdicts;

use std::path::Path;

use envspec::{Error, Install, LoadedEnv, MemorySource, RuntimeEnv};

/// The folder that relative paths start at.
const DIR: &str = "/project";

fn load(spec: &RuntimeEnv) -> Result<LoadedEnv, Error> {
    load_with(spec, &MemorySource::new())
}

fn load_with(spec: &RuntimeEnv, source: &MemorySource) -> Result<LoadedEnv, Error> {
    spec.load(source, Path::new(DIR))
}

fn install_with(spec: &RuntimeEnv, source: &MemorySource) -> Install {
    load_with(spec, source).expect("a valid spec").install.expect("a spec that asks for packages")
}

/// Returns the messages of an error and of its causes, as they would be printed.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn no_file_is_left_out() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(dir.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name == "main" || main.contains(&format!("mod {name};")), "{name}");
    }
}
