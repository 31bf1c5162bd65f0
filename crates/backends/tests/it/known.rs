//! An environment that is built again, of what is known already: without an index, and the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backends::{Environment, Provisioner};
use envspec::{LoadedEnv, Tool};
use serde_json::json;
use stage::Isolation;

use crate::index::Index;
use crate::world::World;

/// A spec of these requirements from an index on this machine.
fn spec(world: &World, tool: Tool, index: &Index, requirements: &[&str]) -> LoadedEnv {
    // pip keeps nothing that comes over http, but from a host that is trusted.
    let host = format!("127.0.0.1:{}", index.port());
    let options = match tool {
        Tool::Pip => {
            ("pip_install_options", ["--index-url", &index.url(), "--trusted-host", &host])
        }
        Tool::Uv => (
            "uv_pip_install_options",
            ["--index-url", &index.url(), "--allow-insecure-host", &host],
        ),
    };
    world.load(&json!({ tool.as_str(): { "packages": requirements, options.0: options.1 } }))
}

/// What was asked of the index since the last look.
fn asked(world: &World) -> usize {
    let file = world.root.join("requests");
    let text = fs::read_to_string(&file).unwrap_or_default();
    fs::write(&file, "").expect("a file or folder that is there");
    text.lines().count()
}

/// The files of an environment, but for its own records and bytecode, which tells the time.
fn contents(environment: &Environment) -> BTreeMap<PathBuf, Vec<u8>> {
    let bin = environment.python().parent().expect("a file or folder that is there").to_owned();
    let (mut files, mut folders) =
        (BTreeMap::new(), vec![bin.parent().expect("a file or folder that is there").join("lib")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)
            .expect("a file or folder that is there")
            .map(|entry| entry.expect("a file or folder that is there").path())
        {
            match path.is_dir() {
                true if path.ends_with("__pycache__") || path.is_symlink() => {}
                true => folders.push(path),
                false => {
                    let text = fs::read(&path).expect("a file");
                    files.insert(path, text);
                }
            }
        }
    }
    files
}

fn again(provisioner: &Provisioner, spec: &LoadedEnv) -> Environment {
    let key = provisioner
        .key(spec, Isolation::Shared)
        .expect("a file or folder that is there")
        .expect("a file or folder that is there");
    let removed = provisioner.cache().remove(&key).expect("it goes");
    assert!(removed, "it was there");
    provisioner.prepare(spec, Isolation::Shared).expect("an environment")
}

/// Another `leaf` of the same version than the index had at first.
fn renew(world: &World, name: &str) {
    let files = json!({ "leaf.py": "NEW = True\n" });
    world.write_wheels(&json!([{ "name": name, "version": "1.0", "files": files }]));
}

#[test]
fn what_is_all_pinned_is_built_again_without_an_index() {
    for tool in [Tool::Pip, Tool::Uv] {
        let world = World::new(&[], &[("leaf", "1.0", &[]), ("stem", "1.0", &["leaf"])]);
        let index = Index::new(&world.wheels());
        let pinned = spec(&world, tool, &index, &["leaf==1.0", "stem==1.0"]);
        let provisioner = world.provisioner();

        let first =
            contents(&provisioner.prepare(&pinned, Isolation::Shared).expect("an environment"));
        assert!(asked(&world) > 0, "{tool}");
        let second = contents(&again(&provisioner, &pinned));
        assert_eq!(asked(&world), 0, "{tool}");
        assert!(first == second, "{tool}: {:?} {:?}", first.keys(), second.keys());

        // Not even where it is gone.
        drop(index);
        assert!(first == contents(&again(&provisioner, &pinned)), "{tool}");
    }
}

#[test]
fn what_is_not_all_pinned_is_asked_for_and_a_refresh_forgets() {
    let world = World::new(&[], &[("leaf", "1.0", &[]), ("stem", "1.0", &["leaf"])]);
    let index = Index::new(&world.wheels());
    let provisioner = world.provisioner();
    let is_new = |environment: &Environment| {
        contents(environment)
            .into_iter()
            .any(|(path, text)| is_leaf(&path) && text.starts_with(b"NEW"))
    };

    let free = spec(&world, Tool::Pip, &index, &["stem==1.0"]);
    provisioner.prepare(&free, Isolation::Shared).expect("an environment");
    world.add_wheels(&[("leaf", "1.1", &[])]);
    let environment = again(&provisioner, &free);
    assert!(
        environment.report().added.iter().any(|it| it == "leaf==1.1"),
        "{:?}",
        environment.report().added
    );

    let pinned = spec(&world, Tool::Pip, &index, &["leaf==1.0"]);
    provisioner.prepare(&pinned, Isolation::Shared).expect("an environment");
    renew(&world, "leaf");
    assert!(!is_new(&again(&provisioner, &pinned)), "as long as it is known, it is what it was");
    let key = provisioner.key(&pinned, Isolation::Shared).unwrap().unwrap();
    assert!(provisioner.cache().remove(&key).is_ok());
    asked(&world);
    provisioner.refresh(&pinned, Isolation::Shared).expect("an environment");
    assert!(asked(&world) > 0);
}

#[test]
fn a_refresh_asks_again_also_where_pages_of_the_index_are_kept() {
    for tool in [Tool::Pip, Tool::Uv] {
        let world = World::new(&[], &[("leaf", "1.0", &[])]);
        fs::write(world.root.join("kept-pages"), "").unwrap();
        let index = Index::new(&world.wheels());
        let free = spec(&world, tool, &index, &["leaf"]);
        let provisioner = world.provisioner();
        drop(provisioner.prepare(&free, Isolation::Shared).expect("an environment"));
        world.add_wheels(&[("leaf", "1.1", &[])]);
        provisioner.refresh(&free, Isolation::Shared).expect("an environment");
        let now = provisioner.prepare(&free, Isolation::Shared).expect("an environment");
        assert_eq!(now.report().added, ["leaf==1.1"], "{tool}");
    }
}

#[test]
fn what_is_known_and_lost_is_asked_for_as_ever() {
    for tool in [Tool::Pip, Tool::Uv] {
        let world = World::new(&[], &[("leaf", "1.0", &[])]);
        let index = Index::new(&world.wheels());
        let pinned = spec(&world, tool, &index, &["leaf==1.0"]);
        let provisioner = world.provisioner();
        let first =
            contents(&provisioner.prepare(&pinned, Isolation::Shared).expect("an environment"));
        // The addresses lead nowhere, and uv's cache has no such version.
        let records = provisioner.cache().interpreters_dir();
        let is_known = |path: &PathBuf| path.to_string_lossy().contains("/known-");
        let mut kept = fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path());
        let file = kept.find(is_known).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("/files/leaf", "/gone/leaf").replace("\"1.0\"", "\"9.0\""))
            .unwrap();
        assert!(first == contents(&again(&provisioner, &pinned)), "{tool}");
    }
}

/// A base that has changed has other keys, and resolves anew, but needs no index for what is pinned; what
/// is not known is asked for.
#[test]
fn what_is_all_pinned_is_built_without_an_index_over_another_base() {
    for tool in [Tool::Pip, Tool::Uv] {
        let world = World::new(&[], &[("leaf", "1.0", &[]), ("stem", "1.0", &["leaf"])]);
        let index = Index::new(&world.wheels());
        let pinned = spec(&world, tool, &index, &["leaf==1.0", "stem==1.0"]);
        let build = |provisioner: &Provisioner| -> Vec<String> {
            let environment = provisioner.prepare(&pinned, Isolation::Shared);
            let mut added = environment.expect("an environment").report().added;
            added.sort();
            added
        };
        let key = |provisioner: &Provisioner| provisioner.key(&pinned, Isolation::Shared).unwrap();
        let first = world.provisioner();
        assert_eq!(build(&first), ["leaf==1.0", "stem==1.0"], "{tool}");
        assert!(asked(&world) > 0, "{tool}");

        let before = key(&first);
        world.write_wheels(&json!([{ "name": "other", "version": "1.0" }]));
        world.install_into_base(&[("other", "1.0", &[])]);
        let second = world.provisioner();
        assert_ne!(before, key(&second));
        assert_eq!(build(&second), ["leaf==1.0", "stem==1.0"], "{tool}");
        assert_eq!(asked(&world), 0, "{tool}");

        // A part of it, and then all of it again.
        world.install_into_base(&[("leaf", "1.0", &[])]);
        assert_eq!(build(&world.provisioner()), ["stem==1.0"], "{tool}");
        assert_eq!(asked(&world), 0, "{tool}");
        for gone in ["leaf-1.0.dist-info", "leaf.py"] {
            files::delete(&world.base_site().join(gone)).unwrap();
        }
        assert_eq!(build(&world.provisioner()), ["leaf==1.0", "stem==1.0"], "{tool}");
        assert_eq!(asked(&world), 0, "{tool}");
    }
}

/// What another spec, an option or another interpreter would get is not known.
#[test]
fn what_is_known_is_known_of_one_question() {
    let world = World::new(&[], &[("leaf", "1.0", &[]), ("stem", "1.0", &["leaf"])]);
    let index = Index::new(&world.wheels());
    let provisioner = world.provisioner();
    let host = format!("127.0.0.1:{}", index.port());
    let constraints = world.root.join("constraints.txt");
    let asks = |more: &[&str]| {
        let mut options = vec!["--index-url".to_owned(), index.url(), "--trusted-host".to_owned()];
        options.push(host.clone());
        options.extend(more.iter().map(|it| (*it).to_owned()));
        let env = world.load(&json!({ "pip": {
            "packages": ["leaf==1.0", "stem==1.0"], "pip_install_options": options } }));
        asked(&world);
        provisioner.prepare(&env, Isolation::Shared).expect("an environment");
        asked(&world) > 0
    };
    assert!(asks(&[]));
    for more in [&["--pre"][..], &["--prefer-binary"], &["--no-deps"]] {
        assert!(asks(more), "{more:?}");
    }
    let file = constraints.to_str().unwrap();
    for text in ["leaf<2\n", "leaf<3\n"] {
        fs::write(&constraints, text).unwrap();
        assert!(asks(&["--constraint", file]), "{text}");
    }
}

fn is_leaf(path: &Path) -> bool {
    path.ends_with("leaf.py")
}
