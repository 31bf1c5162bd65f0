//! `list`, `show`, `why`, `diff` and `du`: the environments in a cache, and the reasons for them.

use serde_json::{Value, json};

use crate::support::{World, shared};

fn entry<'a>(entries: &'a Value, key: &str) -> &'a Value {
    let entries = entries.as_array().expect("a list");
    entries.iter().find(|entry| entry["key"] == key).expect("it is listed")
}

#[test]
fn list_and_show_tell_what_an_environment_is_made_of() {
    let world = shared();
    let key = world.key("packaging==24.0");
    let listed = world.run(&["env", "list", "--json"]).json();
    let listed = entry(&listed, &key);
    assert_eq!(listed["packages"], json!(["packaging==24.0"]));
    assert_eq!(listed["base"], world.base());
    assert!(listed["own_bytes"].as_u64().unwrap() > 0);
    let text = world.run(&["env", "list"]).text();
    assert!(text.starts_with("KEY") && text.contains(&key[..12]), "{text}");
    assert!(!text.contains('\x1b'), "colour in a pipe: {text}");

    let shown = world.run(&["env", "show", &key[..12], "--json"]).json();
    assert_eq!(shown["key"], json!(key));
    assert_eq!(shown["details"]["packages"]["packaging"], "24.0");
    assert_eq!(shown["details"]["packages"]["idna"], "3.10");
    let text = world.run(&["env", "show", &key[..12]]).text();
    for word in ["packaging==24.0", "packaging 24.0", "packaging 26.0", world.base()] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn why_tells_who_asks() {
    let world = shared();
    let key = world.key("markdown-it-py==3.0.0");
    let why = world.run(&["env", "why", &key, "MDURL", "--json"]).json();
    assert_eq!((&why["package"], &why["origin"]), (&json!("mdurl"), &json!("added")));
    assert_eq!(why["required_by"][0]["package"], "markdown-it-py==3.0.0");
    let text = world.run(&["env", "why", &key, "mdurl"]).text();
    assert!(text.contains("markdown-it-py==3.0.0 asks for mdurl"), "{text}");
    let text = world.run(&["env", "why", &key, "idna"]).text();
    assert!(text.contains("idna 3.10 is the base's"), "{text}");
    world.run(&["env", "why", &key, "no-such-package"]).fails(1, "no-such-package");
}

#[test]
fn diff_tells_packages_and_requirements() {
    let world = shared();
    let (left, right) = (world.key("packaging==24.0"), world.key("packaging==24.1"));
    let diff = world.run(&["env", "diff", &left, &right, "--json"]).json();
    assert_eq!(diff["packages"], json!([{ "name": "packaging", "left": "24.0", "right": "24.1" }]));
    assert_eq!(diff["only_left"], json!(["packaging==24.0"]));
    let text = world.run(&["env", "diff", &left, &right]).text();
    assert!(text.contains("24.0") && text.contains("24.1"), "{text}");
    assert_eq!(world.run(&["env", "diff", &left, &left]).text(), "no difference\n");
}

#[test]
fn du_counts_what_is_shared_once() {
    let world = World::new();
    let key = world.key("packaging==24.0");
    let usage = world.run(&["env", "du", "--json"]).json();
    let env = entry(&usage["environments"], &key);
    assert!(env["own_bytes"].as_u64().unwrap() > 0, "{env}");
    let parts = ["own_bytes", "shared_with_environments", "shared_with_others"];
    let all: u64 = usage["environments"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|env| parts.map(|part| env[part].as_u64().unwrap()))
        .sum();
    let once = usage["own_bytes"].as_u64().unwrap() + usage["shared_bytes"].as_u64().unwrap();
    assert!(once <= all, "{usage}");
    let text = world.run(&["env", "du"]).text();
    assert!(text.contains(&key[..12]) && text.contains("all: "), "{text}");
}

#[test]
fn doctor_finds_a_sound_machine_and_a_missing_base() {
    let world = shared();
    let findings = world.run(&["doctor", "--base", world.base(), "--json"]).json();
    assert_ne!(findings["status"], "bad", "{findings}");
    let subjects: Vec<&str> = findings["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["subject"].as_str().unwrap())
        .collect();
    for subject in
        ["cache", "file system", "free space", "base", "uv", "pip", "ray", "registry of uv"]
    {
        assert!(subjects.contains(&subject), "{subject}: {subjects:?}");
    }
    let bad = world.run(&["doctor", "--base", "/nowhere"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.out.contains("/nowhere"), "{}", bad.out);

    // An index without a server.
    let vars = [
        ("UV_INDEX_URL", "http://127.0.0.1:9/simple"),
        ("PIP_INDEX_URL", "http://127.0.0.1:9/simple"),
    ];
    let bad = world.run_with(&["doctor", "--base", world.base(), "--json"], "", &vars);
    assert_eq!(bad.code, Some(1), "{}", bad.out);
    let found: Value = serde_json::from_str(&bad.out).unwrap();
    let registry =
        found["findings"].as_array().unwrap().iter().find(|it| it["subject"] == "registry of uv");
    assert_eq!(registry.unwrap()["status"], "bad", "{found}");
    assert!(registry.unwrap()["advice"].is_string(), "{found}");
}
