//! Many processes at once, some of which die: an environment is built once, and is whole or absent.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{Budget, BuildOptions, Error, Site, State};

use crate::processes::{Random, assert_whole, build_slowly, job, no_forks, start};

#[test]
fn eight_threads_that_ask_at_once_build_once() {
    let scratch = Scratch::new();
    let builds = AtomicUsize::new(0);
    let barrier = Barrier::new(8);
    let states = thread::scope(|scope| {
        let ask = || {
            barrier.wait();
            let build = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
                builds.fetch_add(1, Ordering::Relaxed);
                build_slowly(dir)
            };
            let env = scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build);
            let env = env.expect("no environment");
            assert_whole(&env);
            env.state()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("panicked")).collect::<Vec<_>>()
    });
    assert_eq!(builds.into_inner(), 1);
    assert_eq!(states.iter().filter(|state| **state == State::Built).count(), 1);
}

#[test]
fn eight_processes_that_ask_at_once_build_once() {
    for round in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let jobs: Vec<_> = (0..8).map(|_| start(&job("build once", dir.path(), round))).collect();
        thread::sleep(Duration::from_millis(50));
        fs::write(dir.path().join("go"), "").unwrap();
        for job in &jobs {
            assert!(job.wait().unwrap().status.success());
        }
        assert_eq!(fs::read(dir.path().join("builds")).unwrap(), b"x");
    }
}

#[test]
fn a_waiter_builds_when_the_builder_before_it_failed() {
    let scratch = Scratch::new();
    let options = BuildOptions::default();
    let building = Barrier::new(2);
    let failing = |dir: &Site<'_>| -> Result<venv_cache::Built, venv_cache::BoxError> {
        building.wait();
        build_slowly(dir)?;
        Err("fails on purpose".into())
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| scratch.cache().get_or_build(&key(1), &options, failing));
        building.wait();
        let second = scratch.cache().get_or_build(&key(1), &BuildOptions::default(), build_slowly);
        assert!(first.join().unwrap().is_err());
        assert_whole(&second.unwrap());
    });
}

#[test]
fn a_builder_killed_at_any_instant_leaves_a_whole_environment_or_none() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let mut random = Random::new("a_builder_killed_at_any_instant");
    let (mut found, mut rebuilt) = (0, 0);
    for _ in 0..60 {
        let builder = start(&job("build and remove", cache.root(), 0));
        thread::sleep(Duration::from_micros(random.below(90_000)));
        builder.kill().unwrap();
        builder.wait().unwrap();

        if let Some(env) = cache.get(&key(1)).unwrap() {
            assert_whole(&env);
        }
        let env = cache.get_or_build(&key(1), &BuildOptions::default(), build_slowly).unwrap();
        assert_whole(&env);
        match env.state() {
            State::Hit => found += 1,
            State::Built => rebuilt += 1,
        }
        drop(env);
        // Half of the time, the next builder starts from nothing.
        if random.below(2) == 0 {
            cache.prune(&Budget::default().with_all()).unwrap();
        }
    }
    assert!(rebuilt > 0, "found {found}, rebuilt {rebuilt}");
    let _quiet = no_forks();
    cache.prune(&Budget::default().with_all()).unwrap();
    assert_eq!(fs::read_dir(cache.root().join("envs-v1")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(cache.root().join("trash")).unwrap().count(), 0);
}

// Laws 5, 6 and 7 with real processes that build, use, release and evict, in 50 orders, with two of
// three killed in the middle of each. No two build one environment at once, no process ever holds
// an incomplete environment, and environments in use stay.
#[test]
fn processes_that_do_anything_and_die_never_hurt_each_other() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let mut random = Random::new("processes_that_do_anything");
    let mut killed = 0;
    for _ in 0..50 {
        let held = cache.get_or_build(&key(0), &BuildOptions::default(), build_slowly).unwrap();
        let jobs: Vec<_> = (0..3)
            .map(|_| start(&job("anything", cache.root(), random.below(1 << 40) | 1)))
            .collect();
        for job in &jobs[..2] {
            thread::sleep(Duration::from_micros(random.below(60_000)));
            job.kill().unwrap();
            let status = job.wait().unwrap().status;
            // A process that ends before it is killed must succeed.
            assert!(status.success() || status.signal() == Some(9), "see its message above");
            killed += u32::from(!status.success());
        }
        assert!(jobs[2].wait().unwrap().status.success(), "see its message above");
        assert_whole(&held);
        let again = cache.get(&key(0)).unwrap().expect("what is held stays");
        assert_eq!(again.manifest().build, held.manifest().build);
        drop((held, again));
        for number in 0..3 {
            let env = cache.get_or_build(&key(number), &BuildOptions::default(), build_slowly);
            assert_whole(&env.unwrap());
        }
        // Half of the time, the next ones start from nothing.
        if random.below(2) == 0 {
            cache.prune(&Budget::default().with_all()).unwrap();
        }
    }
    assert!(killed > 50, "only {killed} died in the middle");
    let _quiet = no_forks();
    let report = cache.prune(&Budget::default().with_all()).unwrap();
    assert_eq!((report.in_use.len(), report.refused.len(), report.kept), (0, 0, 0));
    assert_eq!(fs::read_dir(cache.root().join("envs-v1")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(cache.root().join("trash")).unwrap().count(), 0);
}

// A builder that has just committed holds its environment before any evictor can take it.
#[test]
fn evictors_never_take_an_environment_from_under_its_builder() {
    let scratch = Scratch::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    match scratch.cache().remove(&key(1)) {
                        Ok(_) | Err(Error::InUse { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let builder = scope.spawn(|| {
            for _ in 0..300 {
                let options = BuildOptions::default();
                let env = scratch.cache().get_or_build(&key(1), &options, build_fake);
                assert_eq!(env.expect("no environment").differences().expect("no sizes"), []);
                // Without a pause, the evictors would hardly ever find the environment free.
                thread::sleep(Duration::from_millis(3));
            }
        });
        let built = builder.join();
        done.store(true, Ordering::Relaxed);
        built.expect("a builder lost its environment");
    });
}
