//! `create`, `lock` and `refresh`: from specs to environments.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::permissions::set_mode;
use crate::support::{World, shared};

#[test]
fn create_prints_the_interpreter_and_the_next_call_finds_it() {
    let world = shared();
    let arguments = ["env", "create", "--uv", "packaging==24.0", "--base", world.base()];
    let first = world.run(&arguments);
    let python = first.path();
    assert_eq!(world.run(&arguments).path(), python);
    let code = "import packaging, idna; print(packaging.__version__)";
    assert_eq!(duct::cmd(&python, ["-c", code]).read().unwrap(), "24.0");
}

#[test]
fn create_tells_everything_as_json() {
    let world = shared();
    let built = world.create("packaging==24.1");
    assert_eq!(built["state"], "built");
    assert_eq!(built["added"], json!(["packaging==24.1"]));
    assert_eq!(built["replaced"], json!(["packaging==26.0"]));
    assert!(built["strategy"].is_string());
    assert!(built["bytes_added"].as_u64().unwrap() > 0);
    assert!(built["seconds"]["total"].as_f64().unwrap() > 0.0);
    assert!(built["seconds"]["install"].as_f64().unwrap() > 0.0, "{}", built["seconds"]);
    assert!(Path::new(built["path"].as_str().unwrap()).is_file());

    let hit = world.create("packaging==24.1");
    assert_eq!(hit["state"], "hit");
    assert_eq!(hit["key"], built["key"]);
    assert_eq!(hit["seconds"].as_object().unwrap().len(), 1, "{}", hit["seconds"]);
}

#[test]
fn every_way_to_give_a_spec_names_the_same_environment() {
    let world = shared();
    let key = world.key("packaging==24.2");
    let write = |name: &str, text: &str| fs::write(world.dir().join(name), text).unwrap();
    write("requirements.txt", "Packaging == 24.2  # pinned\n");
    write("spec.json", r#"{ "uv": ["packaging==24.2"] }"#);
    write("spec.toml", "uv = \"requirements.txt\"\n");
    let json = r#"{ "uv": ["packaging==24.2"] }"#;
    for (spec, input) in [
        (["--requirements", "requirements.txt"], ""),
        (["--spec", "spec.json"], ""),
        (["--spec", "spec.toml"], ""),
        (["--spec", json], ""),
        (["--spec", "-"], json),
        (["--spec", &key[..10]], ""),
        (["--spec", &key], ""),
    ] {
        let arguments = ["env", "create", spec[0], spec[1], "--base", world.base(), "--json"];
        let found = world.run_with(&arguments, input, &[]).json();
        assert_eq!((&found["key"], &found["state"]), (&json!(key), &json!("hit")), "{spec:?}");
    }
    let by_pip = ["env", "create", "--pip", "packaging==24.2", "--base", world.base(), "--json"];
    assert_ne!(world.run(&by_pip).json()["key"], json!(key));
}

#[test]
fn a_strategy_can_be_asked_for() {
    let world = shared();
    for strategy in ["symlink", "copy"] {
        let arguments = ["env", "create", "--uv", "packaging==23.1", "--base", world.base()];
        let arguments = [&arguments[..], &["--strategy", strategy, "--json"]].concat();
        assert_eq!(world.run(&arguments).json()["strategy"], strategy);
    }
}

#[test]
fn a_build_that_fails_is_told_by_the_resolver_and_leaves_nothing() {
    let world = World::new();
    let before = world.run(&["env", "list", "--json"]).json();
    let arguments = ["env", "create", "--uv", "packaging==9999", "--base", world.base()];
    world.run(&arguments).fails(1, "9999");
    assert_eq!(
        world.run(&["env", "list", "--json"]).json().as_array().map(Vec::len),
        before.as_array().map(Vec::len)
    );
}

#[test]
fn what_lock_prints_is_a_spec() {
    let world = shared();
    let arguments = ["env", "lock", "--uv", "packaging<24", "--base", world.base()];
    let lines = world.run(&arguments).text();
    assert!(lines.contains("packaging==23.") && lines.contains("--hash=sha256:"), "{lines}");
    fs::write(world.dir().join("requirements.lock"), &lines).unwrap();
    let create = ["env", "create", "--requirements", "requirements.lock", "--base", world.base()];
    // A file that is there keeps its mode, and a link to it stays.
    let (there, link) = (world.dir().join("there.txt"), world.dir().join("link.txt"));
    fs::write(&there, "older\n").unwrap();
    set_mode(&there, 0o600);
    symlink("there.txt", &link).unwrap();
    assert_eq!(world.run(&[&arguments[..], &["-o", "link.txt"]].concat()).text(), "");
    assert_eq!(fs::read_to_string(&there).unwrap(), lines);
    assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(link.is_symlink());
    world.run(&create).path();

    // As a lock file too, by its name or on request.
    let file = ["--output", "pylock.one.toml"];
    assert_eq!(world.run(&[&arguments[..], &file].concat()).text(), "");
    let written = fs::read_to_string(world.dir().join(file[1])).unwrap();
    assert_eq!(world.run(&[&arguments[..], &["--format", "pylock"]].concat()).text(), written);
    let create = ["env", "create", "--requirements", file[1], "--base", world.base()];
    world.run(&create).path();
    for (name, format) in [("lock.toml", "pylock"), ("pylock.toml", "requirements")] {
        let wrong = [&arguments[..], &["--output", name, "--format", format]].concat();
        world.run(&wrong).fails(2, name);
        assert!(!world.dir().join(name).exists());
    }
    world.run(&[&arguments[..], &["-o", "other.toml"]].concat()).fails(2, "pylock.NAME.toml");
    world.run(&[&arguments[..], &["-o", "lines.txt"]].concat()).text();
    assert_eq!(fs::read_to_string(world.dir().join("lines.txt")).unwrap(), lines);

    let json = world.run(&[&arguments[..], &["--json"]].concat()).json();
    let printed: Vec<&str> = lines.lines().collect();
    assert_eq!(json["requirements"], json!(printed));
}

#[test]
fn a_key_stands_for_its_base_too() {
    let world = World::new();
    let listed = world.run(&["env", "list", "--json"]).json();
    let listed = listed.as_array().unwrap();
    let key = |packages: &str| {
        let entry = listed.iter().find(|entry| entry["packages"] == json!([packages]));
        entry.expect("it is listed")["key"].as_str().unwrap().to_owned()
    };
    // The environment was built over the base, which is a managed one.
    let (over, base) = (key("idna==3.10"), key("packaging==26.0"));
    for key in [&over, &base] {
        let refreshed = world.run(&["env", "refresh", "--spec", &key[..12], "--json"]).json();
        assert_eq!((&refreshed["key"], &refreshed["state"]), (&json!(key), &json!("hit")));
    }
    let arguments = ["env", "refresh", "--json", "--managed-base", "packaging==26.0"];
    assert_eq!(world.run(&arguments).json()["key"], json!(base));
    let lines = world.run(&["env", "lock", "--spec", &base]).text();
    assert!(lines.starts_with("packaging==26.0 --hash=") && lines.lines().count() == 1, "{lines}");
    let lines = world.run(&["env", "lock", "--spec", &over]).text();
    assert!(lines.starts_with("idna==3.10 --hash="), "{lines}");
    // The key does not stand for an environment over another base.
    let arguments = ["env", "refresh", "--spec", &over, "--base", world.base()];
    world.run(&arguments).fails(2, "hint: leave --base");
}

#[test]
fn refresh_leaves_what_is_still_the_answer() {
    let world = shared();
    let key = world.key("packaging<24.1");
    for spec in [["--uv", "packaging<24.1"], ["--spec", &key[..12]]] {
        let arguments = ["env", "refresh", spec[0], spec[1], "--base", world.base(), "--json"];
        let refreshed = world.run(&arguments).json();
        assert_eq!((&refreshed["key"], &refreshed["state"]), (&json!(key), &json!("hit")));
    }
}

/// A name is one of a program on `PATH`, and not of a file that lies in the current folder.
#[test]
fn no_interpreter_of_the_current_folder_is_run_by_its_name() {
    let world = World::new();
    let ran = world.dir().join("ran");
    for name in ["python3", "own-python"] {
        let script = format!("#!/bin/sh\n: > {}\nexec {} \"$@\"\n", ran.display(), world.base());
        fs::write(world.dir().join(name), script).unwrap();
        set_mode(&world.dir().join(name), 0o755);
    }
    symlink(Path::new(world.base()).ancestors().nth(2).unwrap(), world.dir().join("venv")).unwrap();
    let create = ["env", "create", "--uv", "packaging==24.0"];
    let before = std::env::var("PATH").unwrap();
    for path in [before.clone(), format!(":{before}"), format!(".:sub/..:{before}")] {
        for base in [&[][..], &["--base", "python3"], &["--base", "venv"]] {
            world.run_with(&[&create, base].concat(), "", &[("PATH", &path)]).path();
            assert!(!ran.exists(), "{path} {base:?}");
        }
        let own = world.run_with(
            &[&create[..], &["--base", "own-python"]].concat(),
            "",
            &[("PATH", &path)],
        );
        own.fails(2, "no Python interpreter at `own-python`");
        own.fails(2, "`./`");
        assert!(!ran.exists(), "{path}");
    }
    world.run(&[&create[..], &["--base", "./own-python"]].concat()).path();
    assert!(ran.exists(), "a path is run");
}
