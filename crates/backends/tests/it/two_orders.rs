//! An environment follows from its spec, the files that the spec names, and the base: not from
//! earlier builds, nor from the caches of the machine's package managers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backends::Provisioner;
use envspec::{Digest, Tool};
use serde_json::{Value, json};
use stage::{BaseSpec, Isolation};

use crate::local_builds::{project, sdist};
use crate::private::{commit, git};
use crate::world::World;

/// The compared parts of each environment, by the number of its spec: its key, and the digests of
/// its files by their paths.
type Found = BTreeMap<usize, (String, BTreeMap<String, String>)>;

/// The variable that tells a child its folder.
const ROOT: &str = "CURATOR_TEST_ROOT";
const NAME: &str = "CURATOR_TEST_NAME";

/// Returns specs of every kind. Those of the quick test come first.
fn specs(world: &World) -> Vec<Value> {
    let source = |name: &str| world.root.join("source").join(name);
    let shown = |path: PathBuf| path.display().to_string();
    for name in ["folder", "placed", "stored"] {
        project(&source(name), name, "");
    }
    git(&source("stored"), &["init", "-q", "-b", "trunk"]);
    commit(&source("stored"));
    let sees = "\ndef built():\n    import kept\n    return 'KEPT = %r' % kept.__version__\n";
    project(&source("seeing"), "seeing", sees);
    project(&source("packed"), "packed", "");
    sdist(world, &source("seeing"));
    let packed = shown(sdist(world, &source("packed")));
    let wheel = |name: &str, version: &str| shown(world.wheel(name, version));
    fs::write(world.root.join("constraints.txt"), "plain<2\n").expect("it is there");
    let stored = format!("stored @ git+file://{}", source("stored").display());
    let (folder, placed) = (shown(source("folder")), shown(source("placed")));
    let lists = [
        vec!["kept==2.0".to_owned(), "seeing".to_owned()],
        vec!["plain==2.0".to_owned(), "seeing".to_owned()],
        vec![folder.clone(), "plain==1.0".to_owned()],
        vec![packed],
        vec!["packed".to_owned()],
        vec![wheel("kept", "1.0")],
        vec![format!("-e {placed}")],
        vec![stored],
        vec!["asking".to_owned(), "-c constraints.txt".to_owned()],
        vec![format!("kept @ file://{}", wheel("kept", "2.0")), folder],
    ];
    let spec = |tool: Tool, list: &[String]| {
        let option = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        let mut options = vec!["--no-index", "--find-links"];
        let wheels = shown(world.wheels());
        // The builds here need no packages, and isolated builds take time.
        options.extend([wheels.as_str(), "--no-build-isolation"]);
        json!({ tool.as_str(): { "packages": list, option: options } })
    };
    let uvs = lists.iter().map(|list| spec(Tool::Uv, list));
    let pips = lists.iter().map(|list| spec(Tool::Pip, list));
    let mut all: Vec<Value> = uvs.chain(pips).collect();
    all.swap(4, 10);
    all.swap(5, 12);
    all
}

#[test]
fn two_orders_and_two_homes_make_the_same_environments() {
    let base: [(&str, &str, &[&str]); 2] = [("kept", "1.0", &[]), ("old", "1.0", &[])];
    let others: [(&str, &str, &[&str]); 4] = [
        ("kept", "2.0", &[]),
        ("plain", "1.0", &[]),
        ("plain", "2.0", &[]),
        ("asking", "1.0", &["plain", "kept"]),
    ];
    let world = World::new(&base, &others);
    let specs = specs(&world);
    let count = if std::env::var_os("CURATOR_TEST_ALL").is_some() { specs.len() } else { 6 };
    let specs = Value::from(specs[..count].to_vec());
    fs::write(world.root.join("specs.json"), specs.to_string()).unwrap();
    let start = |name: &str| {
        let home = world.root.join(name);
        fs::create_dir_all(home.join("cache")).unwrap();
        let tools = world.cache().join("tools").canonicalize().unwrap();
        std::os::unix::fs::symlink(tools, home.join("cache/tools")).unwrap();
        let program = std::env::current_exe().unwrap();
        let words = ["--exact", "two_orders::builds_all", "--ignored", "--nocapture"];
        let mut child = duct::cmd(program, words).env("HOME", &home).env(ROOT, &world.root);
        for name in ["XDG_CACHE_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR"] {
            child = child.env_remove(name);
        }
        child.env(NAME, name).stdout_capture().stderr_to_stdout().unchecked().start().unwrap()
    };
    // Both outputs are awaited before the folder is removed.
    let children = ["forth", "back"].map(|name| (name, start(name)));
    let said = children.map(|(name, child)| (name, child.into_output().unwrap()));
    let [forth, back] = said.map(|(name, output)| -> Found {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let found = fs::read(world.root.join(name).join("found.json")).unwrap();
        serde_json::from_slice(&found).unwrap()
    });
    assert_eq!(forth.len(), count);
    for (number, (key, files)) in &forth {
        let spec = &specs[number];
        assert_eq!(key, &back[number].0, "{spec}");
        assert!(files.len() > 10, "{spec}: {files:#?}");
        let others = &back[number].1;
        let names: std::collections::BTreeSet<_> = files.keys().chain(others.keys()).collect();
        let differ = |name: &&&String| files.get(**name) != others.get(**name);
        let different: Vec<_> = names.iter().filter(differ).collect();
        assert!(different.is_empty(), "{spec}: {different:?}");
    }
}

/// Builds all specs in one order, with a cache and a home of its own.
#[test]
#[ignore = "a child of another test"]
fn builds_all() {
    let world = World::again(Path::new(&std::env::var_os(ROOT).unwrap()));
    let home = world.root.join(std::env::var_os(NAME).unwrap());
    let specs: Vec<Value> =
        serde_json::from_slice(&fs::read(world.root.join("specs.json")).unwrap()).unwrap();
    let base = BaseSpec::Python(world.base_python());
    let provisioner = Provisioner::builder()
        .base(base.clone())
        .cache_dir(home.join("cache").as_path())
        .open()
        .unwrap();
    let mut order: Vec<usize> = (0..specs.len()).collect();
    if home.ends_with("back") {
        order.reverse();
    }
    let mut found = Found::new();
    for number in order {
        let env = provisioner.prepare(&world.load(&specs[number]), Isolation::Shared);
        let env = env.unwrap_or_else(|error| panic!("{}: {}", specs[number], error.report()));
        let dir = env.cached().unwrap().dir();
        found.insert(number, (env.key().unwrap().to_string(), tree(dir)));
    }
    fs::write(home.join("found.json"), serde_json::to_string(&found).unwrap()).unwrap();
}

/// Returns the digests of an environment's files, with the environment's own path left out of
/// texts. These are not compared: the cache's notes of times and places (`manifest.json`,
/// `sizes.json`), bytecode, which holds times and paths, and uv's notes of a source's time
/// (`uv_cache.json`). In lists of files, the lines of these files are left out, and those of
/// scripts, whose first line is a path.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let left = ["manifest.json", "sizes.json", "uv_cache.json"];
    let is_left =
        |path: &str| left.iter().any(|name| path.ends_with(name)) || path.contains("__pycache__/");
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it is there") {
            let path = entry.expect("it is there").path();
            let name =
                path.strip_prefix(dir).expect("it is there").to_str().expect("text").to_owned();
            let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            if is_left(&name) {
                continue;
            }
            let bytes = if kind.is_symlink() {
                fs::read_link(&path).expect("it is there").into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).expect("it is there")
            };
            let text = String::from_utf8_lossy(&bytes).replace(dir.to_str().expect("text"), "DIR");
            let lines = text.lines().filter(|line| {
                let path = line.split(',').next().unwrap_or_default();
                !name.ends_with("/RECORD") || !(is_left(path) || path.starts_with("../"))
            });
            let text: Vec<&str> = lines.collect();
            files.insert(name, Digest::of(text.join("\n").as_bytes()).to_string());
        }
    }
    files
}
