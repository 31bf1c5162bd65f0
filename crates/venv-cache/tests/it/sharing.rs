//! One cache for several users.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use venv_cache::testing::{build_fake, key};
use venv_cache::{BuildOptions, Cache, State};

use crate::processes::{job_as, start};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("no metadata").permissions().mode() & 0o7777
}

#[test]
fn a_root_that_names_its_group_makes_a_cache_for_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("shared");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o2770)).unwrap();
    let cache = Cache::open(&root).unwrap();
    let env = cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).unwrap();
    assert_eq!(mode(&root.join("envs-v1")), 0o2770);
    assert_eq!(mode(&root.join("locks").join(format!("{}.lock", key(1)))), 0o660);
    assert_eq!(mode(&env.dir().join("manifest.json")), 0o660);
    assert_eq!(mode(&env.dir().join("sizes.json")), 0o660);
    assert_eq!(mode(&env.dir().join("lib")) & 0o070, 0o070, "the group can evict it");
}

#[test]
fn two_users_of_a_group_build_use_and_evict_for_each_other() {
    const GROUP: u32 = 54_321;

    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = dir.path().join("shared");
    fs::create_dir(&root).unwrap();
    let Some(first) = job_as("first user", &root, 10_001, GROUP, 0o022) else { return };
    chown(&root, None, Some(GROUP)).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o2770)).unwrap();
    let others = [("second user", 10_002, GROUP), ("stranger", 10_003, GROUP + 1)];
    let others = others.map(|(name, user, group)| job_as(name, &root, user, group, 0o022).unwrap());
    for job in [first].iter().chain(&others) {
        assert!(start(job).wait().unwrap().status.success(), "see the message above");
    }
}

pub(crate) fn as_the_first_user(root: &Path) {
    let cache = Cache::open(root).expect("no cache");
    cache.get_or_build(&key(1), &BuildOptions::default(), build_fake).expect("no environment");
}

pub(crate) fn as_the_second_user(root: &Path) {
    let cache = Cache::open(root).expect("no cache");
    let last_use = |cache: &Cache| cache.list().expect("no list")[0].last_used;
    let before = last_use(&cache);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let env = cache.get(&key(1)).expect("get").expect("the first user built it");
    assert_eq!(env.state(), State::Hit);
    assert!(last_use(&cache) > before, "a use of one that another user owns counts");
    drop(env);
    assert!(cache.remove(&key(1)).expect("remove"));
    let trash = fs::read_dir(root.join("trash")).expect("no trash");
    assert_eq!(trash.count(), 0, "the group may delete what one of it built");
    let env = cache.get_or_build(&key(1), &BuildOptions::default(), build_fake);
    assert_eq!(env.expect("no environment").state(), State::Built);
}

pub(crate) fn as_a_stranger(root: &Path) {
    let error = Cache::open(root).expect_err("it is not for strangers");
    assert!(error.hint().is_some(), "{error}");
}
