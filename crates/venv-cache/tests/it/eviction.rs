//! Which environments are evicted.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{Budget, BuildOptions, Built, Cache, Error, Key, PruneReport, Site};

use crate::places::run_where_mounting_is_allowed;
use crate::processes::no_forks;
use crate::setup::{given, run};

const CONTENTS: usize = 100_000;

fn build(cache: &Cache, number: u64) {
    let build = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        let built: Built = build_fake(dir)?;
        fs::write(dir.join("lib/contents"), vec![1; CONTENTS])?;
        Ok(built)
    };
    cache.get_or_build(&key(number), &BuildOptions::default(), build).expect("build");
}

fn lock_file(cache: &Cache, key: &Key) -> std::path::PathBuf {
    cache.root().join("locks").join(format!("{key}.lock"))
}

/// Sets the last use. File systems store times in coarse steps.
fn used_ago(cache: &Cache, number: u64, ago: Duration) {
    let file = File::options().write(true).open(lock_file(cache, &key(number)));
    file.and_then(|file| file.set_modified(SystemTime::now() - ago)).expect("not set");
}

fn removed(report: &PruneReport) -> Vec<Key> {
    report.removed.iter().map(|removed| removed.key).collect()
}

fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

#[test]
fn the_least_recently_used_go_first_down_to_the_budget() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for number in 0..5 {
        build(cache, number);
        used_ago(cache, number, hours(10 - number));
    }
    // A use makes the oldest the youngest.
    drop(cache.get(&key(0)).unwrap());
    let each = cache.list().unwrap()[0].manifest.own_bytes;
    assert!(each >= CONTENTS as u64);

    let budget = Budget::default().with_max_bytes(each * 3 + 1);
    let planned = cache.prune(&budget.clone().with_dry_run()).unwrap();
    assert_eq!(cache.list().unwrap().len(), 5, "a dry run removes nothing");
    let report = cache.prune(&budget).unwrap();
    assert_eq!(report, planned);
    assert_eq!(removed(&report), [key(1), key(2)]);
    assert_eq!((report.freed_bytes(), report.kept_bytes), (2 * each, 3 * each));
    let kept: Vec<_> = cache.list().unwrap().iter().map(|listed| listed.key).collect();
    assert_eq!(kept, [key(3), key(4), key(0)], "least recently used first");
    assert_eq!(cache.prune(&budget).unwrap().removed, []);
    for number in 0..5 {
        let is_kept = kept.contains(&key(number));
        assert_eq!(lock_file(cache, &key(number)).exists(), is_kept, "lock files go with them");
    }
}

#[test]
fn old_ones_go_by_age() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for number in 0..3 {
        build(cache, number);
    }
    used_ago(cache, 1, hours(48));
    let budget = Budget::default().with_older_than(hours(24));
    assert_eq!(removed(&cache.prune(&budget).unwrap()), [key(1)]);
}

#[test]
fn a_last_use_in_the_future_is_no_age() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    build(cache, 0);
    let file = File::options().write(true).open(lock_file(cache, &key(0))).unwrap();
    file.set_modified(SystemTime::now() + hours(1000)).unwrap();
    drop(file);
    let budget = Budget::default().with_older_than(Duration::ZERO);
    assert_eq!(removed(&cache.prune(&budget).unwrap()), []);
    assert_eq!(removed(&cache.prune(&Budget::default().with_all()).unwrap()), [key(0)]);
}

#[test]
fn one_in_use_stays_and_the_next_one_goes() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for number in 0..3 {
        build(cache, number);
    }
    let held = cache.get(&key(0)).unwrap().unwrap();
    for number in 0..3 {
        used_ago(cache, number, hours(10 - number));
    }
    let each = held.manifest().own_bytes;
    let report = cache.prune(&Budget::default().with_max_bytes(each * 2)).unwrap();
    assert_eq!(removed(&report), [key(1)]);
    assert_eq!(report.in_use, [key(0)]);
    assert!(held.python().is_file());
}

#[test]
fn a_base_outlives_what_needs_it_however_long_it_was_not_used() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    build(cache, 0);
    let needing = |dir: &Site<'_>| build_fake(dir).map(|built| built.with_needs([key(0)]));
    drop(cache.get_or_build(&key(1), &BuildOptions::default(), needing).unwrap());
    used_ago(cache, 0, hours(1000));
    used_ago(cache, 1, hours(1));
    let budget = Budget::default().with_older_than(hours(24));
    assert_eq!(removed(&cache.prune(&budget).unwrap()), []);

    let report = cache.prune(&Budget::default().with_max_bytes(0)).unwrap();
    assert_eq!(removed(&report), [key(1), key(0)], "first the one, then what it needed");
}

#[test]
fn half_built_and_damaged_ones_go_in_any_case() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for number in 0..4 {
        build(cache, number);
    }
    fs::remove_file(cache.env_dir(&key(0)).join("manifest.json")).unwrap();
    fs::write(cache.env_dir(&key(1)).join("manifest.json"), "{").unwrap();
    fs::write(cache.env_dir(&key(2)).join("manifest.json"), r#"{"format": 7}"#).unwrap();
    let report = cache.prune(&Budget::default()).unwrap();
    assert_eq!((report.leftovers, report.kept, removed(&report)), (2, 1, vec![]));
    assert!(!cache.env_dir(&key(0)).exists());
    assert!(!cache.env_dir(&key(1)).exists());
    assert!(cache.env_dir(&key(2)).exists(), "a newer version may still use it");
    cache.prune(&Budget::default().with_all()).unwrap();
    assert!(!cache.env_dir(&key(2)).exists());
}

#[test]
fn one_that_is_being_built_is_no_leftover() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let build = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        let built = build_fake(dir)?;
        let report = cache.prune(&Budget::default().with_all())?;
        assert_eq!(report.leftovers, 0);
        Ok(built)
    };
    cache.get_or_build(&key(0), &BuildOptions::default(), build).unwrap();
}

#[test]
fn trash_of_a_crash_is_deleted_when_the_cache_opens() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let trash = scratch.cache().root().join("trash");
    fs::create_dir_all(trash.join("1a-2b-3c/lib/deep")).unwrap();
    fs::write(trash.join("1a-2b-3c/lib/file"), "x").unwrap();
    fs::write(trash.join("1a-2b-3d"), "x").unwrap();
    Cache::open(scratch.cache().root()).unwrap();
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
}

// Law: several evictions at once remove each environment once, together no more than one alone.
#[test]
fn evictions_at_once_do_not_overshoot() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for number in 0..12 {
        build(cache, number);
    }
    let each = cache.list().unwrap()[0].manifest.own_bytes;
    let budget = Budget::default().with_max_bytes(each * 5);
    let total: usize = std::thread::scope(|scope| {
        let prune = || cache.prune(&budget).expect("prune").removed.len();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(prune)).collect();
        threads.into_iter().map(|thread| thread.join().expect("panicked")).sum()
    });
    assert_eq!(total, 7);
    assert_eq!(cache.list().unwrap().len(), 5);
}

#[test]
fn what_is_mounted_stays_and_the_others_go() {
    let folder = tempfile::tempdir().unwrap();
    run_where_mounting_is_allowed("eviction::inside_mounts", folder.path());
}

#[test]
#[ignore = "run by another test, where it may mount"]
fn inside_mounts() {
    let folder = given();
    let cache = Cache::open(&folder.join("cache")).unwrap();
    let dir = |number: u64| cache.root().join("envs-v1").join(key(number).to_string());
    // The least recently used one is a mount, and so is a half-built one.
    for number in 0..3 {
        build(&cache, number);
        used_ago(&cache, number, hours(10 - number));
    }
    let half_built = dir(3);
    fs::create_dir(&half_built).unwrap();
    for mount in [&dir(0), &half_built] {
        let text = mount.to_str().unwrap();
        run("mount", &["--bind", text, text]);
    }
    let mut mounts = [dir(0), half_built];
    mounts.sort();
    for budget in [Budget::default().with_dry_run(), Budget::default()] {
        let mut report = cache.prune(&budget.with_max_bytes(0)).unwrap();
        report.mounted.sort();
        assert_eq!((removed(&report), report.leftovers), (vec![key(1), key(2)], 0));
        assert_eq!((&*report.mounted, report.kept), (&mounts[..], 1));
    }
    let error = cache.remove(&key(0)).unwrap_err();
    assert!(matches!(&error, Error::Mounted { dir: told } if *told == dir(0)), "{error}");
    for mount in &mounts {
        run("umount", &[mount.to_str().unwrap()]);
    }
    let report = cache.prune(&Budget::default().with_all()).unwrap();
    assert_eq!((removed(&report), report.leftovers, report.kept), (vec![key(0)], 1, 0));
}
