//! An environment in use is kept as long as any process has the lock file open.

use std::fs;

use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{Budget, BuildOptions, Cache, CachedEnv, Error, Key, Site};

use crate::processes::{no_forks, start};

fn build(cache: &Cache, key: &Key) -> CachedEnv {
    cache.get_or_build(key, &BuildOptions::default(), build_fake).expect("build")
}

fn is_refused(cache: &Cache, key: &Key) -> bool {
    let _quiet = no_forks();
    let refused = match cache.remove(key) {
        Ok(_) => false,
        Err(Error::InUse { .. }) => true,
        Err(error) => panic!("{error}"),
    };
    let report = cache.prune(&Budget::default().with_all()).expect("prune");
    assert_eq!(report.in_use.contains(key), refused);
    refused
}

#[test]
fn an_environment_stays_until_its_last_clone_is_gone() {
    let scratch = Scratch::new();
    let env = build(scratch.cache(), &key(1));
    let clone = env.clone();
    assert!(scratch.cache().is_in_use(&key(1)).unwrap());
    drop(env);
    assert!(is_refused(scratch.cache(), &key(1)));
    assert!(clone.python().is_file());
    drop(clone);
    assert!(!is_refused(scratch.cache(), &key(1)));
    assert!(!scratch.cache().is_in_use(&key(1)).unwrap());
    assert!(scratch.cache().get(&key(1)).unwrap().is_none());
}

/// As a descriptor that a process has between its fork and its exec.
#[test]
fn a_lease_that_is_held_for_an_instant_longer_is_waited_for() {
    let scratch = Scratch::new();
    let env = build(scratch.cache(), &key(1));
    let copy = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(env);
    });
    assert!(scratch.cache().remove(&key(1)).unwrap());
    copy.join().unwrap();
}

#[test]
fn a_duplicate_of_the_descriptor_keeps_the_lease() {
    let scratch = Scratch::new();
    let env = build(scratch.cache(), &key(1));
    let duplicate = env.lease().try_clone().unwrap();
    drop(env);
    assert!(is_refused(scratch.cache(), &key(1)));
    drop(duplicate);
    assert!(!is_refused(scratch.cache(), &key(1)));
}

#[test]
fn a_child_process_keeps_the_lease_and_a_killed_one_blocks_nothing() {
    let scratch = Scratch::new();
    let env = build(scratch.cache(), &key(1));
    // As its standard input, so that no child of another test inherits it by accident.
    let lease = env.lease().try_clone().unwrap();
    let child = start(&duct::cmd!("sleep", "600").stdin_file(lease).unchecked());
    drop(env);
    // Other uses do not release the child's lease.
    drop(scratch.cache().get(&key(1)).unwrap().unwrap());
    assert!(is_refused(scratch.cache(), &key(1)));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_refused(scratch.cache(), &key(1)));
}

#[test]
fn a_lease_covers_what_the_environment_needs() {
    let _quiet = no_forks();
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let (base, middle, top) = (key(1), key(2), key(3));
    let needing =
        |need: Key| move |dir: &Site<'_>| build_fake(dir).map(|built| built.with_needs([need]));
    drop(build(cache, &base));
    let options = BuildOptions::default();
    drop(cache.get_or_build(&middle, &options, needing(base)).unwrap());
    let env = cache.get_or_build(&top, &options, needing(middle)).unwrap();
    assert_eq!(env.needs()[0].key(), &middle);
    assert_eq!(env.needs()[0].needs()[0].key(), &base);
    for key in [&base, &middle, &top] {
        assert!(cache.is_in_use(key).unwrap());
    }
    drop(env);
    for key in [&base, &middle, &top] {
        assert!(!cache.is_in_use(key).unwrap());
    }
    // Kept environments protect the ones that they need, even without a lease.
    assert!(matches!(cache.remove(&base), Err(Error::Needed { by, .. }) if by == middle));
    assert!(matches!(cache.remove(&middle), Err(Error::Needed { by, .. }) if by == top));
    assert!(cache.remove(&top).unwrap());
    assert!(cache.remove(&middle).unwrap());
    assert!(cache.remove(&base).unwrap());
    assert!(!cache.remove(&base).unwrap());
}

#[test]
fn an_environment_whose_base_was_built_anew_is_built_anew() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let needing = |dir: &Site<'_>| build_fake(dir).map(|built| built.with_needs([key(1)]));
    drop(build(cache, &key(1)));
    drop(cache.get_or_build(&key(2), &BuildOptions::default(), needing).unwrap());
    // As if removed by hand.
    fs::remove_dir_all(cache.env_dir(&key(1))).unwrap();
    assert!(cache.get(&key(2)).unwrap().is_none());
    drop(build(cache, &key(1)));
    assert!(cache.get(&key(2)).unwrap().is_none(), "its links lead to other files now");
    drop(cache.get_or_build(&key(2), &BuildOptions::default(), needing).unwrap());
    assert!(cache.get(&key(2)).unwrap().is_some());
}

#[test]
fn a_build_that_needs_what_is_not_there_is_refused() {
    let scratch = Scratch::new();
    for need in [key(1), key(2)] {
        let needing = |dir: &Site<'_>| build_fake(dir).map(|built| built.with_needs([need]));
        let error =
            scratch.cache().get_or_build(&key(2), &BuildOptions::default(), needing).unwrap_err();
        assert!(matches!(error, Error::NeedMissing { .. }), "{error}");
        assert!(!scratch.cache().env_dir(&key(2)).exists());
    }
}
