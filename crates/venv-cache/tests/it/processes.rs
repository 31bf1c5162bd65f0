//! Jobs for a process of their own, and how to start one: this test binary runs itself.

use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use venv_cache::testing::{build_fake, key};
use venv_cache::{BoxError, Budget, BuildOptions, Built, Cache, CachedEnv, Error, Site, State};

use crate::{faults, overlay, sharing, trust};

const JOB: &str = "VENV_CACHE_JOB";
const ROOT: &str = "VENV_CACHE_JOB_ROOT";
const SEED: &str = "VENV_CACHE_JOB_SEED";

/// Number of files that [`build_slowly`] writes.
const FILES: usize = 20;

/// Held for writing while a process starts.
static FORKS: RwLock<()> = RwLock::new(());

/// Starts a process. All tests start theirs here.
pub(crate) fn start(expression: &duct::Expression) -> duct::Handle {
    let forking = FORKS.write().expect("no panic");
    let started = expression.start();
    drop(forking);
    started.expect("not started")
}

/// Returns whether a program exists and accepts these arguments.
fn works(program: &str, arguments: &[String]) -> bool {
    let _forking = FORKS.write().expect("no panic");
    let tried = duct::cmd(program, arguments.iter().map(String::as_str).chain(["true"]));
    tried.stderr_null().run().is_ok()
}

/// Keeps the other tests of this program from starting processes.
///
/// Between its fork and its exec, a new process has a copy of every descriptor, so a lock that was
/// just dropped may be held for an instant. Evictors then skip an environment that they could have
/// taken: correct, but a test cannot rely on it.
pub(crate) fn no_forks() -> RwLockReadGuard<'static, ()> {
    FORKS.read().expect("no panic")
}

/// Returns the command that runs a job on the cache in this folder. It exits with 0 on success.
pub(crate) fn job(name: &str, root: &Path, seed: u64) -> duct::Expression {
    duct::cmd(env::current_exe().expect("no path to this program"), arguments())
        .env(JOB, name)
        .env(ROOT, root)
        .env(SEED, seed.to_string())
        .stdin_null()
        .stdout_null()
        .unchecked()
}

/// Returns such a command on a small file system, mounted at `root` for this process alone. Returns
/// none, and prints a line, if this user may not mount.
pub(crate) fn job_on_small_disk(name: &str, root: &Path, size: &str) -> Option<duct::Expression> {
    let namespace = ["--user", "--map-root-user", "--mount"].map(str::to_owned);
    if !works("unshare", &namespace) {
        not_tested(name, "unshare --user --mount");
        return None;
    }
    let script = r#"mount -t tmpfs -o size="$1",mode=0700 tmpfs "$2" && shift 2 && exec "$@""#;
    let mut argv: Vec<OsString> = namespace.into_iter().map(Into::into).collect();
    argv.extend(["sh", "-c", script, "sh", size].map(Into::into));
    argv.push(root.as_os_str().to_owned());
    argv.push(env::current_exe().expect("no path to this program").into());
    argv.extend(arguments().map(Into::into));
    let job = duct::cmd("unshare", argv).env(JOB, name).env(ROOT, root).env(SEED, "0");
    Some(job.stdin_null().stdout_null().unchecked())
}

/// Returns such a command where `cache` in this folder is below an overlay in its place, for this
/// process alone. Returns none, and prints a line, if this user may not mount.
pub(crate) fn job_on_overlay(name: &str, root: &Path) -> Option<duct::Expression> {
    let namespace = ["--user", "--map-root-user", "--mount"].map(str::to_owned);
    let script = r#"cd "$1" && shift && exec "$@""#;
    let mount =
        "mount -t overlay overlay -o userxattr,lowerdir=cache,upperdir=upper,workdir=work cache";
    let argv = |rest: Vec<OsString>| {
        let script = script.replace("exec", &format!("{mount} && exec"));
        let mut argv: Vec<OsString> = namespace.iter().cloned().map(Into::into).collect();
        argv.extend(["sh", "-c", &script, "sh"].map(Into::into));
        argv.push(root.as_os_str().to_owned());
        argv.extend(rest);
        duct::cmd("unshare", argv)
    };
    let tried = argv(vec!["true".into()]).stderr_null().unchecked();
    if !start(&tried).wait().expect("not waited for").status.success() {
        not_tested(name, "mount -t overlay");
        return None;
    }
    let mut rest = vec![OsString::from(env::current_exe().expect("no path to this program"))];
    rest.extend(arguments().map(Into::into));
    let job = argv(rest).env(JOB, name).env(ROOT, root).env(SEED, "0");
    Some(job.stdin_null().stdout_null().unchecked())
}

/// Returns such a command as another user and group, both by number. Returns none, and prints a
/// line, if this user may not become another one.
pub(crate) fn job_as(
    name: &str,
    root: &Path,
    user: u32,
    group: u32,
    umask: u32,
) -> Option<duct::Expression> {
    let identity =
        [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()];
    if !works("setpriv", &identity) {
        not_tested(name, "setpriv");
        return None;
    }
    // The build folder may be closed to other users; that of the cache is not.
    let dir = root.parent().expect("a folder above the cache");
    let program = dir.join("jobs");
    if !program.exists() {
        fs::copy(env::current_exe().expect("no path to this program"), &program).expect("a copy");
    }
    let mut argv: Vec<OsString> = identity.into_iter().map(Into::into).collect();
    let masked = [format!("umask {umask:03o} && exec \"$@\""), "sh".to_owned()];
    argv.extend(["sh", "-c"].map(Into::into));
    argv.extend(masked.map(Into::into));
    argv.push(program.into());
    argv.extend(arguments().map(Into::into));
    let job = duct::cmd("setpriv", argv).env(JOB, name).env(ROOT, root).env(SEED, "0");
    Some(job.dir(dir).stdin_null().stdout_null().unchecked())
}

fn not_tested(name: &str, needs: &str) {
    let line = format!("{name}: NOT TESTED, `{needs}` is refused here\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr is closed");
}

fn arguments() -> [&'static str; 4] {
    ["--exact", "processes::helper_process", "--nocapture", "--test-threads=1"]
}

/// Not a test: the body of the processes that the other tests start.
#[test]
fn helper_process() {
    let Ok(name) = env::var(JOB) else { return };
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    let seed = env::var(SEED).unwrap().parse().unwrap();
    match name.as_str() {
        "build once" => build_once(&root),
        "build and remove" => build_and_remove(&root),
        "anything" => anything(&root, seed),
        "full disk" => faults::on_a_full_disk(&root),
        "below_an_overlay" => overlay::below_an_overlay(&root),
        "read-only" => faults::on_a_read_only_disk(&root),
        "first user" => sharing::as_the_first_user(&root),
        "second user" => sharing::as_the_second_user(&root),
        "stranger" => sharing::as_a_stranger(&root),
        "builder" => trust::as_the_builder(&root),
        "user" => trust::as_a_user(&root),
        "litterer" => trust::as_a_litterer(&root),
        "remover" => trust::as_the_remover(&root),
        "outsider" => trust::as_an_outsider(&root),
        "planter" => trust::as_a_planter(&root),
        "victim" => trust::as_the_victim(&root),
        "reader" => trust::as_a_reader(&root),
        other => panic!("no job is called {other}"),
    }
}

/// Asks for one environment together with other processes, and notes in a file if this one built
/// it.
fn build_once(root: &Path) {
    let start = Instant::now();
    while !root.join("go").exists() {
        assert!(start.elapsed() < Duration::from_mins(1), "the word to start did not come");
        thread::sleep(Duration::from_micros(200));
    }
    let cache = Cache::open(&root.join("cache")).expect("no cache");
    let env = cache
        .get_or_build(&key(1), &BuildOptions::default(), |dir| {
            let mut log = OpenOptions::new().append(true).create(true).open(root.join("builds"))?;
            log.write_all(b"x")?;
            build_slowly(dir)
        })
        .expect("no environment");
    assert_whole(&env);
}

/// Builds and evicts until it is killed.
fn build_and_remove(root: &Path) {
    let cache = Cache::open(root).expect("no cache");
    loop {
        let env = cache
            .get_or_build(&key(1), &BuildOptions::default(), build_slowly)
            .expect("no environment");
        assert_whole(&env);
        drop(env);
        cache.remove(&key(1)).expect("not removed");
    }
}

/// Builds, uses, releases and evicts in an order that the seed decides, until it is killed or has
/// done enough.
fn anything(root: &Path, seed: u64) {
    let cache = Cache::open(root).expect("no cache");
    let mut random = Random(seed);
    let mut held: Vec<CachedEnv> = Vec::new();
    for _ in 0..15 {
        let key = key(random.below(3));
        match random.below(8) {
            0..=2 => {
                let built = cache.get_or_build(&key, &BuildOptions::default(), build_alone);
                held.push(built.expect("no environment"));
            }
            3 => held.extend(cache.get(&key).expect("not looked up")),
            4 => match cache.remove(&key) {
                Ok(_) | Err(Error::InUse { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            5 => {
                let budget = Budget::default().with_max_bytes(random.below(3) * 40_000);
                cache.prune(&budget).expect("not pruned");
            }
            6 => {
                let failing = |dir: &Site<'_>| -> Result<Built, BoxError> {
                    build_alone(dir)?;
                    Err("fails on purpose".into())
                };
                match cache.get_or_build(&key, &BuildOptions::default(), failing) {
                    Ok(env) => assert_eq!(env.state(), State::Hit),
                    Err(error) => assert!(matches!(error, Error::Build { .. }), "{error}"),
                }
            }
            _ => {
                if !held.is_empty() {
                    let index = random.below(held.len() as u64);
                    held.swap_remove(usize::try_from(index).expect("a small number"));
                }
            }
        }
        held.iter().for_each(assert_whole);
        held.truncate(4);
    }
}

/// Like `build_fake`, over about 20 ms.
pub(crate) fn build_slowly(dir: &Site<'_>) -> Result<Built, BoxError> {
    let built = build_fake(dir)?;
    for file in 0..FILES {
        fs::write(dir.join("lib").join(file.to_string()), "contents")?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(built)
}

/// Like [`build_slowly`], and checks that no other process builds, by a lock that dies with its
/// holder.
fn build_alone(dir: &Site<'_>) -> Result<Built, BoxError> {
    let witness = dir.dir().with_extension("witness");
    let (name, root) = (witness.file_name(), dir.dir().ancestors().nth(2));
    let witness = root.ok_or("no root")?.join(name.ok_or("no name")?);
    let witness = OpenOptions::new().create(true).append(true).open(witness)?;
    witness.try_lock().expect("another process builds the same environment");
    build_slowly(dir)
}

/// Checks that every file of [`build_slowly`] exists.
pub(crate) fn assert_whole(env: &CachedEnv) {
    assert_eq!(env.differences().expect("no sizes"), []);
    for file in 0..FILES {
        let path = env.dir().join("lib").join(file.to_string());
        assert_eq!(fs::read_to_string(path).expect("a file is missing"), "contents");
    }
}

/// Pseudo-random numbers from a seed (xorshift).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Seeds by the clock, and prints the seed, so that a failure can be repeated.
    pub(crate) fn new(name: &str) -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is before 1970");
        let seed = u64::from(now.subsec_nanos()) | 1;
        let line = format!("{name}: seed {seed}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is closed");
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % limit
    }
}
