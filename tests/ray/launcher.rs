//! `curator env exec … -- python` as a launcher: in a shell script, and as the interpreter of Ray's
//! tasks, actors and data sets (`runtime_env={"py_executable": …}`).

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::world::{base, cache, cluster, curator, script};

const VERSION: &str = "import packaging, sys; print(packaging.__version__, sys.argv[1:])";

/// The workers' answers, or their failures: one cluster for all tests.
static REPORT: LazyLock<Value> = LazyLock::new(report);

/// Returns a launcher for this spec, over the base.
fn launcher(spec: &str) -> String {
    format!("{} env exec {spec} --base {} -- python", curator().display(), base().display())
}

/// Returns the key of an environment over the base; builds it if needed.
fn key(requirement: &str) -> String {
    let arguments = ["env", "create", "--json", "--uv", requirement, "--base"];
    let made = duct::cmd(curator(), arguments.iter().map(Path::new).chain([base()]))
        .env("CURATOR_CACHE_DIR", cache())
        .read()
        .expect("an environment");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    made["key"].as_str().expect("a key").to_owned()
}

fn report() -> Value {
    let cluster = cluster();
    let file = cluster.dir().join("spec.json");
    let spec = json!({ "pip": ["packaging>=23.1,<23.2; python_version>='3.9'"] });
    fs::write(&file, spec.to_string()).expect("a spec");
    let modules = cluster.dir().join("modules");
    fs::create_dir(&modules).expect("a folder");
    fs::write(modules.join("beside.py"), "NAME = 'beside'\n").expect("a module");

    let launchers = json!({
        "base": null,
        "key": launcher(&format!("--spec {}", &key("packaging==24.0")[..12])),
        "file": launcher(&format!("--spec {}", file.display())),
        "inline": launcher("--uv packaging==23.2"),
        "quoted": launcher("--uv 'packaging>=22,<23'"),
    });
    let exec = format!("{} env exec", curator().display());
    let no_ray = format!("{exec} --uv packaging==24.0 --managed-base idna==3.10 -- python");
    let refused = json!({
        "misspelt": launcher("--uv packagingg==24.0"),
        "no such key": launcher("--spec 0123456789abcdef"),
        "another ray": launcher("--uv ray==2.50.0"),
        "no ray": no_ray,
        "no cache": format!("{exec} --cache-dir /proc/none --spec 0123 -- python"),
    });
    let arguments = [launchers.to_string(), refused.to_string()];
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/curator/python");
    let arguments =
        [modules.as_os_str(), arguments[0].as_ref(), arguments[1].as_ref(), package.as_os_str()];
    let printed = cluster.python(&script("launcher.py"), &arguments);
    let last = printed.lines().next_back().expect("a line");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

#[test]
fn a_shell_script_starts_it_as_it_would_start_python() {
    let script = format!(
        "set -e\npython='{}'\n$python -c '{VERSION}' a 'b c'\necho '{VERSION}' | $python\n\
         echo text | $python -c 'import sys; print(sys.stdin.read().strip())'\n\
         $python -c 'raise SystemExit(41)' || echo $?",
        launcher("--uv packaging==24.0")
    );
    let printed = duct::cmd("bash", ["-c", &script]).env("CURATOR_CACHE_DIR", cache()).read();
    let expected = ["24.0 ['a', 'b c']", "24.0 []", "text", "41"];
    assert_eq!(printed.unwrap().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn each_worker_of_ray_is_in_its_own_environment() {
    let versions = [("key", "24.0"), ("file", "23.1"), ("inline", "23.2"), ("quoted", "22.0")];
    for way in ["task", "actor", "data"] {
        let seen = &REPORT["seen"][way];
        for (name, version) in versions {
            let seen = &seen[name];
            assert_eq!(seen["packaging"], version, "{way} {name}");
            assert_eq!(seen["visible"], json!([version]), "{way} {name}");
            let prefix = seen["prefix"].as_str().expect("a path");
            assert!(Path::new(prefix).starts_with(cache().join("envs-v1")), "{way} {name}");
        }
        assert_eq!(seen["base"]["prefix"], json!(base().ancestors().nth(2)), "{way}");
        let prefixes = versions.map(|(name, _)| seen[name]["prefix"].to_string());
        let mut distinct = prefixes.to_vec();
        distinct.push(seen["base"]["prefix"].to_string());
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 5, "{way}: {distinct:?}");
    }
}

/// Ray started without these variables: what names the cache must reach the workers.
#[test]
fn an_environment_is_found_in_the_cache_that_the_driver_names() {
    for name in ["XDG_CACHE_HOME", "CURATOR_CACHE_DIR"] {
        let seen = &REPORT["by variables"][name];
        assert_eq!(seen["packaging"], "24.0", "{name}");
        let [prefix, cache] = ["prefix", "cache"].map(|it| seen[it].as_str().expect("a path"));
        assert!(Path::new(prefix).starts_with(cache), "{name}: {prefix}");
    }
}

#[test]
fn workers_and_their_children_see_the_base_and_the_jobs_own_modules() {
    for way in ["task", "actor", "data"] {
        for (name, seen) in REPORT["seen"][way].as_object().expect("a map") {
            assert_eq!(seen["ray"], "2.60.0", "{way} {name}");
            assert_eq!(seen["beside"], "beside", "{way} {name}");
            let mut seen = seen.clone();
            let child = seen["child"].take();
            seen.as_object_mut().expect("a map").remove("child");
            assert_eq!(child, seen, "{way} {name}");
        }
    }
}

/// Ray restarts a worker that exits early, and waits forever for one that hangs.
#[test]
fn a_worker_without_an_environment_fails_what_it_is_sent() {
    let ways = [
        ("task", "RayTaskError(RuntimeEnvSetupError)"),
        ("actor", "ActorDiedError"),
        ("data", "RayTaskError(RuntimeEnvSetupError)"),
    ];
    for (way, class) in ways {
        refused("misspelt", way, class, "`uv` found no package `packagingg`");
    }
    for (name, words) in [
        ("no such key", "0123456789abcdef"),
        ("another ray", "`ray` is kept at the base's 2.60.0"),
        ("no ray", "has no Ray, but the worker is to join Ray 2.60.0"),
        ("no cache", "/proc/none"),
    ] {
        refused(name, "task", ways[0].1, words);
    }
}

fn refused(name: &str, way: &str, class: &str, words: &str) {
    let failed = &REPORT["failed"][name][way];
    assert_eq!(failed["error"], class, "{name} {way}: {}", failed["text"]);
    let text = failed["text"].as_str().expect("text");
    assert!(text.contains(words), "{name} {way}: {text}");
    assert!(text.contains("RuntimeEnvSetupError"), "{name} {way}: {text}");
}
