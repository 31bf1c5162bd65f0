//! The owners whose files are used: real users, a real group, and files that a stranger plants.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use venv_cache::testing::{Scratch, build_fake, key};
use venv_cache::{
    BoxError, Budget, BuildOptions, Built, Cache, Error, Interpreter, Site, State, Untrusted,
};

use crate::processes::{job_as, start};

const GROUP: u32 = 54_321;
const OTHER_GROUP: u32 = 54_322;
const ANN: u32 = 10_001;
const BOB: u32 = 10_002;
const STRANGER: u32 = 10_003;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("no metadata").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a file of ours");
}

/// Returns a folder that every user may enter; so is the one above it.
fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    set_mode(dir.path(), 0o755);
    dir
}

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    duct::cmd("mkfifo", [path]).run().expect("mkfifo");
}

/// Runs a job as another user; returns false, and prints a line, if that is refused.
#[track_caller]
fn run_as(name: &str, root: &Path, user: u32, group: u32, umask: u32) -> bool {
    let Some(job) = job_as(name, root, user, group, umask) else { return false };
    assert!(start(&job).wait().expect("it ends").status.success(), "{name}: see the message above");
    true
}

fn build(cache: &Cache) -> State {
    let env = cache.get_or_build(&key(1), &BuildOptions::default(), build_fake);
    env.expect("no environment").state()
}

fn untrusted<T: std::fmt::Debug>(result: Result<T, Error>) -> Untrusted {
    match result.expect_err("it is to be refused") {
        Error::Untrusted(refused) => {
            assert!(refused.hint().is_some());
            refused
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_world_writable_cache_is_refused_with_the_way_out() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    build(cache);
    let (root, env) = (cache.root().to_owned(), cache.env_dir(&key(1)));
    let opened = ["", "envs-v1", "locks", "shims", "tools", "interpreters", "trash"];
    let used = ["", "manifest.json", "bin", "bin/python"].map(|name| env.join(name));
    let lock = root.join("locks").join(format!("{}.lock", key(1)));
    for path in opened.map(|name| root.join(name)).iter().chain(&used).chain([&lock]) {
        let before = mode(path);
        set_mode(path, before | 0o002);
        let refused = Cache::open(&root).and_then(|cache| cache.get(&key(1)));
        let refused = untrusted(refused);
        assert!(matches!(refused, Untrusted::Open { .. }), "{refused}");
        assert!(refused.hint().unwrap().contains("chmod o-w"));
        set_mode(path, before);
    }
    // An open cache checks again.
    set_mode(&root, 0o777);
    assert!(matches!(untrusted(cache.get(&key(1))), Untrusted::Open { .. }));
    assert!(matches!(untrusted(cache.list()), Untrusted::Open { .. }));
    set_mode(&root, 0o700);
    assert_eq!(build(cache), State::Hit);
}

#[test]
fn what_belongs_to_strangers_is_refused() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    build(cache);
    let (root, env) = (cache.root().to_owned(), cache.env_dir(&key(1)));
    let lock = root.join("locks").join(format!("{}.lock", key(1)));
    let inside = ["", "manifest.json", "bin", "bin/python"].map(|name| env.join(name));
    for path in inside.iter().chain([&root.join("envs-v1"), &lock]) {
        chown(path, Some(STRANGER), None).expect("this test needs root");
        let refused = untrusted(cache.get(&key(1)));
        assert!(matches!(refused, Untrusted::Owner { owner: STRANGER, .. }), "{refused}");
        chown(path, Some(0), None).unwrap();
    }
    assert_eq!(build(cache), State::Hit);
}

/// With the umask 002, the default on systems with a group for each user, folders are
/// group-writable although no user meant to share them.
#[test]
fn a_group_is_named_by_a_bit_that_no_umask_sets() {
    let dir = open_dir();
    let root = dir.path().join("cache");
    for (mode, gid, group_of_user, is_trusted) in [
        (0o775, ANN, ANN, true),
        (0o775, GROUP, GROUP, false),
        (0o770, GROUP, GROUP, false),
        (0o2770, GROUP, GROUP, true),
        (0o2775, GROUP, GROUP, true),
        (0o2755, GROUP, GROUP, true),
        (0o2770, GROUP, OTHER_GROUP, false),
        (0o2777, GROUP, GROUP, false),
        (0o1777, GROUP, GROUP, false),
    ] {
        fs::create_dir(&root).unwrap();
        chown(&root, Some(ANN), Some(gid)).expect("this test needs root");
        set_mode(&root, mode);
        let job = if is_trusted { "builder" } else { "outsider" };
        if !run_as(job, &root, ANN, group_of_user, 0o002) {
            return;
        }
        assert_eq!(root.join("envs-v1").exists(), is_trusted, "{mode:o} {gid}");
        fs::remove_dir_all(&root).unwrap();
    }
}

/// The owner of the root chose its group, so root may use a shared cache of its own and no other.
#[test]
fn root_is_no_member_of_every_group() {
    let dir = open_dir();
    let root = dir.path().join("cache");
    fs::create_dir(&root).unwrap();
    chown(&root, Some(ANN), Some(GROUP)).expect("this test needs root");
    set_mode(&root, 0o2770);
    let refused = untrusted(Cache::open(&root));
    assert!(matches!(refused, Untrusted::NotAMember { gid: GROUP, .. }), "{refused}");
    chown(&root, Some(0), None).unwrap();
    set_mode(&root, 0o2770);
    assert_eq!(build(&Cache::open(&root).unwrap()), State::Built);
}

#[test]
fn a_world_writable_folder_above_is_refused() {
    let dir = open_dir();
    let above = dir.path().join("above");
    fs::create_dir(&above).unwrap();
    Cache::open(&above.join("cache")).unwrap();
    set_mode(&above, 0o777);
    let refused = untrusted(Cache::open(&above.join("cache")));
    assert!(matches!(refused, Untrusted::Replaceable { .. }), "{refused}");
    set_mode(&above, 0o1777);
    Cache::open(&above.join("cache")).unwrap();
}

/// A stranger makes a world-writable cache, and plants a program in an environment.
#[test]
fn what_a_stranger_plants_is_not_run() {
    let dir = open_dir();
    for mode in [0o777, 0o1777, 0o755, 0o2777] {
        let root = dir.path().join(format!("{mode:o}"));
        fs::create_dir(&root).unwrap();
        chown(&root, Some(STRANGER), Some(STRANGER)).expect("this test needs root");
        set_mode(&root, mode);
        if !run_as("planter", &root, STRANGER, STRANGER, 0o000) {
            return;
        }
        run_as("victim", &root, ANN, ANN, 0o022);
        as_the_victim(&root);
    }
}

pub(crate) fn as_a_planter(root: &Path) {
    // The mode of a private cache, which is then opened to all.
    let was = mode(root);
    set_mode(root, 0o700);
    let cache = Cache::open(root).expect("no cache");
    assert_eq!(build(&cache), State::Built);
    duct::cmd("chmod", ["-R".into(), "a+rwX".into(), root.as_os_str().to_owned()])
        .run()
        .expect("chmod");
    set_mode(root, was);
}

pub(crate) fn as_the_victim(root: &Path) {
    untrusted(Cache::open(root).and_then(|cache| cache.get(&key(1))));
}

pub(crate) fn as_an_outsider(root: &Path) {
    untrusted(Cache::open(root));
}

/// With any umasks, one member builds, the other uses, the first one's stage leaves bytecode, and
/// the second removes. The second names the files that it could not delete, with their size.
#[test]
fn members_of_a_group_build_use_and_remove_for_each_other_whatever_their_umasks_are() {
    let dir = open_dir();
    for (number, (one, other)) in
        [(0o077, 0o022), (0o022, 0o077), (0o077, 0o077), (0o002, 0o022)].into_iter().enumerate()
    {
        let root = dir.path().join(number.to_string());
        fs::create_dir(&root).unwrap();
        chown(&root, Some(ANN), Some(GROUP)).expect("this test needs root");
        set_mode(&root, 0o2770);
        for (first, second) in [(ANN, BOB), (BOB, ANN)] {
            if !run_as("builder", &root, first, GROUP, one) {
                return;
            }
            run_as("user", &root, second, GROUP, other);
            run_as("litterer", &root, first, GROUP, 0o022);
            run_as("user", &root, second, GROUP, other);
            run_as("remover", &root, second, GROUP, other);
            // The first one's next call removes the leftovers.
            run_as("builder", &root, first, GROUP, one);
            assert_eq!(fs::read_dir(root.join("trash")).unwrap().count(), 0);
            fs::remove_dir_all(root.join("envs-v1")).unwrap();
        }
    }
}

const LITTER: &str = "lib/site-packages/__pycache__";

fn litter(root: &Path) -> PathBuf {
    root.join("envs-v1").join(key(1).to_string()).join(LITTER)
}

pub(crate) fn as_the_builder(root: &Path) {
    assert_eq!(build(&Cache::open(root).expect("no cache")), State::Built);
}

pub(crate) fn as_a_user(root: &Path) {
    let cache = Cache::open(root).expect("no cache");
    let env = cache.get(&key(1)).expect("get").expect("the other one built it");
    assert_eq!(env.state(), State::Hit);
    let module = env.dir().join("lib/site-packages/module.py");
    assert_eq!(fs::read_to_string(module).expect("a module"), "VERSION = 1\n");
    assert!(env.python().metadata().expect("an interpreter").mode() & 0o050 == 0o050);
    assert_eq!(env.differences().expect("differences"), []);
    assert_eq!(cache.list().expect("list").len(), 1);
    assert_eq!(cache.usage().expect("usage").environments.len(), 1);
}

pub(crate) fn as_a_litterer(root: &Path) {
    let folder = litter(root);
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("module.cpython-311.pyc"), vec![1; 1 << 20]).expect("a file");
}

pub(crate) fn as_the_remover(root: &Path) {
    let cache = Cache::open(root).expect("no cache");
    let owner = fs::metadata(litter(root)).expect("litter").uid();
    let report = cache.prune(&Budget::default().with_all()).expect("prune");
    assert_eq!((report.removed.len(), report.left.len()), (1, 1), "{report:?}");
    let left = &report.left[0];
    assert_eq!((left.key, left.owner), (Some(key(1)), owner));
    assert!(left.path.ends_with(LITTER), "{left}");
    assert!(left.bytes >= 1 << 20, "{left}");
    assert!(report.freed_bytes() < report.removed[0].bytes, "{report:?}");
    assert_eq!(cache.list().expect("list").len(), 0);
}

/// Every user that can enter could change the files of a builder without a umask.
#[test]
fn a_build_takes_the_right_to_write_from_others_and_the_base_keeps_its_modes() {
    for closed in [true, false] {
        let scratch = Scratch::new();
        let cache = scratch.cache();
        if !closed {
            set_mode(cache.root(), 0o755);
            set_mode(&cache.root().join("envs-v1"), 0o755);
        }
        let cache = Cache::open(cache.root()).unwrap();
        let base = scratch.dir().join("base.py");
        fs::write(&base, "").unwrap();
        set_mode(&base, 0o666);
        let open = |site: &Site<'_>| -> Result<Built, BoxError> {
            let built = build_fake(site)?;
            fs::hard_link(&base, site.dir().join("lib/base.py"))?;
            for name in ["", "lib", "lib/site-packages", "bin", "lib/site-packages/module.py"] {
                set_mode(&site.dir().join(name), 0o777);
            }
            Ok(built)
        };
        let env = cache.get_or_build(&key(1), &BuildOptions::default(), open).unwrap();
        for name in ["", "lib", "lib/site-packages", "bin", "lib/site-packages/module.py"] {
            assert_eq!(mode(&env.dir().join(name)) & 0o002, 0, "{name}");
            assert_eq!(mode(&env.dir().join(name)) & 0o020 == 0, !closed, "{name}");
        }
        assert_eq!(mode(&base), 0o666);
    }
}

/// In a shared cache, a linked file that only its owner may read becomes a file of the
/// environment's own, and the original stays unchanged.
#[test]
fn what_a_group_could_not_read_is_copied_for_it() {
    let dir = open_dir();
    let root = dir.path().join("cache");
    fs::create_dir(&root).unwrap();
    set_mode(&root, 0o2770);
    let private = dir.path().join("private.py");
    fs::write(&private, "VALUE = 1\n").unwrap();
    set_mode(&private, 0o600);
    let build = |site: &Site<'_>| -> Result<Built, BoxError> {
        let built = build_fake(site)?;
        fs::hard_link(&private, site.dir().join("lib/linked.py"))?;
        Ok(built)
    };
    let cache = Cache::open(&root).unwrap();
    let env = cache.get_or_build(&key(1), &BuildOptions::default(), build).unwrap();
    let linked = env.dir().join("lib/linked.py");
    assert_eq!((mode(&private), mode(&linked)), (0o600, 0o660));
    assert_eq!(fs::read_to_string(linked).unwrap(), "VALUE = 1\n");
    assert_eq!(env.differences().unwrap(), []);
}

#[test]
fn a_link_in_the_place_of_a_lock_leaves_its_target_as_it_is() {
    let dir = open_dir();
    let root = dir.path().join("cache");
    fs::create_dir(&root).unwrap();
    chown(&root, None, Some(GROUP)).expect("this test needs root");
    set_mode(&root, 0o2770);
    let cache = Cache::open(&root).unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "of its owner alone").unwrap();
    set_mode(&secret, 0o600);
    for name in [key(1).to_string(), "eviction".to_owned()] {
        let lock = root.join("locks").join(format!("{name}.lock"));
        for link in [
            |from: &Path, to: &Path| symlink(from, to),
            |from: &Path, to: &Path| fs::hard_link(from, to),
        ] {
            let _ = fs::remove_file(&lock);
            link(&secret, &lock).unwrap();
            let _ = cache.get_or_build(&key(1), &BuildOptions::default(), build_fake);
            let _ = cache.prune(&Budget::default());
            let _ = cache.is_in_use(&key(1));
            let found = fs::metadata(&secret).unwrap();
            assert_eq!((mode(&secret), found.gid()), (0o600, 0), "{name}");
            assert_eq!(fs::read_to_string(&secret).unwrap(), "of its owner alone");
        }
        fs::remove_file(&lock).unwrap();
        symlink(&secret, &lock).unwrap();
        let refused = untrusted(
            cache
                .prune(&Budget::default().with_all())
                .and_then(|_| cache.get_or_build(&key(1), &BuildOptions::default(), build_fake)),
        );
        assert!(matches!(refused, Untrusted::NoFile { .. }), "{refused}");
        fs::remove_file(&lock).unwrap();
    }
}

/// No process writes into these pipes, so opening one in the usual way waits forever.
#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let scratch = Scratch::new();
    let (cache, root) = (scratch.cache(), scratch.cache().root());
    for name in ["manifest.json", "sizes.json"] {
        build(cache);
        let dir = cache.env_dir(&key(1));
        if name == "sizes.json" {
            // As after another boot, when sizes are checked.
            let manifest = dir.join("manifest.json");
            let text = fs::read_to_string(&manifest).unwrap();
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            fs::write(manifest, text.replace(boot.trim(), "another")).unwrap();
        }
        pipe(&dir.join(name));
        assert!(cache.get(&key(1)).unwrap().is_none(), "{name}: it is damaged");
        cache.list().unwrap();
        assert_eq!(build(cache), State::Built, "{name}: and built anew");
        pipe(&cache.env_dir(&key(1)).join(name));
        cache.prune(&Budget::default().with_all()).unwrap();
        assert!(!dir.exists());
    }
    for name in [key(1).to_string(), "eviction".to_owned(), "trash".to_owned()] {
        let lock = root.join("locks").join(format!("{name}.lock"));
        pipe(&lock);
        let _ = (cache.list(), cache.prune(&Budget::default().with_all()), cache.get(&key(1)));
        let _ = cache.get_or_build(&key(1), &BuildOptions::default(), build_fake);
        fs::remove_file(&lock).unwrap();
    }
    let records = cache.interpreters_dir();
    let describe = || Interpreter::describe(Path::new("/usr/bin/python3"), Some(&records)).unwrap();
    let described = describe();
    let record = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    pipe(&record);
    assert_eq!(describe(), described);
    assert!(record.is_file(), "it is written anew");
}

#[test]
fn a_record_of_an_interpreter_that_a_stranger_wrote_is_made_again() {
    let dir = open_dir();
    let describe = || Interpreter::describe(Path::new("/usr/bin/python3"), Some(dir.path()));
    let described = describe().unwrap();
    let record = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace(described.version(), "3.99.0")).unwrap();
    assert_eq!(describe().unwrap().version(), "3.99.0", "one's own is believed");
    chown(&record, Some(STRANGER), None).expect("this test needs root");
    assert_eq!(describe().unwrap(), described);
    assert_eq!(fs::metadata(&record).unwrap().uid(), 0);
}

/// A stranger with read access can hold a cache's locks forever. The limit is the time for which a
/// lock is held when nothing is built, and this test waits for it.
#[test]
fn a_lock_that_a_stranger_holds_ends_the_wait_and_the_stranger_is_named() {
    let dir = open_dir();
    let root = dir.path().join("cache");
    fs::create_dir(&root).unwrap();
    set_mode(&root, 0o755);
    let cache = Cache::open(&root).unwrap();
    build(&cache);
    File::create(root.join("locks").join(format!("{}.lock", key(2)))).unwrap();
    duct::cmd("chmod", ["-R".into(), "a+rX".into(), root.as_os_str().to_owned()]).run().unwrap();
    let Some(job) = job_as("reader", &root, STRANGER, STRANGER, 0o022) else { return };
    let job = start(&job.stdin_null());
    let deadline = Instant::now() + Duration::from_mins(1);
    while !cache.is_in_use(&key(1)).unwrap() {
        assert!(Instant::now() < deadline, "no process holds it");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stranger = |error: Error| {
        assert!(matches!(error, Error::Held { .. } | Error::Timeout { .. }), "{error}");
        assert!(error.to_string().contains(&format!("of user {STRANGER}")), "{error}");
        assert!(error.hint().is_some());
    };
    std::thread::scope(|scope| {
        scope.spawn(|| stranger(cache.get(&key(1)).unwrap_err()));
        scope.spawn(|| {
            let forever = BuildOptions::default();
            stranger(cache.get_or_build(&key(1), &forever, build_fake).unwrap_err());
        });
        scope.spawn(|| {
            let wait = BuildOptions::default().with_wait(Duration::from_millis(100));
            stranger(cache.get_or_build(&key(2), &wait, build_fake).unwrap_err());
        });
    });
    assert_eq!(cache.list().unwrap().len(), 1);
    job.kill().unwrap();
    assert_eq!(build(&cache), State::Hit);
}

pub(crate) fn as_a_reader(root: &Path) {
    let held = [2, 1].map(|number| {
        let file = File::open(root.join("locks").join(format!("{}.lock", key(number))));
        file.inspect(|file| file.lock().expect("a lock")).expect("a lock file")
    });
    std::thread::sleep(Duration::from_mins(2));
    drop(held);
}

/// The files of an image belong to root and are read-only.
#[test]
fn a_cache_that_may_only_be_read_is_used_by_its_owner_and_by_others() {
    let dir = open_dir();
    let root = dir.path().join("cache");
    let cache = Cache::open(&root).unwrap();
    build(&cache);
    fs::remove_dir(root.join("shims")).unwrap();
    duct::cmd("chmod", ["-R".into(), "a+rX,a-w".into(), root.as_os_str().to_owned()])
        .run()
        .unwrap();
    if run_as("user", &root, ANN, ANN, 0o022) {
        assert_eq!(build(&Cache::open(&root).unwrap()), State::Hit);
    }
}
