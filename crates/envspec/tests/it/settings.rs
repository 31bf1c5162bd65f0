//! The table of settings that the documentation shows is the one that decides.

use envspec::Tool;
use envspec::settings::{self, Effect, Setting};

const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");

fn row(tool: Tool, effect: Effect) -> String {
    let name = |setting: &Setting| format!("`{}`", setting.name);
    let mut names: Vec<String> =
        settings::all(tool).iter().filter(|one| one.effect == effect).map(name).collect();
    names.sort();
    names.dedup();
    let head = format!("{effect:?}").to_lowercase();
    format!("| *{head}* | {} |\n", names.join(", "))
}

#[test]
fn the_documentation_shows_the_table_that_decides() {
    let text = std::fs::read_to_string(DOC).unwrap();
    for tool in [Tool::Pip, Tool::Uv] {
        for effect in [Effect::Refused, Effect::Counts, Effect::Quiet, Effect::Ours] {
            let row = row(tool, effect);
            assert!(text.contains(&row), "docs/operators.md lacks this row of {tool}:\n{row}");
        }
    }
}
