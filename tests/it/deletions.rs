//! Only the crate `files` deletes, and it cannot leave the tree that it deletes.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that delete trees, or look as if they did, and the only files where they may stand.
const WORDS: [(&[&str], &[&str]); 6] = [
    (&["remove", "_dir_all"], &[]),
    (&["remove", "_dir("], &[]),
    (&["remove", "_file("], &[]),
    // A name that is looked for in what imports have registered.
    (&["rm", "tree"], &["crates/backends/python/curator_left.py"]),
    // Folders that are deleted when they are dropped, by the path that they had.
    (&["Temp", "Dir"], &["crates/backends/src/conformance/setting.rs"]),
    // A dead program cannot delete, so a shell does. The folder is private to the program.
    (&["rm", " -rf"], &["crates/installer/src/process.rs"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs" || it == "py" || it == "sh") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Returns the source files of the crates.
pub(crate) fn product() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("crates")).expect("a readable folder") {
        let name = entry.expect("a readable entry").path();
        for part in ["src", "python"].map(|part| name.join(part)).iter().filter(|it| it.is_dir()) {
            sources(part, &mut files);
        }
    }
    assert!(files.len() > 200, "{} files", files.len());
    files
}

/// Returns the part of a file that is shipped, without the tests at its end.
pub(crate) fn shipped(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

#[test]
fn everything_is_deleted_by_the_crate_for_it() {
    let root = root();
    let files = product();
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    // Helpers for tests of other crates count as tests.
    let is_product = |path: &&PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        !name.starts_with("crates/files/") && !name.contains("/testing")
    };
    for path in files.iter().filter(is_product) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let text = shipped(&fs::read_to_string(path).unwrap());
        for (parts, allowed) in WORDS {
            let word = parts.concat();
            if text.contains(&word) {
                seen.push(name.clone());
                if !allowed.contains(&name.as_str()) {
                    problems.push(format!("{name}: `{word}`"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "deletes by itself:\n{}", problems.join("\n"));
    for allowed in WORDS.iter().flat_map(|(_, allowed)| *allowed) {
        assert!(seen.iter().any(|name| name == allowed), "{allowed} needs no exception any more");
    }
    let mut bench = Vec::new();
    sources(&root.join("bench/src"), &mut bench);
    for path in bench {
        let text = shipped(&fs::read_to_string(&path).unwrap());
        let trees = ["remove", "_dir_all"].concat();
        assert!(!text.contains(&trees), "{}: `{trees}`", path.display());
    }
}
