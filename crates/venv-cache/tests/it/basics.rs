//! One process, one thread, and no failures.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{
    Base, BaseRecord, BuildOptions, Built, Cache, Error, Fingerprint, Site, State, Strategy,
    create, create_bare,
};

use crate::setup::host;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("no metadata").permissions().mode() & 0o7777
}

#[test]
fn a_build_is_found_again_by_another_handle() {
    let scratch = Scratch::new();
    let key = key(1);
    assert!(scratch.cache().get(&key).unwrap().is_none());
    let built = scratch.cache().get_or_build(&key, &BuildOptions::default(), build_fake).unwrap();
    assert_eq!(built.state(), State::Built);
    assert_eq!(built.python(), scratch.cache().env_dir(&key).join("bin/python"));

    let other = Cache::open(scratch.cache().root()).unwrap();
    let unused = |_: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        panic!("it was built")
    };
    let hit = other.get_or_build(&key, &BuildOptions::default(), unused).unwrap();
    assert_eq!(hit.state(), State::Hit);
    assert_eq!(hit.manifest(), built.manifest());
    assert_eq!(other.get(&key).unwrap().unwrap().key(), &key);
}

#[test]
fn the_manifest_records_what_the_builder_and_the_store_know() {
    let scratch = Scratch::new();
    let base = BaseRecord::new(Path::new("/usr/bin/python3"), "fingerprint");
    let build = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        build_fake(dir)?;
        Ok(Built::new(dir.join("bin/python"))
            .with_strategy("hardlink")
            .with_base(base.clone())
            .with_details(json!({ "resolved": ["packaging==24.0"] })))
    };
    let env = scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build).unwrap();
    let manifest = env.manifest();
    assert_eq!(manifest.python, "bin/python");
    assert_eq!(manifest.strategy, "hardlink");
    assert_eq!(manifest.base, Some(base));
    assert_eq!(manifest.details["resolved"][0], "packaging==24.0");
    assert_eq!((manifest.files, manifest.own_files), (2, 2));
    assert!(manifest.own_bytes >= manifest.bytes);
    assert_eq!(env.differences().unwrap(), []);
}

#[test]
fn the_folder_does_not_exist_yet_when_the_closure_runs() {
    let scratch = Scratch::new();
    let build = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        assert!(!dir.exists());
        assert!(dir.parent().is_some_and(Path::is_dir));
        assert_eq!(dir.dir(), scratch.cache().env_dir(&key(1)));
        build_fake(dir)
    };
    scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build).unwrap();
}

#[test]
fn the_cache_is_private_and_tagged() {
    let scratch = Scratch::new();
    let root = scratch.cache().root();
    scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    let tag = fs::read_to_string(root.join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert_eq!(mode(root), 0o700);
    let mut names: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["CACHEDIR.TAG", "envs-v1", "interpreters", "locks", "shims", "tools", "trash"]
    );
    for dir in ["envs-v1", "interpreters", "locks", "shims", "tools", "trash"] {
        assert_eq!(mode(&root.join(dir)), 0o700, "{dir}");
    }
    assert_eq!(mode(&scratch.cache().env_dir(&key(1)).join("manifest.json")), 0o600);
}

#[test]
fn an_existing_folder_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let cache = Cache::open(dir.path()).unwrap();
    assert_eq!(mode(dir.path()), 0o755);
    assert_eq!(mode(&cache.tools_dir()), 0o700);
}

#[test]
fn environments_are_found_by_the_start_of_their_key() {
    let scratch = Scratch::new();
    let keys: Vec<_> = (0..20).map(key).collect();
    for key in &keys {
        scratch.cache().get_or_build(key, &BuildOptions::default(), build_fake).unwrap();
    }
    for key in &keys {
        assert_eq!(scratch.cache().find(&key.to_string()).unwrap(), *key);
        assert_eq!(scratch.cache().find(&key.to_string()[..16]).unwrap(), *key);
    }
    let twins: Vec<_> = "0123456789abcdef"
        .chars()
        .filter_map(|digit| match scratch.cache().find(&digit.to_string()) {
            Err(Error::Ambiguous { matches, .. }) => Some(matches),
            _ => None,
        })
        .collect();
    assert!(!twins.is_empty(), "of twenty keys, two start with the same digit");
    assert!(twins.iter().all(|matches| matches.len() > 1));
    let find = |prefix| scratch.cache().find(prefix);
    assert!(matches!(find("../"), Err(Error::InvalidKey { .. })));
    assert!(matches!(find(""), Err(Error::InvalidKey { .. })));
    assert!(matches!(find(&"0".repeat(64)), Err(Error::NoMatch { .. })));
}

#[test]
fn names_with_spaces_and_other_letters_and_long_paths_work() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("großer Ordner 环境").join("x".repeat(200)).join("y".repeat(200));
    let cache = Cache::open(&root).unwrap();
    cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    assert_eq!(cache.list().unwrap().len(), 1);
}

#[test]
fn the_size_of_the_tools_is_told() {
    let scratch = Scratch::new();
    assert_eq!(scratch.cache().tools_bytes().unwrap(), 0);
    let dir = scratch.cache().tools_dir().join("uv-1.0");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("uv"), [0; 1000]).unwrap();
    std::os::unix::fs::symlink("uv", dir.join("link")).unwrap();
    assert!((1000..1100).contains(&scratch.cache().tools_bytes().unwrap()));
}

// A managed base, and an environment over it in the same cache: a bare one and a clone of it.
#[test]
fn the_records_of_a_base_of_the_same_cache_stay_its_own() {
    let scratch = Scratch::new();
    let (cache, options) = (scratch.cache(), BuildOptions::default());
    let bare = |site: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        let created = create_bare(host(), site.dir())?;
        fs::write(site.dir().join("base-only"), "of the base")?;
        Ok(Built::new(created.python))
    };
    let managed = cache.get_or_build(&key(1), &options, bare).unwrap();
    let fingerprint = Fingerprint::from_bytes(*managed.key().as_bytes());
    for (number, strategy) in [(2, Strategy::Hardlink), (3, Strategy::Symlink), (4, Strategy::Copy)]
    {
        let base = Base::managed(managed.python(), None, fingerprint).unwrap();
        let over = |site: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
            let created = create(&base, site.dir(), strategy)?;
            fs::remove_file(site.dir().join("base-only"))?;
            Ok(Built::new(created.python).with_needs([*managed.key()]))
        };
        let env = cache.get_or_build(&key(number), &options, over).unwrap();
        assert_eq!(env.differences().unwrap(), [], "{strategy}");
        assert_eq!(managed.differences().unwrap(), [], "the base, by {strategy}");
    }
}

#[test]
fn a_linked_file_in_the_place_of_a_record_is_not_written_to() {
    let scratch = Scratch::new();
    let other = scratch.dir().join("other");
    fs::write(&other, "of another program").unwrap();
    let build = |site: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        let built = build_fake(site)?;
        fs::hard_link(&other, site.dir().join("sizes.json"))?;
        Ok(built)
    };
    scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build).unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "of another program");
}

/// The scripts of an environment name its folder: in a cache that was moved or copied they would run
/// what is in the old place, or nothing.
#[test]
fn an_environment_in_another_place_than_its_own_is_built_anew() {
    let scratch = Scratch::new();
    let [old, new] = ["old", "new"].map(|name| scratch.dir().join(name));
    let build = |cache: &Cache| {
        cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap().state()
    };
    assert_eq!(build(&Cache::open(&old).unwrap()), State::Built);
    // By any path it is the same place.
    let link = scratch.dir().join("link");
    std::os::unix::fs::symlink(&old, &link).unwrap();
    assert_eq!(build(&Cache::open(&link).unwrap()), State::Hit);
    // Moved, it is none, until the old path leads there.
    std::fs::rename(&old, &new).unwrap();
    let moved = Cache::open(&new).unwrap();
    assert!(moved.get(&key(1)).unwrap().is_none());
    std::os::unix::fs::symlink(&new, &old).unwrap();
    assert!(moved.get(&key(1)).unwrap().is_some());
    std::fs::remove_file(&old).unwrap();
    // As a copy it is none either, while the other one is there.
    assert_eq!(build(&Cache::open(&old).unwrap()), State::Built);
    assert!(moved.get(&key(1)).unwrap().is_none());
    assert_eq!(build(&moved), State::Built);
    assert_eq!(build(&Cache::open(&old).unwrap()), State::Hit);
    assert_eq!(build(&moved), State::Hit);
}
