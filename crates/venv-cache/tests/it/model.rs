//! Laws 5, 6 and 7 against a model, in one process.
//!
//! Environments are built, fail, are used, released, crash and are evicted, in any order. An
//! environment exists exactly if its build was committed and no eviction took it. No eviction takes
//! one that is held or that a kept one needs. Every holder sees its environment whole. A crash is a
//! folder left half-built, or an eviction that got as far as the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use venv_cache::testing::{build_fake, key};
use venv_cache::{BoxError, Budget, BuildOptions, Built, Cache, CachedEnv, Error, Site, State};

use crate::setup::run_test;

/// Environments by number; 2 needs 0, and 3 needs 1.
const NUMBERS: u64 = 4;

fn need_of(number: u64) -> Option<u64> {
    number.checked_sub(2)
}

#[derive(Clone, Debug)]
enum Step {
    Build(u64),
    Fail(u64),
    Panic(u64),
    Get(u64),
    Release(prop::sample::Index),
    Crash(u64),
    Remove(u64),
    PruneTo(usize),
    PruneAll,
    Open,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..NUMBERS;
    prop_oneof![
        6 => number().prop_map(Step::Build),
        1 => number().prop_map(Step::Fail),
        1 => number().prop_map(Step::Panic),
        3 => number().prop_map(Step::Get),
        5 => any::<prop::sample::Index>().prop_map(Step::Release),
        2 => number().prop_map(Step::Crash),
        2 => number().prop_map(Step::Remove),
        2 => (0..4_usize).prop_map(Step::PruneTo),
        1 => Just(Step::PruneAll),
        1 => Just(Step::Open),
    ]
}

/// A committed environment.
#[derive(Clone, Debug)]
struct Known {
    build: u64,
    need_build: Option<u64>,
    last_used: u64,
}

struct World {
    cache: Cache,
    each: u64,
    clock: u64,
    known: BTreeMap<u64, Known>,
    half: BTreeSet<u64>,
    locks: BTreeSet<u64>,
    held: Vec<(u64, CachedEnv)>,
}

impl World {
    fn new(root: &Path) -> Self {
        Self {
            cache: Cache::open(root).expect("no cache"),
            each: 0,
            clock: 0,
            known: BTreeMap::new(),
            half: BTreeSet::new(),
            locks: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    fn is_whole(&self, number: u64) -> bool {
        self.known.get(&number).is_some_and(|known| match need_of(number) {
            None => true,
            Some(need) => self.known.get(&need).map(|need| need.build) == known.need_build,
        })
    }

    fn is_held(&self, number: u64) -> bool {
        self.held.iter().any(|(held, _)| *held == number || need_of(*held) == Some(number))
    }

    fn is_needed(&self, number: u64) -> bool {
        self.known.keys().any(|known| need_of(*known) == Some(number))
    }

    /// Sets the last use to an exact time, since file systems store times in coarse steps.
    fn used(&mut self, number: u64) {
        self.clock += 1;
        for number in [Some(number), need_of(number)].into_iter().flatten() {
            let path = self.cache.root().join("locks").join(format!("{}.lock", key(number)));
            let time = UNIX_EPOCH + Duration::from_secs(self.clock);
            let file = File::options().write(true).open(path);
            file.and_then(|file| file.set_modified(time)).expect("no last use");
            self.known.get_mut(&number).expect("it is there").last_used = self.clock;
        }
    }

    fn build(&mut self, number: u64) {
        let needs = need_of(number).map(key);
        let build = |dir: &Site<'_>| build_fake(dir).map(|built| built.with_needs(needs));
        let options = BuildOptions::default();
        let result = self.cache.get_or_build(&key(number), &options, build);
        let need_is_there = need_of(number).is_none_or(|need| self.is_whole(need));
        match result {
            Ok(env) if self.is_whole(number) => {
                assert_eq!(env.state(), State::Hit);
                self.take(number, env);
            }
            Ok(env) => {
                assert!(need_is_there);
                assert_eq!(env.state(), State::Built);
                self.clock += 1;
                self.each = env.manifest().own_bytes;
                let need_build = need_of(number).map(|need| self.known[&need].build);
                let known = Known { build: self.clock, need_build, last_used: 0 };
                self.known.insert(number, known);
                self.half.remove(&number);
                self.take(number, env);
            }
            Err(Error::NeedMissing { .. }) => {
                assert!(!need_is_there && !self.is_whole(number));
                self.forget(number);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn take(&mut self, number: u64, env: CachedEnv) {
        self.held.push((number, env));
        self.used(number);
    }

    fn forget(&mut self, number: u64) {
        self.known.remove(&number);
        self.half.remove(&number);
    }

    /// A build that fails or panics: a whole environment stays, a partial one is removed.
    fn build_badly(&mut self, number: u64, fail: impl FnOnce() -> Result<Built, BoxError>) {
        let build = |dir: &Site<'_>| build_fake(dir).and_then(|_| fail());
        let options = BuildOptions::default();
        let key = key(number);
        let result =
            catch_unwind(AssertUnwindSafe(|| self.cache.get_or_build(&key, &options, build)));
        if let Ok(Ok(env)) = result {
            assert!(self.is_whole(number));
            self.take(number, env);
        } else {
            assert!(!self.is_whole(number));
            self.forget(number);
        }
    }

    /// The leftovers of a process that dies while it builds or evicts.
    fn crash(&mut self, number: u64) {
        if self.is_held(number) {
            return; // Both need the lock for themselves.
        }
        let dir = self.cache.env_dir(&key(number));
        if self.known.remove(&number).is_some() {
            fs::remove_file(dir.join("manifest.json")).expect("no manifest");
        } else {
            fs::create_dir_all(dir.join("bin")).expect("no folder");
            fs::write(dir.join(".unfinished-manifest"), "{").expect("no file");
            fs::create_dir_all(self.cache.root().join("trash/1a-2b-3c/bin")).expect("no trash");
        }
        self.half.insert(number);
    }

    fn remove(&mut self, number: u64) {
        let there = self.known.contains_key(&number) || self.half.contains(&number);
        match self.cache.remove(&key(number)) {
            Ok(removed) => {
                assert_eq!(removed, there);
                assert!(!self.is_held(number));
                assert!(!there || !self.is_needed(number));
                self.forget(number);
            }
            Err(Error::Needed { .. }) => assert!(self.is_needed(number)),
            Err(Error::InUse { .. }) => assert!(self.is_held(number)),
            Err(error) => panic!("{error}"),
        }
    }

    fn prune(&mut self, budget: &Budget, keep: usize) {
        let mut expected = Vec::new();
        loop {
            let free = |number: &&u64| !self.is_held(**number) && !self.is_needed(**number);
            let oldest = self.known.keys().filter(free);
            let oldest = oldest.min_by_key(|number| (self.known[number].last_used, key(**number)));
            let Some(&oldest) = oldest.filter(|_| self.known.len() > keep) else { break };
            self.known.remove(&oldest);
            expected.push(key(oldest));
        }
        let report = self.cache.prune(budget).expect("not pruned");
        let removed: Vec<_> = report.removed.iter().map(|removed| removed.key).collect();
        assert_eq!(removed, expected);
        assert_eq!(report.leftovers, self.half.len());
        self.half.clear();
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Build(number) => self.build(*number),
            Step::Fail(number) => self.build_badly(*number, || Err("on purpose".into())),
            Step::Panic(number) => {
                // Without the panic hook, whose message would hide the others.
                self.build_badly(*number, || resume_unwind(Box::new("on purpose")));
            }
            Step::Get(number) => {
                let found = self.cache.get(&key(*number)).expect("not looked up");
                assert_eq!(found.is_some(), self.is_whole(*number));
                if let Some(env) = found {
                    self.take(*number, env);
                }
            }
            Step::Release(index) => {
                if !self.held.is_empty() {
                    self.held.swap_remove(index.index(self.held.len()));
                }
            }
            Step::Crash(number) => self.crash(*number),
            Step::Remove(number) => self.remove(*number),
            Step::PruneTo(keep) => {
                let budget = Budget::default().with_max_bytes(self.each * *keep as u64);
                self.prune(&budget, *keep);
            }
            Step::PruneAll => self.prune(&Budget::default().with_all(), 0),
            Step::Open => self.cache = Cache::open(self.cache.root()).expect("no cache"),
        }
    }

    fn check(&mut self) {
        let listed = self.cache.list().expect("no list");
        let listed: BTreeSet<_> = listed.into_iter().map(|listed| listed.key).collect();
        assert_eq!(listed, self.known.keys().map(|number| key(*number)).collect());
        for (_, env) in &self.held {
            assert_eq!(env.differences().expect("no sizes"), []);
        }
        let lock = |number: &u64| self.cache.root().join(format!("locks/{}.lock", key(*number)));
        let kept = |number: &u64| lock(number).exists() || !self.known.contains_key(number);
        assert!(self.locks.iter().all(kept), "the lock file of an environment is gone");
        self.locks = (0..NUMBERS).filter(|number| lock(number).exists()).collect();
    }
}

/// In memory, if there is such a folder: the law is not about disks, and they are slow.
fn scratch_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("no temporary folder")
}

/// Alone in a process: a child that another test starts has all locks of this process for an instant,
/// and what is held is not evicted.
#[test]
fn the_store_does_what_the_model_says() {
    let dir = tempfile::tempdir().expect("no temporary folder");
    run_test(&["env"], "model::a_store_does_what_the_model_says", dir.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn a_store_does_what_the_model_says(steps in prop::collection::vec(step(), 1..30)) {
        let dir = scratch_dir();
        let mut world = World::new(dir.path());
        for step in &steps {
            world.run(step);
            world.check();
        }
    }
}
