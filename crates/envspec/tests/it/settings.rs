//! The table of settings: the documentation shows it, and it misses no option of a spec.

use std::path::Path;

use envspec::settings::{self, Effect, Setting, Value};
use envspec::{Error, LoadedEnv, MemorySource, RuntimeEnv, Tool};

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

/// Options that a spec may give and that the key leaves out: they decide how a tool talks, or ask
/// for what is done anyway.
const LEFT_OUT: [&str; 19] = [
    "color",
    "compile",
    "compile-bytecode",
    "debug",
    "disable-pip-version-check",
    "exists-action",
    "inexact",
    "no-color",
    "no-input",
    "no-progress",
    "no-python-version-warning",
    "no-strict",
    "no-warn-conflicts",
    "no-warn-script-location",
    "progress-bar",
    "quiet",
    "require-virtualenv",
    "root-user-action",
    "verbose",
];

/// Returns a spec with an option in one of its spellings.
fn with(tool: Tool, words: &[String]) -> Result<LoadedEnv, Error> {
    let spec = match tool {
        Tool::Pip => RuntimeEnv::pip(["a"]),
        Tool::Uv => RuntimeEnv::uv(["a"]),
    };
    spec.with_tool_options(words.to_vec()).load(&MemorySource::default(), Path::new("/"))
}

#[test]
fn no_option_of_a_spec_is_passed_over_in_silence() {
    for tool in [Tool::Pip, Tool::Uv] {
        for setting in settings::all(tool).iter().filter(|one| one.is_option()) {
            // The option names a package, and counts as a line of the list.
            if setting.name == "editable" {
                continue;
            }
            let names = [setting.name].into_iter().chain(setting.others.iter().copied());
            let names = names.map(|name| format!("--{name}"));
            for name in names.chain(setting.short.map(|letter| format!("-{letter}"))) {
                let attached =
                    if name.starts_with("--") { format!("{name}=x") } else { format!("{name}x") };
                let mut spellings = vec![vec![name.clone()]];
                if setting.value != Value::Flag {
                    spellings = vec![vec![name.clone(), "x".to_owned()], vec![attached]];
                }
                for words in spellings {
                    let loaded = with(tool, &words);
                    match setting.effect {
                        Effect::Ours if LEFT_OUT.contains(&setting.name) => {
                            assert!(loaded.is_ok(), "{tool} {words:?}");
                        }
                        Effect::Ours | Effect::Refused => {
                            let text = loaded.map(drop).expect_err(&words.join(" "));
                            let text = crate::chain(&text);
                            let refused = format!("`--{}` is refused: ", setting.name);
                            assert!(text.contains(&refused), "{tool} {words:?}: {text}");
                        }
                        Effect::Counts | Effect::Quiet => {}
                    }
                }
            }
        }
    }
    // An option that asks for the default adds nothing.
    let copies = ["--link-mode=copy".to_owned()];
    let install = with(Tool::Uv, &copies).unwrap().install.unwrap();
    assert_eq!(install.tool_options, [""; 0]);
}
