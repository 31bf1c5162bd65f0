//! `verify`, `prune` and `remove`: a store in order.

use std::fs;
use std::path::PathBuf;

use crate::support::World;

fn keys(world: &World) -> Vec<String> {
    let listed = world.run(&["env", "list", "--json"]).json();
    let keys = listed.as_array().expect("a list").iter();
    keys.map(|entry| entry["key"].as_str().expect("a key").to_owned()).collect()
}

#[test]
fn damage_is_found_and_named() {
    let world = World::new();
    let built = world.create("packaging==24.0");
    let (key, dir) =
        (built["key"].as_str().unwrap(), PathBuf::from(built["dir"].as_str().unwrap()));
    assert!(world.run(&["env", "verify"]).text().contains("whole"));

    let code = "import packaging; print(packaging.__path__[0])";
    let package = duct::cmd(dir.join("bin/python"), ["-c", code]).read().unwrap();
    let package = PathBuf::from(package);
    // One file is removed, and one is edited without a change of its length.
    fs::remove_file(package.join("tags.py")).unwrap();
    let file = package.join("version.py");
    let edited = fs::read_to_string(&file).unwrap().replacen('#', "%", 1);
    fs::remove_file(&file).unwrap();
    fs::write(&file, edited).unwrap();

    let run = world.run(&["env", "verify", &key[..8]]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("tags.py is gone"), "{}", run.out);
    assert!(run.out.contains("version.py was edited"), "{}", run.out);
    let run = world.run(&["env", "verify", "--json"]);
    assert_eq!(run.code, Some(1));
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let environments = found["environments"].as_array().unwrap();
    let damaged: Vec<_> = environments.iter().filter(|env| env["whole"] == false).collect();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0]["key"], key);
    assert_eq!(damaged[0]["damage"][0]["problem"], "gone");
}

/// An environment works where it was built: a copy of a cache says so wherever it is asked.
#[test]
fn an_environment_that_was_moved_or_copied_is_told() {
    let world = World::new();
    let key = world.key("packaging==24.0");
    let copy = world.dir().join("copy");
    duct::cmd!("cp", "-a", world.cache(), &copy).run().unwrap();
    let within = |arguments: &[&str]| {
        let dir = copy.to_str().unwrap();
        world.run(&[&["--cache-dir", dir], arguments].concat())
    };
    let place = world.cache().join("envs-v1").join(&key);
    let built = format!("it was built in `{}`, and moved or copied from there", place.display());

    let run = within(&["env", "verify", &key]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains(&format!("of no use: {built}")), "{}", run.out);
    let run = within(&["env", "verify", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let environments = found["environments"].as_array().unwrap();
    assert_eq!(environments.len(), keys(&world).len());
    assert!(environments.iter().all(|it| it["whole"] == false && it["unusable"].is_string()));
    for command in ["lock", "refresh", "exec"] {
        let command = match command {
            "exec" => vec!["env", "exec", "--spec", &key, "--", "true"],
            command => vec!["env", command, "--spec", &key],
        };
        within(&command).fails(1, &built);
    }
    assert!(within(&["env", "list"]).text().contains("built elsewhere"));
    let listed = within(&["env", "list", "--json"]).json();
    let moved = listed.as_array().unwrap().iter().filter(|it| it["moved_from"].is_string());
    assert_eq!(moved.count(), environments.len());
    assert!(within(&["env", "show", &key]).text().contains(&place.display().to_string()));
    // What its record says of packages is as true as before.
    assert!(within(&["env", "why", &key, "packaging"]).text().contains("packaging 24.0"));
    assert!(world.run(&["env", "verify", &key]).text().contains("whole"));
    // The next use builds it anew, in its place.
    let create = ["env", "create", "--uv", "packaging==24.0", "--base", world.base()];
    within(&create).text();
    assert!(within(&["env", "verify", &key]).text().contains("whole"));
}

#[test]
fn prune_keeps_to_limits_and_a_dry_run_keeps_everything() {
    let world = World::new();
    let (first, second) = (world.key("packaging==24.0"), world.key("packaging==24.1"));
    let before = keys(&world);
    let dry = world.run(&["env", "prune", "--all", "--dry-run", "--json"]).json();
    assert_eq!(dry["removed"].as_array().unwrap().len(), before.len());
    assert_eq!(keys(&world), before);
    assert!(world.run(&["env", "prune"]).text().contains("removed 0 environments"));
    assert!(world.run(&["env", "prune", "--older-than", "1d"]).text().contains("removed 0"));

    let own = |key: &str| {
        let shown = world.run(&["env", "show", key, "--json"]).json();
        shown["own_bytes"].as_u64().unwrap()
    };
    let all: u64 = before.iter().map(|key| own(key)).sum();
    let limit = (all - 1).to_string();
    let pruned = world.run(&["env", "prune", "--max-bytes", &limit, "--json"]).json();
    assert!(pruned["kept_bytes"].as_u64().unwrap() < all);
    let after = keys(&world);
    assert!(after.contains(&second) && after.len() < before.len(), "{pruned} {first}");

    world.run(&["env", "prune", "--all"]).text();
    assert_eq!(keys(&world), [""; 0]);
    assert_eq!(world.run(&["env", "list"]).text(), "");
}

/// Law: whatever the cache keeps of answers is counted by `du`, and nothing of it outlives `prune --all`.
#[test]
fn kept_answers_are_counted_and_go() {
    let world = World::new();
    world.key("packaging==24.0");
    let class =
        "class A:\n    batch_size = 2\n\n    def process(self, task):\n        return task\n";
    fs::write(world.dir().join("a.py"), class).unwrap();
    let pipeline = format!("name = 'p'\nbase = '{}'\n[[stage]]\npython = 'a.py:A'\n", world.base());
    let file = world.dir().join("p.toml");
    fs::write(&file, pipeline).unwrap();
    world.run(&["plan", file.to_str().unwrap()]).text();

    let answers = world.cache().join("interpreters");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&answers).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    };
    for kind in ["interpreter", "known", "class"] {
        assert!(names().iter().any(|name| name.starts_with(kind)), "{kind}: {:?}", names());
    }
    let bytes: u64 = names().iter().map(|name| answers.join(name).metadata().unwrap().len()).sum();
    let usage = world.run(&["env", "du", "--json"]).json();
    assert!(usage["answer_bytes"].as_u64().unwrap() >= bytes, "{usage}");
    assert!(world.run(&["env", "du"]).text().contains("kept answers: "));
    let count = names().len();
    let dry = world.run(&["env", "prune", "--all", "--dry-run", "--json"]).json();
    assert_eq!((&dry["answers"], names().len()), (&serde_json::json!(count), count), "{dry}");
    let pruned = world.run(&["env", "prune", "--all"]).text();
    assert!(pruned.contains(&format!("removed {count} kept answers (")), "{pruned}");
    assert_eq!(names(), [""; 0]);
}

#[test]
fn remove_takes_prefixes_and_an_order_that_works() {
    let world = World::new();
    let key = world.key("packaging==24.0");
    // The base's own base is needed, and is listed before the environments that need it.
    let all = keys(&world);
    let base = all.iter().find(|other| {
        let shown = world.run(&["env", "show", other, "--json"]).json();
        !shown["needed_by"].as_array().unwrap().is_empty()
    });
    let base = base.expect("a managed base");
    world.run(&["env", "remove", base]).fails(1, "needed by");
    world.run(&["env", "remove", &key[..16], "ffffffffffffffff"]).fails(1, "no environment's key");
    assert_eq!(keys(&world).len(), all.len());
    let mut arguments = vec!["env", "remove", "--json", base.as_str()];
    arguments.extend(all.iter().map(String::as_str));
    assert_eq!(world.run(&arguments).json()["removed"].as_array().unwrap().len(), all.len());
    assert_eq!(keys(&world), [""; 0]);
}

#[test]
fn a_prefix_of_several_keys_is_refused() {
    let world = World::new();
    let prefixes = |digits: usize| -> Vec<String> {
        keys(&world).iter().map(|key| key[..digits].to_owned()).collect()
    };
    // With 17 environments, two share their first digit; these two already exist.
    let mut number = 0;
    let shared = loop {
        let mut first = prefixes(1);
        first.sort();
        if let Some(pair) = first.windows(2).find(|pair| pair[0] == pair[1]) {
            break pair[0].clone();
        }
        let spec = format!(r#"{{ "uv": ["idna==3.10"], "keep": ["keep-{number}"] }}"#);
        world.run(&["env", "create", "--spec", &spec, "--base", world.base()]).text();
        number += 1;
    };
    world.run(&["env", "show", &shared]).fails(2, "hint: give more of the key's digits");
}
