//! Every thread has a name for debuggers, `top -H` and panic messages.

use std::fs;

use crate::deletions::{product, shipped};

#[test]
fn every_thread_has_a_name() {
    let mut named = 0;
    let mut problems = Vec::new();
    for path in product().iter().filter(|path| path.extension().is_some_and(|it| it == "rs")) {
        // Files that hold tests only.
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = shipped(&fs::read_to_string(path).unwrap());
        let text: String = text.split_whitespace().collect();
        for (at, _) in text.match_indices("spawn(").chain(text.match_indices("spawn_scoped(")) {
            let (before, rest) = text.split_at(at);
            let statement = &before[before.rfind([';', '{', '=']).map_or(0, |at| at + 1)..];
            // Other types spawn processes.
            let is_thread = rest.starts_with("spawn_scoped(")
                || statement.contains("Builder::")
                || ["thread::", "scope."].iter().any(|end| statement.ends_with(end));
            if !is_thread {
                continue;
            }
            // A function of the same file that makes named threads.
            if statement.contains(".name(") || statement.contains("thread(\"") {
                named += 1;
            } else {
                problems.push(format!("{}: {statement}", path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "threads without a name:\n{}", problems.join("\n"));
    assert!(named > 15, "{named} threads");
}
