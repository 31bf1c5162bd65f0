//! `run --record` and `run --locked`: the environments of a run, made again.

use std::fs;

use serde_json::{Value, json};

use crate::pipelines::{Folder, lines, own_project};
use crate::support::World;

const STAGE: &str = "[[stage]]\nname = \"pinned\"\npython = \"stages.py:Version\"\n\
    runtime_env = { uv = [\"packaging>=23,<24.1\"] }\n";

/// A pipeline over a managed base, with a cache of its own.
fn folder() -> (Folder, World) {
    let folder = Folder::new("");
    let base = "name = \"test\"\nbase = { uv = [\"idna<3.11\", \"packaging==26.0\"] }\n";
    folder.write("pipeline.toml", &format!("{base}{STAGE}"));
    (folder, World::new())
}

#[test]
fn a_recorded_run_is_reproduced_in_another_cache() {
    let (folder, world) = folder();
    let (pipeline, kept) = (folder.text("pipeline.toml"), folder.text("kept"));
    let run = world.run_with(&["run", &pipeline, "--record", &kept], "{}\n", &[]);
    assert_eq!(lines(&run.text()), [json!({ "version": "24.0" })]);
    let mut record: Value = serde_json::from_str(&folder.read("kept/record.json")).unwrap();
    let environment = &record["stages"][0]["environment"];
    assert_eq!(environment["added"][0]["version"], "24.0");
    assert_eq!(environment["has_hashes"], true);
    let line = environment["requirements"][0].as_str().unwrap();
    assert!(line.starts_with("packaging==24.0") && line.contains("--hash=sha256:"), "{line}");
    assert_eq!(record["base_packages"]["packaging"], "26.0");
    assert!(record["report"]["wall_seconds"].as_f64().unwrap() > 0.0);

    // The same environment, offline: it is in the cache.
    let locked = ["run", &pipeline, "--locked", &kept, "--report"];
    let report = folder.text("report.json");
    let offline = [("UV_OFFLINE", "1")];
    let run = world.run_with(&[&locked[..], &[&report]].concat(), "{}\n", &[]);
    assert_eq!(lines(&run.text()), [json!({ "version": "24.0" })]);
    let report: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    assert_eq!(report["environments"][0]["state"], "hit");

    // The recorded run had older versions than the spec would get now. In an empty cache, they come
    // from the package manager's own cache, without the index.
    let old = world.run(&["env", "lock", "--uv", "packaging==23.0", "--base", world.base()]);
    record["stages"][0]["environment"]["requirements"] =
        old.text().lines().map(Value::from).collect();
    record["stages"][0]["environment"]["added"][0]["version"] = json!("23.0");
    folder.write("kept/record.json", &record.to_string());
    let other = World::new();
    let locked = ["run", &pipeline, "--locked", &kept];
    let run = world.run_with(&locked, "{}\n", &[]);
    assert_eq!(lines(&run.text()), [json!({ "version": "23.0" })]);
    let run = other.run_with(&locked, "{}\n", &offline);
    assert_eq!(lines(&run.text()), [json!({ "version": "23.0" })]);
}

#[test]
fn what_cannot_be_reproduced_is_refused() {
    let (folder, world) = folder();
    let (pipeline, kept) = (folder.text("pipeline.toml"), folder.text("kept"));
    let run = world.run_with(&["run", &pipeline, "--record", &kept], "{}\n", &[]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let locked = ["run", &pipeline, "--locked", &kept];
    let with = |set: &str| world.run_with(&[&locked[..], &["--set", set]].concat(), "{}\n", &[]);
    with("stage.pinned.runtime_env={ uv=['packaging==24.0'] }").fails(2, "asks for other packages");
    with("stage.pinned.runtime_env={}").fails(2, "stage `pinned` asks for other packages");
    with("base={ uv=['packaging==25.0'] }").fails(2, "the base asks for other packages");
    let other = world.create("packaging==24.2");
    with(&format!("base={}", other["path"])).fails(1, "`packaging` was 26.0 and is 24.2");
    world.run_with(&["run", &pipeline, "--locked", "nowhere"], "", &[]).fails(1, "nowhere");

    let record = folder.read("kept/record.json");
    folder.write("kept/record.json", &record.replace("\"24.0\"", "\"23.1\""));
    let run = world.run_with(&locked, "{}\n", &[]);
    run.fails(
        1,
        "stage `pinned` is not what it was in the recorded run: -packaging==23.1, +packaging==24.0",
    );
}

/// An index has another package with the name of private code: the record names the folder.
#[test]
fn private_code_is_recorded_with_its_folder_and_made_again_from_there() {
    let (folder, world) = (Folder::new(""), World::new());
    // The package index in the folder `links`, with a stranger's package `own`.
    own_project(&folder);
    folder.write("own/own.py", "WHOSE = 'public'\n");
    fs::create_dir(folder.path("links")).unwrap();
    let build = "import sys, backend; backend.build_wheel(sys.argv[1])";
    let words = [world.base(), "-c", build, &folder.text("links")].map(str::to_owned);
    duct::cmd(&words[0], &words[1..]).dir(folder.path("own")).run().unwrap();
    for (tool, own) in [("uv", "-e ./own"), ("pip", "./own")] {
        own_project(&folder);
        let options = format!(
            "{{ packages = [\"{own}\"], {} = [\"--no-index\", \"--find-links\", {:?}] }}",
            if tool == "uv" { "uv_pip_install_options" } else { "pip_install_options" },
            folder.text("links")
        );
        let stage = "[[stage]]\nname = \"own\"\npython = \"whose.py:whose\"\n";
        let head = format!("name = \"test\"\nbase = \"{}\"\n", world.base());
        let text = format!("{head}{stage}runtime_env = {{ {tool} = {options} }}\n");
        folder.write("pipeline.toml", &text);
        folder
            .write("whose.py", "def whose(task):\n    import own\n    return {\"w\": own.WHOSE}\n");
        let (pipeline, kept) = (folder.text("pipeline.toml"), folder.text("kept"));
        let run = world.run_with(&["run", &pipeline, "--record", &kept], "{}\n", &[]);
        assert_eq!(lines(&run.text()), [json!({ "w": "private" })]);
        let record: Value = serde_json::from_str(&folder.read("kept/record.json")).unwrap();
        let environment = &record["stages"][0]["environment"];
        let added = &environment["added"][0];
        assert_eq!(added["source"], format!("file://{}", folder.text("own")));
        assert_eq!(added["digest"].as_str().unwrap().len(), 64);
        assert!(!environment["requirements"].to_string().contains("own=="), "{environment}");

        let key = environment["key"].as_str().unwrap();
        let why = world.run(&["env", "why", key, "own"]).text();
        assert!(why.contains("it came from file://") && why.contains("the spec asks for"), "{why}");
        world.run(&["env", "remove", key]).text();
        let locked = ["run", &pipeline, "--locked", &kept];
        let run = world.run_with(&locked, "{}\n", &[]);
        assert_eq!(lines(&run.text()), [json!({ "w": "private" })]);
        folder.write("own/own.py", "WHOSE = 'edited'\n");
        let run = world.run_with(&locked, "{}\n", &[]);
        run.fails(2, "which is not what it was in the recorded run");
    }
}
