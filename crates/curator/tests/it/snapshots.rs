//! Help and errors, word by word. After an intended change, write them anew with
//! `INSTA_UPDATE=always cargo test -p curator --features cli --test it snapshots`, and read the
//! diff.

use crate::pipelines::Folder;
use crate::support::shared;

/// Compares a text with the file of this name in `snapshots/`, which no other test changes.
fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Returns the commands that help lists, each with its parents.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !matches!(*name, "" | "help")).collect()
}

/// Every existing command: a new one needs no line here.
#[test]
fn the_help_of_every_command_is_as_it_was_read() {
    let world = shared();
    let mut waiting = vec![Vec::<String>::new()];
    let mut count = 0;
    while let Some(path) = waiting.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = world.run_with(&arguments, "", &[("COLUMNS", "100")]).text();
        for name in commands(&help) {
            waiting.push(path.iter().cloned().chain([name.to_owned()]).collect());
        }
        let name = ["curator"].into_iter().chain(path.iter().map(String::as_str));
        compare(&format!("help-{}", name.collect::<Vec<_>>().join("-")), &help);
        count += 1;
    }
    assert!(count > 15, "only {count} commands are found");
}

const RUN: &[&str] = &["run", "pipeline.toml", "--input", "tasks.jsonl"];

/// The most common errors, with their hints. Each line is a name, the pipeline's stages and the
/// arguments.
#[test]
fn typical_errors_are_as_they_were_read() {
    const GOOD: &str = "[[stage]]\npython = \"stages.py:Picky\"\n";
    let cases: [(&str, &str, &[&str]); 10] = [
        ("a-command-that-is-misspelt", GOOD, &["env", "craete"]),
        ("an-option-that-is-misspelt", GOOD, &["run", "pipeline.toml", "--inptu", "tasks.jsonl"]),
        ("options-that-exclude-each-other", GOOD, &["env", "create", "--pip", "a", "--uv", "b"]),
        ("nothing-to-install", GOOD, &["env", "create"]),
        ("a-requirement-that-is-none", GOOD, &["env", "create", "--uv", "pack aging"]),
        ("a-key-that-is-misspelt", GOOD, &["env", "create", "--spec", r#"{"pipp": ["a"]}"#]),
        ("an-environment-that-is-not-there", GOOD, &["env", "show", "0000000000000000"]),
        ("a-pipeline-that-is-not-there", GOOD, &["run", "no.toml", "--input", "tasks.jsonl"]),
        (
            "a-setting-that-is-misspelt",
            "[[stage]]\npython = \"stages.py:Picky\"\nbatchsize = 2\n",
            RUN,
        ),
        (
            "pip-and-uv-at-once",
            "[[stage]]\npython = \"stages.py:Picky\"\nruntime_env = { pip = [\"a\"], uv = [\"a\"] }\n",
            RUN,
        ),
    ];
    for (name, stages, arguments) in cases {
        let folder = Folder::new(stages);
        folder.write("tasks.jsonl", "{\"n\":1}\n");
        let run = folder.run(arguments);
        assert_ne!(run.code, Some(0), "{name}");
        let own = folder.text("");
        let text = run.err.replace(own.trim_end_matches('/'), "FOLDER");
        let text = text.replace(&folder.world.cache().display().to_string(), "CACHE");
        compare(&format!("error-{name}"), &format!("exit code {:?}\n{text}", run.code));
    }
}
