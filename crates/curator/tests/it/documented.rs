//! Every error that a person can meet is on a page: its text, and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use crate::troubleshooting::has;

const PAGE: &str = include_str!("../../../../docs/troubleshooting.md");
const CLUSTERS: &str = include_str!("../../../../docs/clusters.md");

/// Errors that no page needs, and why.
const ELSEWHERE: [(&str, &[&str]); 4] = [
    (
        "the cause that follows is on the page",
        &[
            "`…` cannot be used",
            "a project in a folder cannot be built",
            "an option for the package manager cannot be used",
            "failed to build environment `…`",
            "failed to list `…`",
            "failed to … for stage `…`",
            "line … of `…` cannot be used",
            "no environment for …",
            "the pipeline cannot be run",
            "the runtime_env of … cannot be used",
        ],
    ),
    ("they have no words of their own", &["`…` …", "`…`: …", "…", "……"]),
    (
        "they stand beside the error that ended the run",
        &[
            "the environment was given up while it was being made",
            "the environment was given up, since the run had ended",
        ],
    ),
    (
        "only Rust code that calls the crates gets them",
        &[
            "`…` exists and is not empty",
            "`…` is no digest",
            "`…` is not empty: it holds `…`",
            "a batch of … tasks came back with … entries",
            "a fingerprint is 64 lower-case hexadecimal digits",
            "executor `…` does not tell what task … was made of",
            "missing field `name`",
            "no Rust stage is registered as `…`",
            "pipeline `…` cannot be written as a file",
            "settings hold no code: `…`",
            "stage `…` is Rust code",
            "task … holds data that is no JSON",
            "the Rust stage `…` cannot be made",
            "the data is no `…`",
            "the folder `…` is not absolute",
            "the sink refused task …",
            "the stage's `…` cannot be written as JSON",
        ],
    ),
];

/// Returns the texts of all errors, with `…` for the parts that vary.
fn errors() -> Vec<String> {
    let mut texts = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![crates.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path: PathBuf = entry.path();
            // The workspace itself may lie in a folder of that name.
            let inner = path.strip_prefix(&crates).expect("a path below");
            let is_source = inner.components().any(|part| part.as_os_str() == "src");
            let name = entry.file_name();
            if path.is_dir() && (is_source || name == "src" || path.join("Cargo.toml").exists()) {
                folders.push(path);
            } else if is_source && path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(path).expect("a source");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                for start in ["#[error(", "Failure::usage(", "Failure::failed("] {
                    texts.extend(code.split(start).skip(1).filter_map(literal));
                }
            }
        }
    }
    texts
}

/// Returns the text at the start of some code, if a literal stands there.
fn literal(code: &str) -> Option<String> {
    let code = code.trim_start().trim_start_matches('&').trim_start_matches("format!(");
    let mut letters = code.trim_start().strip_prefix('"')?.chars().peekable();
    let (mut text, mut depth) = (String::new(), 0);
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next()? {
                // The hint follows.
                'n' => break,
                '\n' => while letters.next_if(|next| next.is_whitespace()).is_some() {},
                other => text.push(other),
            },
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                text.push('…');
            }
            other if depth == 0 => text.push(other),
            _ => {}
        }
    }
    Some(text)
}

/// Returns whether a text says enough to be found by it.
fn is_telling(text: &str) -> bool {
    text.chars().filter(|letter| letter.is_alphanumeric()).count() >= 5
}

/// Returns the first cells of the table after a heading.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, section) = page.split_once(heading).expect("the section");
    let lines = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    lines.map_while(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
}

#[test]
fn every_error_is_on_a_page_or_needs_none() {
    let errors = errors();
    assert!(errors.len() > 180, "{}", errors.len());
    let rare = rows(PAGE, "## Rarer errors");
    let headings: Vec<&str> = PAGE.lines().filter_map(|it| it.strip_prefix("### ")).collect();
    let of_clusters: Vec<&str> = rows(CLUSTERS, "## When it fails")
        .into_iter()
        .filter_map(|row| row.split('`').nth(1))
        .collect();
    let elsewhere: Vec<&str> = ELSEWHERE.iter().flat_map(|(_, texts)| *texts).copied().collect();
    let is_told =
        |error: &str, entry: &str| is_telling(error) && (has(entry, error) || has(error, entry));
    let is_known = |error: &str| {
        headings.iter().chain(&rare).any(|entry| is_told(error, entry))
            || of_clusters.iter().any(|part| has(error, part))
            || elsewhere.contains(&error)
    };
    let missing: Vec<&String> = errors.iter().filter(|error| !is_known(error)).collect();
    assert!(missing.is_empty(), "on no page: {missing:#?}");
    // What is told is an error still.
    let stale = rare.iter().filter(|row| !errors.iter().any(|error| is_told(error, row)));
    let stale = stale.chain(elsewhere.iter().filter(|it| !errors.iter().any(|error| error == *it)));
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "no error: {stale:#?}");
}
