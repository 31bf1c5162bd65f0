//! Failures in one process: failed builds, and damage on disk.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{BuildOptions, Built, Cache, Error, Key, Site, State, Untrusted};

use crate::processes::{job_on_small_disk, start};

fn build(cache: &Cache, key: &Key) -> State {
    cache.get_or_build(key, &BuildOptions::default(), build_fake).expect("build").state()
}

fn nothing_is_left(cache: &Cache, key: &Key) {
    assert!(!cache.env_dir(key).exists(), "nothing of a failed build stays");
    let trash = fs::read_dir(cache.root().join("trash")).expect("no trash");
    assert_eq!(trash.count(), 0, "not in the trash either");
    assert!(cache.get(key).expect("get").is_none());
}

/// Changes a manifest as a text editor would.
fn edit_manifest(cache: &Cache, key: &Key, edit: impl FnOnce(&mut Value)) {
    let path = cache.env_dir(key).join("manifest.json");
    let text = fs::read_to_string(&path).expect("no manifest");
    let mut value = serde_json::from_str(&text).expect("no JSON");
    edit(&mut value);
    fs::write(&path, value.to_string()).expect("not written");
}

#[test]
fn a_failed_build_leaves_nothing_and_the_next_one_works() {
    let scratch = Scratch::new();
    let failing = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        build_fake(dir)?;
        Err("no such package".into())
    };
    let error =
        scratch.cache().get_or_build(&key(1), &BuildOptions::default(), failing).unwrap_err();
    assert_eq!(error.to_string(), format!("failed to build environment `{}`", key(1)));
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no such package");
    nothing_is_left(scratch.cache(), &key(1));
    assert_eq!(build(scratch.cache(), &key(1)), State::Built);
}

/// A closure may fail with an error of any type, and the caller gets that error back.
#[test]
fn an_error_of_the_closures_own_type_comes_back() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("no luck: {0}")]
    struct NoLuck(u8);
    let scratch = Scratch::new();
    let unlucky = |_: &Site<'_>| Err(NoLuck(7));
    let error =
        scratch.cache().get_or_build(&key(1), &BuildOptions::default(), unlucky).unwrap_err();
    assert!(error.report().ends_with("\n  caused by: no luck: 7"), "{}", error.report());
    assert_eq!(error.into_build_error::<NoLuck>().ok(), Some(NoLuck(7)));

    // An error of another type stays inside; a text becomes an error.
    let text = |_: &Site<'_>| Err("no network");
    let error = scratch.cache().get_or_build(&key(1), &BuildOptions::default(), text).unwrap_err();
    let error = error.into_build_error::<NoLuck>().unwrap_err();
    assert!(error.report().ends_with("\n  caused by: no network"), "{}", error.report());
    nothing_is_left(scratch.cache(), &key(1));
}

#[test]
fn a_panicking_build_leaves_nothing_and_the_lock_is_free() {
    let scratch = Scratch::new();
    let panicking = |dir: &Site<'_>| -> Result<Built, venv_cache::BoxError> {
        build_fake(dir)?;
        panic!("the closure panics in this test");
    };
    let caught = catch_unwind(AssertUnwindSafe(|| {
        scratch.cache().get_or_build(&key(1), &BuildOptions::default(), panicking)
    }));
    assert!(caught.is_err());
    nothing_is_left(scratch.cache(), &key(1));
    assert_eq!(build(scratch.cache(), &key(1)), State::Built);
}

#[test]
fn what_a_crashed_build_left_is_gone_before_the_next_one_starts() {
    let scratch = Scratch::new();
    let dir = scratch.cache().env_dir(&key(1));
    fs::create_dir_all(dir.join("bin")).unwrap();
    fs::write(dir.join("bin/left"), "x").unwrap();
    let clean = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        assert!(!dir.exists());
        build_fake(dir)
    };
    let env = scratch.cache().get_or_build(&key(1), &BuildOptions::default(), clean).unwrap();
    assert!(!env.dir().join("bin/left").exists());
}

#[test]
fn a_build_without_an_interpreter_of_its_own_is_refused() {
    let scratch = Scratch::new();
    for python in ["bin/missing", "/bin/sh", "../other/bin/python", ""] {
        let wrong = |dir: &Site<'_>| build_fake(dir).map(|_| Built::new(python));
        let error =
            scratch.cache().get_or_build(&key(1), &BuildOptions::default(), wrong).unwrap_err();
        assert!(matches!(error, Error::Misbuilt { .. }), "{python}: {error}");
        nothing_is_left(scratch.cache(), &key(1));
    }
}

#[test]
fn an_unusable_manifest_is_no_environment_and_is_built_anew() {
    let damages: [fn(&mut Value); 5] = [
        |manifest| manifest["format"] = json!(99),
        |manifest| manifest["key"] = json!(key(2)),
        |manifest| manifest["python"] = json!("/bin/sh"),
        |manifest| *manifest = json!([]),
        |manifest| manifest["needs"] = json!([{ "key": key(3), "build": "x" }]),
    ];
    for damage in damages {
        let scratch = Scratch::new();
        assert_eq!(build(scratch.cache(), &key(1)), State::Built);
        edit_manifest(scratch.cache(), &key(1), damage);
        assert!(scratch.cache().get(&key(1)).unwrap().is_none());
        assert_eq!(build(scratch.cache(), &key(1)), State::Built);
        assert_eq!(build(scratch.cache(), &key(1)), State::Hit);
    }
}

#[test]
fn a_truncated_manifest_and_a_folder_in_its_place_are_no_environment() {
    let scratch = Scratch::new();
    build(scratch.cache(), &key(1));
    let manifest = scratch.cache().env_dir(&key(1)).join("manifest.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    assert!(scratch.cache().get(&key(1)).unwrap().is_none());
    assert_eq!(build(scratch.cache(), &key(1)), State::Built);

    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    assert!(scratch.cache().get(&key(1)).unwrap().is_none());
    assert_eq!(build(scratch.cache(), &key(1)), State::Built);
}

#[test]
fn an_environment_without_its_interpreter_is_built_anew() {
    let scratch = Scratch::new();
    build(scratch.cache(), &key(1));
    fs::remove_file(scratch.cache().env_dir(&key(1)).join("bin/python")).unwrap();
    assert!(scratch.cache().get(&key(1)).unwrap().is_none());
    assert_eq!(build(scratch.cache(), &key(1)), State::Built);
}

#[test]
fn after_another_boot_the_sizes_are_checked_once() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    build(cache, &key(1));
    let module = cache.env_dir(&key(1)).join("lib/site-packages/module.py");

    // Within one boot, a use does not check sizes; `differences` finds damage by hand.
    let whole = fs::read(&module).unwrap();
    fs::write(&module, "").unwrap();
    let env = cache.get(&key(1)).unwrap().unwrap();
    let differences = env.differences().unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].path, Path::new("lib/site-packages/module.py"));
    assert_eq!((differences[0].recorded, differences[0].found), (whole.len() as u64, Some(0)));
    drop(env);

    // After another boot, with whole files, the new boot is recorded.
    fs::write(&module, &whole).unwrap();
    edit_manifest(cache, &key(1), |manifest| manifest["boot"] = json!("before"));
    let env = cache.get(&key(1)).unwrap().unwrap();
    assert_ne!(env.manifest().boot.as_deref(), Some("before"));
    assert_eq!(cache.list().unwrap()[0].manifest.boot, env.manifest().boot);
    drop(env);

    // After another boot, one file did not reach the disk.
    fs::write(&module, "").unwrap();
    edit_manifest(cache, &key(1), |manifest| manifest["boot"] = json!("before"));
    assert!(cache.get(&key(1)).unwrap().is_none());
    assert_eq!(build(cache, &key(1)), State::Built);
    assert_eq!(fs::read(&module).unwrap(), whole);
}

/// Machines that share a cache take turns, and each checks once after its start.
#[test]
fn boots_that_take_turns_check_the_sizes_once_each() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    build(cache, &key(1));
    edit_manifest(cache, &key(1), |manifest| manifest["boot"] = json!("of another machine"));
    assert!(cache.get(&key(1)).unwrap().is_some());
    // The other machine is next, and still knows its own boot.
    let swap = |manifest: &mut Value| {
        let (this, others) = (manifest["boot"].clone(), &manifest["other_boots"]);
        assert_eq!(*others, json!(["of another machine"]));
        manifest["boot"] = others[0].clone();
        manifest["other_boots"] = json!([this]);
    };
    edit_manifest(cache, &key(1), swap);
    // A check would find this.
    fs::write(cache.env_dir(&key(1)).join("lib/site-packages/module.py"), "").unwrap();
    assert!(cache.get(&key(1)).unwrap().is_some());
}

#[test]
fn after_another_boot_damaged_bytecode_is_removed_and_nothing_else_happens() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let compiled = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        fs::create_dir_all(dir.join("lib/__pycache__"))?;
        fs::write(dir.join("lib/__pycache__/module.cpython-312.pyc"), "bytecode")?;
        build_fake(dir)
    };
    let env = cache.get_or_build(&key(1), &BuildOptions::default(), compiled).unwrap();
    let bytecode = env.dir().join("lib/__pycache__/module.cpython-312.pyc");
    drop(env);
    fs::write(&bytecode, "byte").unwrap();
    edit_manifest(cache, &key(1), |manifest| manifest["boot"] = json!("before"));
    assert_eq!(build(cache, &key(1)), State::Hit);
    assert!(!bytecode.exists());
}

#[test]
fn a_wait_ends_with_the_lock_file_and_a_hint() {
    let scratch = Scratch::new();
    let inner = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        let wait = Duration::from_millis(50);
        let start = Instant::now();
        let error = scratch
            .cache()
            .get_or_build(&key(1), &BuildOptions::default().with_wait(wait), build_fake)
            .unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert!(error.to_string().contains(".lock"), "{error}");
        assert!(error.hint().is_some());
        assert!(start.elapsed() >= wait);
        assert!(scratch.cache().get(&key(1)).unwrap().is_none(), "it is being built");
        build_fake(dir)
    };
    scratch.cache().get_or_build(&key(1), &BuildOptions::default(), inner).unwrap();
}

#[test]
fn removed_folders_are_made_anew() {
    let scratch = Scratch::new();
    for entry in fs::read_dir(scratch.cache().root()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    assert!(scratch.cache().get(&key(1)).unwrap().is_none());
    assert_eq!(build(scratch.cache(), &key(1)), State::Built);
}

#[test]
fn a_strangers_folder_is_refused() {
    let scratch = Scratch::new();
    build(scratch.cache(), &key(1));
    let dir = scratch.cache().env_dir(&key(1));
    match chown(&dir, Some(12_345), None) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            panic!("a_strangers_folder_is_refused needs root: {error}")
        }
        other => other.unwrap(),
    }
    let error = scratch.cache().get(&key(1)).unwrap_err();
    assert!(matches!(error, Error::Untrusted(Untrusted::Owner { owner: 12_345, .. })), "{error}");
    assert!(error.hint().is_some());

    chown(scratch.cache().root(), Some(12_345), None).unwrap();
    let error = Cache::open(scratch.cache().root()).unwrap_err();
    assert!(matches!(error, Error::Untrusted(Untrusted::Owner { owner: 12_345, .. })), "{error}");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    if let Some(job) = job_on_small_disk("full disk", dir.path(), "200k") {
        assert!(start(&job).wait().unwrap().status.success(), "see the message above");
    }
}

/// Runs in a process of its own, on a disk of 50 pages.
pub(crate) fn on_a_full_disk(root: &Path) {
    let cache = Cache::open(&root.join("cache")).expect("no cache");
    let filler = root.join("filler");

    // The closure fills the disk.
    let greedy = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        build_fake(dir)?;
        fs::write(dir.join("lib/big"), vec![1; 1 << 20])?;
        unreachable!("it does not fit");
    };
    let error =
        cache.get_or_build(&key(1), &BuildOptions::default(), greedy).expect_err("should fail");
    assert!(matches!(error, Error::Build { .. }), "{error}");
    nothing_is_left(&cache, &key(1));

    // The disk runs full at every point before and after the closure.
    let (mut built, mut failed) = (0, 0);
    for pages in 0..50 {
        let almost_full = fs::write(&filler, vec![1; pages * 4096]);
        if almost_full.is_err() {
            // The partial file fills the disk.
            failed += 1;
        }
        match cache.get_or_build(&key(2), &BuildOptions::default(), build_fake) {
            Ok(env) => {
                assert_eq!(env.differences().expect("no sizes"), []);
                built += 1;
            }
            Err(error @ (Error::Io { .. } | Error::Build { .. })) => {
                assert!(
                    matches!(error, Error::Build { .. }) || error.hint().is_some(),
                    "{error:?} should tell what to do"
                );
                failed += 1;
            }
            Err(error) => panic!("{error}"),
        }
        fs::remove_file(&filler).expect("no filler");
        if cache.get(&key(2)).expect("get").is_none() {
            nothing_is_left(&cache, &key(2));
        }
        cache.get_or_build(&key(2), &BuildOptions::default(), build_fake).expect("space again");
        assert!(cache.remove(&key(2)).expect("remove"));
    }
    assert!(built > 10 && failed > 2, "built {built}, failed {failed}");
}

#[test]
fn a_read_only_cache_gives_what_it_has_and_refuses_to_build() {
    let dir = tempfile::tempdir().unwrap();
    if let Some(job) = job_on_small_disk("read-only", dir.path(), "1m") {
        assert!(start(&job).wait().unwrap().status.success(), "see the message above");
    }
}

/// Runs in a process of its own, on a disk of its own.
pub(crate) fn on_a_read_only_disk(root: &Path) {
    let cache = Cache::open(&root.join("cache")).expect("no cache");
    build(&cache, &key(1));
    edit_manifest(&cache, &key(1), |manifest| manifest["boot"] = json!("before"));
    duct::cmd!("mount", "-o", "remount,ro", root).run().expect("not remounted");

    let cache = Cache::open(&root.join("cache")).expect("it can be opened");
    assert_eq!(build(&cache, &key(1)), State::Hit);
    assert!(cache.get(&key(2)).expect("get").is_none());
    let error =
        cache.get_or_build(&key(2), &BuildOptions::default(), build_fake).expect_err("should fail");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert!(error.hint().is_some());
    let error = cache.remove(&key(1)).expect_err("should fail");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    let error = Cache::open(&root.join("another")).expect_err("should fail");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
}
