//! Files of others: folders that are no cache, and links in place of a cache's folders.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;
use venv_cache::testing::{Scratch, Snapshot, build_fake, key};
use venv_cache::{Budget, BuildOptions, Cache, Error, State};

const DIRS: [&str; 5] = ["envs-v1", "locks", "interpreters", "shims", "trash"];

fn victim(dir: &Path) -> PathBuf {
    let victim = dir.join("victim");
    for number in 0..70 {
        let folder = victim.join(format!("{number}/deeper"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("file"), "theirs").expect("a file");
    }
    victim
}

/// Law: no call changes the files behind a link in the place of an environment. The link stays,
/// too, and the error names it.
#[test]
fn a_link_in_the_place_of_an_environment_is_left_and_named() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let victim = victim(scratch.dir());
    cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    let before = Snapshot::of(&victim).unwrap();
    let link = cache.env_dir(&key(2));
    for target in [victim.as_path(), Path::new("../../victim"), Path::new("nowhere")] {
        symlink(target, &link).unwrap();
        assert_eq!(cache.list().unwrap().len(), 1);
        let error = cache.get_or_build(&key(2), &BuildOptions::default(), build_fake).unwrap_err();
        assert!(matches!(&error, Error::NotAFolder { path } if *path == link), "{error}");
        assert!(error.to_string().contains(&link.display().to_string()) && error.hint().is_some());
        assert!(cache.remove(&key(2)).is_err());
        let report = cache.prune(&Budget::default().with_all().with_dry_run()).unwrap();
        assert_eq!((report.removed.len(), &report.foreign), (1, &vec![link.clone()]));
        let report = cache.prune(&Budget::default().with_max_bytes(u64::MAX)).unwrap();
        assert_eq!(report.foreign, std::slice::from_ref(&link));
        Cache::open(cache.root()).unwrap();
        assert!(fs::symlink_metadata(&link).is_ok());
        assert_eq!(before.difference(&Snapshot::of(&victim).unwrap()), <Vec<String>>::new());
        fs::remove_file(&link).unwrap();
    }
    symlink(&victim, &link).unwrap();
    let report = cache.prune(&Budget::default().with_all()).unwrap();
    assert_eq!((report.removed.len(), report.foreign), (1, vec![link.clone()]));
    assert_eq!(before.difference(&Snapshot::of(&victim).unwrap()), <Vec<String>>::new());
    fs::remove_file(&link).unwrap();
    // A file is no environment either.
    fs::write(&link, "theirs").unwrap();
    let report = cache.prune(&Budget::default().with_all()).unwrap();
    assert_eq!(report.foreign, std::slice::from_ref(&link));
    assert_eq!(fs::read_to_string(&link).unwrap(), "theirs");
}

/// A link leads to a whole environment elsewhere, which is not the cache's.
#[test]
fn an_environment_behind_a_link_is_not_used() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    other.cache().get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    symlink(other.cache().env_dir(&key(1)), scratch.cache().env_dir(&key(1))).unwrap();
    assert!(matches!(scratch.cache().get(&key(1)), Err(Error::NotAFolder { .. })));
}

#[test]
fn a_folder_that_is_no_cache_is_refused_and_nothing_in_it_is_touched() {
    let scratch = Scratch::new();
    let dir = scratch.dir().join("theirs");
    let theirs = |name: &str, text: &str| {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), text).unwrap();
        let before = Snapshot::of(&dir).unwrap();
        let error = Cache::open(&dir).unwrap_err();
        assert!(matches!(&error, Error::NotACache { dir: named, .. } if *named == dir), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(before.difference(&Snapshot::of(&dir).unwrap()), <Vec<String>>::new());
        fs::remove_dir_all(&dir).unwrap();
    };
    theirs("trash/notes.txt", "theirs");
    theirs("trash/1a-2b-3c/file", "theirs");
    theirs("envs-v1/file", "theirs");
    theirs("locks/eviction.lock", "");
    // The caches of other programs have the tag, too.
    theirs("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# By another program.\n");
    theirs("CACHEDIR.TAG", "");
    symlink(scratch.dir(), &dir).unwrap();
    assert!(matches!(Cache::open(&dir), Err(Error::NotACache { .. })));
}

#[test]
fn links_in_the_place_of_a_caches_folders_are_refused_by_name() {
    for name in DIRS {
        let scratch = Scratch::new();
        let cache = scratch.cache();
        let victim = victim(scratch.dir());
        fs::create_dir_all(victim.join("1a-2b-3c/folder")).unwrap();
        cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
        let dir = cache.root().join(name);
        fs::rename(&dir, scratch.dir().join("aside")).unwrap();
        symlink(&victim, &dir).unwrap();
        let before = Snapshot::of(&victim).unwrap();
        let error = Cache::open(cache.root()).unwrap_err();
        assert!(matches!(&error, Error::NotAFolder { path } if *path == dir), "{name}: {error}");
        // A cache that was opened before deletes nothing there either.
        let _ = cache.prune(&Budget::default().with_all());
        let _ = cache.remove(&key(1));
        assert_eq!(before.difference(&Snapshot::of(&victim).unwrap()), <Vec<String>>::new());
    }
}

/// Tools may be lent by another cache: only the maker of tools deletes files in there.
#[test]
fn tools_may_be_a_link_also_before_the_first_use() {
    let scratch = Scratch::new();
    let root = scratch.dir().join("new");
    fs::create_dir(&root).unwrap();
    symlink(scratch.cache().tools_dir(), root.join("tools")).unwrap();
    Cache::open(&root).unwrap();
    Cache::open(&root).unwrap();
    let other = scratch.dir().join("other");
    fs::create_dir(&other).unwrap();
    symlink(scratch.cache().tools_dir(), other.join("tools")).unwrap();
    fs::write(other.join("zebra"), "theirs").unwrap();
    assert!(matches!(Cache::open(&other), Err(Error::NotACache { .. })));
    fs::remove_file(other.join("zebra")).unwrap();
    fs::remove_file(other.join("tools")).unwrap();
    fs::create_dir(other.join("tools")).unwrap();
    assert!(matches!(Cache::open(&other), Err(Error::NotACache { .. })));
}

#[test]
fn the_cache_itself_may_be_given_by_a_link_and_be_half_made() {
    let scratch = Scratch::new();
    let (real, link) = (scratch.dir().join("real"), scratch.dir().join("link"));
    fs::create_dir_all(real.join("lost+found")).unwrap();
    symlink("real", &link).unwrap();
    let cache = Cache::open(&link).unwrap();
    cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    // The process was killed before it had made its folders.
    for name in DIRS {
        fs::remove_dir_all(real.join(name)).unwrap();
    }
    let cache = Cache::open(&real).unwrap();
    let env = cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    assert_eq!(env.state(), State::Built);
}

#[test]
fn any_number_may_make_one_cache_at_once() {
    let scratch = Scratch::new();
    for round in 0..30 {
        let root = scratch.dir().join(format!("new-{round}/cache"));
        thread::scope(|scope| {
            let opened: Vec<_> = (0..4)
                .map(|number| {
                    let root = &root;
                    scope.spawn(move || {
                        let cache = Cache::open(root)?;
                        cache.get_or_build(&key(number), &BuildOptions::default(), build_fake)
                    })
                })
                .collect();
            for cache in opened {
                cache.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn lock_files_of_environments_that_are_gone_go_with_them() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let locks = || {
        let mut names: Vec<OsString> = fs::read_dir(cache.root().join("locks"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let lock = |number: u64| cache.root().join(format!("locks/{}.lock", key(number)));
    for number in 0..5 {
        cache.get_or_build(&key(number), &BuildOptions::default(), build_fake).unwrap();
    }
    cache.remove(&key(0)).unwrap();
    assert!(!lock(0).exists() && lock(1).exists());
    // A folder of a failed build, and a folder that is none.
    let fail = |_: &venv_cache::Site<'_>| Err("not today");
    cache.get_or_build(&key(7), &BuildOptions::default(), fail).unwrap_err();
    fs::write(cache.root().join("locks/notes.lock"), "theirs").unwrap();
    let held = cache.get(&key(1)).unwrap().unwrap();
    cache.prune(&Budget::default().with_all()).unwrap();
    let kept = [
        format!("{}.lock", key(1)),
        "eviction.lock".into(),
        "notes.lock".into(),
        "trash.lock".into(),
    ];
    let mut kept = kept.map(OsString::from);
    kept.sort();
    assert_eq!(locks(), kept);
    drop(held);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    // Law: beside builds, uses and evictions that sweep lock files, a key has at most one builder
    // at any moment. No caller gets an environment that is incomplete or is removed while in use.
    #[test]
    fn one_builds_at_a_time_beside_sweeps(seed in any::<u64>()) {
        let scratch = Scratch::new();
        let cache = scratch.cache();
        let building: [AtomicUsize; 2] = Default::default();
        thread::scope(|scope| {
            for number in 0..5_u64 {
                let building = &building;
                scope.spawn(move || {
                    let mut random = seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    for _ in 0..40 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let which = usize::from(random >> 40 & 1 == 1);
                        let key = key(which as u64);
                        match random >> 33 & 3 {
                            0 => drop(cache.prune(&Budget::default().with_all()).unwrap()),
                            1 => drop(cache.remove(&key)),
                            _ => {
                                let options = BuildOptions::default();
                                let env = cache.get_or_build(&key, &options, |site| {
                                    assert_eq!(building[which].fetch_add(1, Ordering::SeqCst), 0);
                                    let built = build_fake(site);
                                    building[which].fetch_sub(1, Ordering::SeqCst);
                                    built
                                });
                                let env = env.unwrap();
                                assert!(env.python().is_file());
                                assert_eq!(env.differences().unwrap(), []);
                            }
                        }
                    }
                });
            }
        });
    }
}
