//! Wrong usage, wrong specs, and help.

use crate::support::shared;

#[test]
fn typos_are_refused_with_what_was_meant() {
    let world = shared();
    world.run(&["env", "craete"]).fails(2, "create");
    world.run(&["env", "create", "--piip", "packaging"]).fails(2, "--pip");
    world.run(&["env", "create", "--spec", r#"{ "pipp": ["packaging"] }"#]).fails(2, "`pip`");
    world.run(&["env", "create", "--uv", "pack aging"]).fails(2, "pack aging");
    world.run(&["env", "create", "--spec", "no-such-file.json"]).fails(2, "no-such-file.json");
    world.run(&["env", "create", "--requirements", "none.txt"]).fails(2, "none.txt");
    world.run(&["env", "prune", "--max-bytes", "many"]).fails(2, "whole number");
    world.run(&["env", "prune", "--older-than", "7"]).fails(2, "unit");
    std::fs::write(world.dir().join("wrong.json"), r#"{ "uv": ["#).unwrap();
    world.run(&["env", "create", "--spec", "wrong.json"]).fails(2, "wrong.json");
    world.run(&["env", "show", "not-a-key"]).fails(2, "not-a-key");
    world.run(&["env", "show", "0000000000000000"]).fails(1, "0000000000000000");
}

#[test]
fn what_excludes_each_other_is_refused() {
    let world = shared();
    world.run(&["env", "create", "--pip", "a", "--uv", "b"]).fails(2, "cannot be used with");
    world.run(&["env", "create", "--uv", "b", "--spec", "{}"]).fails(2, "cannot be used with");
    let bases = ["env", "create", "--uv", "a", "--base", "b", "--managed-base", "c"];
    world.run(&bases).fails(2, "cannot be used with");
    world.run(&["env", "create"]).fails(2, "hint: give --uv");
    world.run(&["env", "exec", "--uv", "a"]).fails(2, "COMMAND");
    world.run(&["env", "create", "--uv", "a", "--base", "/nowhere"]).fails(2, "/nowhere");
}

#[test]
fn every_command_has_help_with_an_example() {
    let world = shared();
    let commands = [
        "create", "exec", "list", "show", "why", "diff", "du", "verify", "prune", "remove", "lock",
        "refresh",
    ];
    for command in commands {
        let help = world.run(&["env", command, "--help"]).text();
        assert!(
            help.contains("Example") && help.contains(&format!("env {command} "))
                || help.contains(&format!("env {command}\n")),
            "{help}"
        );
        assert!(command == "exec" || help.contains("--json"), "{help}");
    }
    assert!(world.run(&["doctor", "--help"]).text().contains("Example"));
}

#[test]
fn the_base_itself_is_an_empty_spec() {
    let world = shared();
    let arguments = ["env", "create", "--spec", "{}", "--base", world.base(), "--json"];
    let base = world.run(&arguments).json();
    assert_eq!(base["state"], "base");
    assert_eq!(base["path"], world.base());
    assert_eq!(base["key"], serde_json::Value::Null);
}
