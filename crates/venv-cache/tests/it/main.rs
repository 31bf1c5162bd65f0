//! The crate from outside: real interpreters, real pip, real uv.

mod additive;
mod bases;
mod describing;
mod fingerprints;
mod installations;
mod isolation;
mod places;
mod setup;
mod virtualenvs;

/// A test file that nobody names here would not run.
#[test]
fn no_file_is_left_out() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let text = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("main.rs")
        {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(text.contains(&format!("mod {name};")), "{name} is not in main.rs");
        }
    }
}
