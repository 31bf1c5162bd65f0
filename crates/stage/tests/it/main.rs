//! The public behaviour of `stage`.

mod composite;
mod declared;
mod describe;
mod file;
mod overrides;
mod pipeline;
mod running;
mod rust_stages;
mod schema;
mod settings;
mod tasks;

#[test]
fn no_file_is_left_out() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || main.contains(&format!("\nmod {module};\n")), "{name}");
    }
}
