//! The arrows between the crates, and what every crate must show its readers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates, and which of our crates each may depend on: lowest layer first.
const LAYERS: [(&str, &[&str]); 7] = [
    ("envspec", &[]),
    ("files", &[]),
    ("installer", &["envspec", "files"]),
    ("venv-cache", &["envspec", "files"]),
    ("stage", &["envspec"]),
    ("backends", &["envspec", "files", "installer", "stage", "venv-cache"]),
    ("curator", &["backends", "envspec", "files", "installer", "stage", "venv-cache"]),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("crates")
}

fn manifest(name: &str) -> toml::Table {
    let path = crates().join(name).join("Cargo.toml");
    fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

/// Returns the names in a table of dependencies, also in those for one platform.
fn dependencies(manifest: &toml::Table, table: &str) -> Vec<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(toml::Table::values);
    let tables = targets.filter_map(|target| target.get(table)).chain(manifest.get(table));
    tables
        .filter_map(toml::Value::as_table)
        .flatten()
        .map(|(name, value)| {
            // A dependency may be renamed.
            let package = value.get("package").and_then(toml::Value::as_str);
            package.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn the_arrows_between_the_crates_point_one_way() {
    let mut found: Vec<String> = fs::read_dir(crates())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut known: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(found, known, "every crate has its place in the layers");
    for (name, allowed) in LAYERS {
        let manifest = manifest(name);
        for table in ["dependencies", "build-dependencies"] {
            for dependency in dependencies(&manifest, table) {
                let is_ours = LAYERS.iter().any(|(name, _)| *name == dependency);
                assert!(
                    !is_ours || allowed.contains(&dependency.as_str()),
                    "`{name}` must not depend on `{dependency}`"
                );
            }
        }
        // A test may use lower layers, never its own or higher ones.
        for dependency in dependencies(&manifest, "dev-dependencies") {
            let position = |name: &str| LAYERS.iter().position(|(other, _)| *other == name);
            if let Some(position_of_dependency) = position(&dependency) {
                assert!(
                    Some(position_of_dependency) <= position(name),
                    "the tests of `{name}` must not depend on `{dependency}`"
                );
            }
        }
    }
}

/// Types that several crates have, each with its crate's name: what all of them need, and small parts of
/// theirs that never meet. Types that stand for an environment, a base or a stage are not among them.
const SHARED_NAMES: [&str; 10] = [
    "BoxError", "Error", "Kind", "Left", "Need", "Origin", "Scratch", "Setting", "Settings",
    "Source",
];

/// Returns the public types in a file, where it declares them.
fn public_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.trim_start().strip_prefix("pub ")?.split_whitespace();
        ["struct", "enum", "trait", "type", "union"].contains(&words.next()?).then_some(())?;
        words.next()?.split(|letter: char| !letter.is_alphanumeric()).next()
    })
}

/// Each type of one crate can be told from those of another by its name alone.
#[test]
fn no_two_crates_have_a_type_of_one_name() {
    let mut owners: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, _) in LAYERS {
        for path in files_below(&crates().join(name).join("src"), &["rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            for found in public_types(&text) {
                owners.entry(found.to_owned()).or_default().insert(name);
            }
        }
    }
    assert!(owners.len() > 150, "only {} types were found", owners.len());
    owners.retain(|_, owners| owners.len() > 1);
    let found: Vec<&str> = owners.keys().map(String::as_str).collect();
    assert_eq!(found, SHARED_NAMES, "{owners:?}");
}

#[test]
fn these_tests_reach_the_product_through_the_facade() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let ours = dependencies(&manifest, "dependencies");
    let ours: Vec<_> = ours.iter().filter(|it| LAYERS.iter().any(|(name, _)| name == it)).collect();
    assert_eq!(ours, ["curator"]);
    for file in files_below(Path::new(env!("CARGO_MANIFEST_DIR")), &["rs"]) {
        let text = fs::read_to_string(&file).unwrap();
        for (name, _) in LAYERS.iter().filter(|(name, _)| *name != "curator") {
            let name = name.replace('-', "_");
            let direct = text.lines().find(|line| line.starts_with(&format!("use {name}")));
            assert!(direct.is_none(), "{}: {direct:?}", file.display());
        }
    }
}

#[test]
fn every_crate_opens_with_its_purpose_and_an_example() {
    for (name, _) in LAYERS {
        let text = fs::read_to_string(crates().join(name).join("src/lib.rs")).unwrap();
        let docs: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(docs.len() >= 10, "lib.rs of `{name}` says too little: {} lines", docs.len());
        let opens = docs.iter().any(|line| {
            let fence = line.trim_start_matches("//!").trim();
            fence.starts_with("```") && !fence.contains("text") && fence != "```ignore"
        });
        assert!(opens, "lib.rs of `{name}` has no example");
    }
}

/// The README of a crate shows the example of its `lib.rs`, which a doc test runs: every line that
/// the documentation shows, in order, and those hidden lines that the README needs.
#[test]
fn every_crate_has_a_readme_with_its_tested_example() {
    for (name, _) in LAYERS {
        let dir = crates().join(name);
        let library = fs::read_to_string(dir.join("src/lib.rs")).unwrap();
        let docs = library.lines().map_while(|line| line.strip_prefix("//!"));
        let docs = docs.map(|line| line.strip_prefix(' ').unwrap_or(line));
        let example = docs.skip_while(|line| !line.starts_with("```")).skip(1);
        let mut example = example.take_while(|line| !line.starts_with("```"));

        let readme = fs::read_to_string(dir.join("README.md"));
        let readme = readme.unwrap_or_else(|error| panic!("README of `{name}`: {error}"));
        let block = readme.split("```rust\n").nth(1).expect("an example");
        for shown in block.lines().take_while(|line| !line.starts_with("```")) {
            let found = example.by_ref().find_map(|line| match line.strip_prefix("# ") {
                Some(hidden) => (hidden.trim() == shown.trim()).then_some(true),
                None => Some(line.trim() == shown.trim()),
            });
            assert_eq!(found, Some(true), "README of `{name}`: `{shown}`");
        }
        let rest = example.find(|line| !line.starts_with('#'));
        assert_eq!(rest, None, "README of `{name}` ends early");
    }
}

#[test]
fn every_crate_describes_itself_to_a_registry() {
    for (name, _) in LAYERS {
        let manifest = manifest(name);
        let package = &manifest["package"];
        let count = |key: &str| package.get(key).and_then(toml::Value::as_array).map(Vec::len);
        assert!(package.get("description").is_some(), "`{name}` has no description");
        assert_eq!(
            package.get("readme").and_then(toml::Value::as_str),
            Some("README.md"),
            "{name}"
        );
        assert!(count("keywords").is_some_and(|it| (1..=5).contains(&it)), "keywords of `{name}`");
        assert!(
            count("categories").is_some_and(|it| (1..=5).contains(&it)),
            "categories of `{name}`"
        );
        assert_eq!(package["license"]["workspace"].as_bool(), Some(true), "license of `{name}`");
    }
}

/// A lock is had in one way, with the reason beside it: by the types of `backends::sync`.
#[test]
fn no_file_passes_over_a_panic_by_itself() {
    let word = ["Poison", "Error"].concat();
    let root = crates().parent().unwrap().to_owned();
    for folder in ["crates", "tests", "bench"] {
        for file in files_below(&root.join(folder), &["rs"]) {
            let text = fs::read_to_string(&file).unwrap();
            let is_home = file.ends_with("backends/src/sync.rs");
            assert_eq!(text.contains(&word), is_home, "{} has `{word}`", file.display());
            // Where there are threads of a run, a mutex that is poisoned is a second panic.
            let runs = ["backends/src", "curator/src"].map(|it| crates().join(it));
            if !is_home && runs.iter().any(|it| file.starts_with(it)) {
                let plain = text.lines().find(|line| {
                    let words = line.split(|letter: char| !letter.is_alphanumeric());
                    line.starts_with("use std::sync::")
                        && words.into_iter().any(|it| it == "Mutex" || it == "Condvar")
                });
                assert_eq!(plain, None, "{}", file.display());
            }
        }
    }
}

type Hint<E> = fn(&E) -> Option<Cow<'_, str>>;
type Report<E> = fn(&E) -> String;

/// Every crate offers the hint and the report of an error in the same way.
#[test]
fn every_crate_tells_of_its_errors_in_one_way() {
    for (name, _) in LAYERS {
        for file in files_below(&crates().join(name).join("src"), &["rs"]) {
            let text = fs::read_to_string(&file).unwrap();
            for line in text.lines().filter(|line| line.contains("fn hint(&self)")) {
                let is_one = line.trim() == "pub fn hint(&self) -> Option<Cow<'_, str>> {";
                assert!(is_one || line.contains("pub(crate)"), "{}: {line}", file.display());
            }
        }
    }
    let _: (Hint<curator::envspec::Error>, Report<_>) =
        (curator::envspec::Error::hint, curator::envspec::Error::report);
    let _: (Hint<curator::stage::Error>, Report<_>) =
        (curator::stage::Error::hint, curator::stage::Error::report);
    let _: (Hint<curator::installer::Error>, Report<_>) =
        (curator::installer::Error::hint, curator::installer::Error::report);
    let _: (Hint<curator::venv_cache::Error>, Report<_>) =
        (curator::venv_cache::Error::hint, curator::venv_cache::Error::report);
    let _: (Hint<curator::backends::Error>, Report<_>) =
        (curator::backends::Error::hint, curator::backends::Error::report);
}

fn files_below(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(files_below(&path, extensions));
        } else if path.extension().is_some_and(|it| extensions.iter().any(|other| it == *other)) {
            files.push(path);
        }
    }
    files
}

#[test]
fn files_speak_of_the_product_alone() {
    // The words are put together here, so that the search does not find this file.
    let words = [["issue", " #"], ["/work/", "main"], ["/work/", "shared"], ["/tmp", "/h/"]]
        .map(|parts| parts.concat());
    let root = crates().parent().unwrap().to_owned();
    let mut files = files_below(&root.join("crates"), &["rs", "py", "toml", "md"]);
    for other in ["tests", "bench"] {
        files.extend(files_below(&root.join(other), &["rs", "py", "toml", "md"]));
    }
    files.extend(files_below(&root.join("docs"), &["md"]));
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "md" || it == "toml") {
            files.push(path);
        }
    }
    assert!(files.len() > 100, "{} files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for word in &words {
            assert!(!text.contains(word), "{} mentions `{word}`", file.display());
        }
    }
}

/// Words that hide the subject of a sentence, and so make a reader read it twice.
#[test]
fn sentences_name_their_subject() {
    // The words are put together here, so that the search does not find this file.
    let words = [
        ["who", "ever"],
        ["some", "body"],
        ["no", "body"],
        ["any", "body"],
        ["every", "body"],
        ["the same", " with "],
        ["is told", " of "],
        ["as it", " stands"],
    ]
    .map(|parts| parts.concat());
    let root = crates().parent().unwrap().to_owned();
    let mut files = Vec::new();
    for folder in ["crates", "tests", "bench", "docs"] {
        files.extend(files_below(&root.join(folder), &["rs", "py", "md"]));
    }
    let mut problems = Vec::new();
    let except = ["docs/STYLE.md"];
    for file in files.iter().filter(|file| !except.iter().any(|it| file.ends_with(it))) {
        let text = fs::read_to_string(file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            // The system has a user of this name.
            let line = line.to_lowercase().replace(&format!("the user `{}`", words[2]), "");
            if let Some(word) = words.iter().find(|word| line.contains(&***word)) {
                problems.push(format!("{}:{number} has `{word}`", file.display()));
            }
        }
    }
    assert!(problems.is_empty(), "see docs/STYLE.md:\n{}", problems.join("\n"));
}
