//! Places of bases and environments: odd paths, other devices, read-only folders, other owners.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use venv_cache::{
    Base, Error, Interpreter, Reason, Sharing, Strategy, create, create_bare, create_unless,
};

use crate::setup::{
    Tool, assert_untouched, given, host, open, run, run_test, seen, shared_base, site, snapshot,
    virtualenv,
};

const ALL: [Strategy; 3] = [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy];

fn assert_works(base: &Base, dir: &Path, strategy: Strategy, tool: Tool) {
    let python = create(base, dir, strategy).expect("an environment").python;
    for script in ["alpha-show", "kept-show"] {
        let said = run(dir.join("bin").join(script), &[] as &[&str]);
        assert_eq!(said.trim(), format!("1.0 {}", dir.display()), "{strategy}");
    }
    tool.install(&python, &["alpha==2.0", "added"]);
    assert_eq!(seen(&python, &[("alpha", "alpha")])["alpha"], "2.0 2.0 1");
    let said = run(dir.join("bin/added-show"), &[] as &[&str]);
    assert_eq!(said.trim(), format!("1.0 {}", dir.display()), "{strategy}");
}

#[test]
fn paths_with_spaces_and_long_ones() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("mit Leerzeichen und Ümläuten");
    let long = folder.path().join("long/".repeat(40));
    let plain = folder.path().join("plain");
    let base = open(&virtualenv(&odd.join("base")));
    let before = snapshot(&base);
    for (strategy, tool) in ALL.into_iter().zip([Tool::Pip, Tool::Uv, Tool::Uv]) {
        for parent in [&odd, &long, &plain] {
            assert_works(&base, &parent.join(strategy.to_string()), strategy, tool);
        }
    }
    assert_untouched(&base, &before);
    // A long path needs a detour in its scripts, and a short one drops it again.
    let first = |dir: &Path| {
        let text = fs::read_to_string(dir.join("hardlink/bin/kept-show")).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(first(&long), "#!/bin/sh");
    assert_eq!(first(&plain), format!("#!{}", plain.join("hardlink/bin/python").display()));
}

#[test]
fn a_path_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let shared = shared_base();
    let base = &shared.base;
    let dir = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    let error = create(base, &dir, Strategy::Symlink).unwrap_err();
    assert!(matches!(error, Error::NotUtf8 { .. }), "{error:?}");
    assert!(!dir.exists());
}

#[test]
fn the_strategy_is_chosen_with_a_reason() {
    let shared = shared_base();
    let (base, before) = (&shared.base, &shared.before);
    let folder = tempfile::tempdir().unwrap();
    let choose = |sharing| Strategy::probe(base, folder.path(), sharing).unwrap();
    let choice = choose(Sharing::Allowed);
    // In a container, the folder for temporary files is on overlayfs.
    let expected = if run("stat", &["-f", "-c", "%T", folder.path().to_str().unwrap()])
        .starts_with("overlay")
    {
        (Strategy::Symlink, Reason::Overlayfs)
    } else {
        (Strategy::Hardlink, Reason::LinksWork)
    };
    assert_eq!((choice.strategy, choice.reason), expected);
    let full = choose(Sharing::Forbidden);
    assert_eq!((full.strategy, full.reason), (Strategy::Copy, Reason::FullIsolation));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of the trial is left");
    assert_untouched(base, before);
}

/// The leftovers of a killed process are then removed with the environment's folder.
#[test]
fn nothing_is_written_beside_an_environment() {
    let base = &shared_base().base;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("env");
    fs::create_dir(&dir).unwrap();
    // Any new or removed entry changes the time.
    let touched = || fs::metadata(folder.path()).unwrap().mtime_nsec();
    let before = touched();
    let choice = Strategy::probe(base, &dir, Sharing::Allowed).unwrap();
    create(base, &dir, choice.strategy).unwrap();
    assert_eq!(touched(), before);
}

/// `/dev/shm` is a file system of its own on every Linux.
#[test]
fn another_device() {
    let folder = tempfile::tempdir().unwrap();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(folder.path()), device(memory.path()), "the tests need two devices");
    let base = open(&virtualenv(&memory.path().join("base")));
    let before = snapshot(&base);

    let choice = Strategy::probe(&base, folder.path(), Sharing::Allowed).unwrap();
    assert_eq!((choice.strategy, choice.reason), (Strategy::Symlink, Reason::OtherDevice));
    for (strategy, tool) in [(Strategy::Symlink, Tool::Pip), (Strategy::Copy, Tool::Uv)] {
        assert_works(&base, &folder.path().join(strategy.to_string()), strategy, tool);
    }
    // An explicit strategy is not replaced by another one.
    let dir = folder.path().join("hardlink");
    let error = create(&base, &dir, Strategy::Hardlink).unwrap_err();
    assert!(matches!(error, Error::LinkRefused { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("symlink"));
    assert!(!dir.exists());
    assert_untouched(&base, &before);
}

/// Runs an ignored test in a mount namespace, in which its mounts end.
pub(crate) fn run_where_mounting_is_allowed(test: &str, dir: &Path) {
    let is_root = rustix::process::geteuid().is_root();
    run_test(&["unshare", if is_root { "-m" } else { "-Urm" }], test, dir);
}

#[test]
fn a_read_only_base() {
    let folder = tempfile::tempdir().unwrap();
    virtualenv(&folder.path().join("base"));
    run_where_mounting_is_allowed("places::inside_a_read_only_base", folder.path());
}

#[test]
#[ignore = "run by another test, where it may mount"]
fn inside_a_read_only_base() {
    let folder = given();
    let dir = folder.join("base");
    let text = dir.to_str().unwrap();
    run("mount", &["--bind", text, text]);
    run("mount", &["-o", "remount,bind,ro", text]);
    assert!(fs::write(dir.join("probe"), "").is_err(), "the base is not read-only");
    let base = open(&dir);
    let before = snapshot(&base);
    // The device is the same; only a trial shows that the mount differs.
    let choice = Strategy::probe(&base, &folder, Sharing::Allowed).unwrap();
    assert_eq!(choice.strategy, Strategy::Symlink);
    for (strategy, tool) in [(choice.strategy, Tool::Uv), (Strategy::Copy, Tool::Pip)] {
        assert_works(&base, &folder.join(strategy.to_string()), strategy, tool);
    }
    assert_untouched(&base, &before);
}

#[test]
fn a_base_on_overlayfs() {
    // A file system that can be the upper layer, which overlayfs itself cannot.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let merged = folder.path().join("merged");
    virtualenv(&merged.join("base"));
    fs::rename(merged, folder.path().join("lower")).unwrap();
    run_where_mounting_is_allowed("places::inside_an_overlay", folder.path());
}

#[test]
#[ignore = "run by another test, where it may mount"]
fn inside_an_overlay() {
    let folder = given();
    let layers = ["lower", "upper", "work", "merged"].map(|name| folder.join(name));
    for layer in &layers[1..] {
        fs::create_dir(layer).unwrap();
    }
    let [lower, upper, work, merged] = layers.map(|layer| layer.to_str().unwrap().to_owned());
    let options = format!("userxattr,lowerdir={lower},upperdir={upper},workdir={work}");
    run("mount", &["-t", "overlay", "overlay", "-o", &options, &merged]);
    let merged = PathBuf::from(merged);
    let base = open(&merged.join("base"));
    let before = snapshot(&base);
    let choice = Strategy::probe(&base, &merged.join("cache"), Sharing::Allowed).unwrap();
    assert_eq!((choice.strategy, choice.reason), (Strategy::Symlink, Reason::Overlayfs));
    assert_works(&base, &merged.join("cache/env"), choice.strategy, Tool::Uv);
    assert_untouched(&base, &before);
    // No file of the base has been copied up.
    assert!(!folder.join("upper/base").exists());
}

/// With `fs.protected_hardlinks`, a user cannot link files of others without write access.
#[test]
fn a_base_of_another_owner() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let system = Interpreter::describe(Path::new("/usr/bin/python3"), None).unwrap();
    let python = create_bare(&system, &dir).unwrap().python;
    Tool::Uv.install(&python, &["alpha==1.0", "kept"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
    let test = "places::inside_a_base_of_another_owner";
    if rustix::process::geteuid().is_root() {
        let unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        run_test(&unprivileged, test, folder.path());
    } else {
        // Root's files belong to another owner already.
        fs::remove_dir_all(&dir).unwrap();
        run_test(&["env"], test, folder.path());
    }
}

#[test]
#[ignore = "run by another test, as another user"]
fn inside_a_base_of_another_owner() {
    let folder = given();
    let dir = folder.join("base");
    let base = open(if dir.exists() { &dir } else { Path::new("/usr/bin/python3") });
    let choice = Strategy::probe(&base, &folder.join("theirs"), Sharing::Allowed).unwrap();
    let is_protected = fs::read_to_string("/proc/sys/fs/protected_hardlinks").unwrap();
    if is_protected.trim() == "1" {
        assert_eq!((choice.strategy, choice.reason), (Strategy::Symlink, Reason::LinkRefused));
        let error = create(&base, &folder.join("theirs/no"), Strategy::Hardlink).unwrap_err();
        assert!(matches!(error, Error::LinkRefused { .. }), "{error:?}");
    }
    let env = folder.join("theirs/env");
    let python = create(&base, &env, choice.strategy).unwrap().python;
    assert_eq!(
        run(&python, &["-c", "import sys; print(sys.prefix)"]).trim(),
        env.to_str().unwrap()
    );
}

/// Counts calls: after the stop, the walk ends, however much of the base is left.
#[test]
fn what_is_given_up_ends_at_once_and_leaves_nothing() {
    const FOLDERS: usize = 400;
    const ENOUGH: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let python = create_bare(host(), &folder.path().join("base")).unwrap().python;
    let of_base = site(&python);
    for number in 0..FOLDERS {
        let package = of_base.join(format!("package_{number}"));
        fs::create_dir(&package).unwrap();
        fs::write(package.join("__init__.py"), "").unwrap();
    }
    let base = open(&python);
    let dir = folder.path().join("env");
    let packages = base.interpreter().purelib_in(&dir);
    for strategy in ALL {
        let (asked, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = || {
            let count = fs::read_dir(&packages).map_or(0, Iterator::count);
            most.fetch_max(count, Ordering::Relaxed);
            asked.fetch_add(1, Ordering::Relaxed) >= ENOUGH
        };
        let error = create_unless(&base, &dir, strategy, &count).unwrap_err();
        assert!(matches!(error, Error::GivenUp), "{strategy}: {error:?}");
        assert!(!dir.exists(), "{strategy}");
        let most = most.into_inner();
        assert!(most > 0 && most < FOLDERS / 2, "{strategy}: {most} of {FOLDERS} were there");
    }
    create_unless(&base, &dir, Strategy::Copy, &|| false).unwrap();
    assert!(packages.join("package_1/__init__.py").is_file());
}
