//! The public behaviour, with real pip, real uv and the real index.

mod bases;
mod bootstrap;
mod deadline;
mod early;
mod failures;
mod install;
mod isolation;
mod server;
mod settings;
mod trust;
mod versions;
mod world;

#[test]
fn no_file_is_left_out() {
    let main = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
