//! Where bases and environments lie: odd paths, other devices, read-only folders, other owners.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use venv_cache::testing::Snapshot;
use venv_cache::{Base, Error, Isolation, Reason, Strategy, create};

use crate::setup::{Tool, assert_untouched, open, run, seen, shared_base, snapshot, virtualenv};

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
    // A long path needs the detour in its scripts, and a plain one is freed of it again.
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
    let (base, _) = shared_base();
    let dir = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    let error = create(base, &dir, Strategy::Symlink).unwrap_err();
    assert!(matches!(error, Error::NotUtf8 { .. }), "{error:?}");
    assert!(!dir.exists());
}

#[test]
fn the_strategy_is_chosen_with_a_reason() {
    let (base, before) = shared_base();
    let folder = tempfile::tempdir().unwrap();
    let choose = |isolation| Strategy::probe(base, folder.path(), isolation).unwrap();
    let shared = choose(Isolation::Shared);
    assert_eq!((shared.strategy, shared.reason), (Strategy::Hardlink, Reason::LinksWork));
    let full = choose(Isolation::Full);
    assert_eq!((full.strategy, full.reason), (Strategy::Copy, Reason::FullIsolation));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of the trial is left");
    assert_untouched(base, before);
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

    let choice = Strategy::probe(&base, folder.path(), Isolation::Shared).unwrap();
    assert_eq!((choice.strategy, choice.reason), (Strategy::Symlink, Reason::OtherDevice));
    for (strategy, tool) in [(Strategy::Symlink, Tool::Pip), (Strategy::Copy, Tool::Uv)] {
        assert_works(&base, &folder.path().join(strategy.to_string()), strategy, tool);
    }
    // What was asked for by name is not replaced by something else.
    let dir = folder.path().join("hardlink");
    let error = create(&base, &dir, Strategy::Hardlink).unwrap_err();
    assert!(matches!(error, Error::LinkRefused { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("symlink"));
    assert!(!dir.exists());
    assert_untouched(&base, &before);
}

/// A folder that nobody can write to, for as long as this lives.
struct ReadOnly {
    dir: PathBuf,
    is_mounted: bool,
}

impl ReadOnly {
    fn new(dir: &Path) -> Self {
        let text = dir.to_str().expect("text");
        // Permissions do not stop root.
        let is_mounted = rustix::process::geteuid().is_root();
        if is_mounted {
            run("mount", &["--bind", text, text]);
            run("mount", &["-o", "remount,bind,ro", text]);
        } else {
            Self::set_writable(dir, false);
        }
        assert!(fs::write(dir.join("probe"), "").is_err(), "the folder is not read-only");
        Self { dir: dir.to_path_buf(), is_mounted }
    }

    fn set_writable(dir: &Path, writable: bool) {
        for entry in walkdir::WalkDir::new(dir).contents_first(true) {
            let entry = entry.expect("an entry");
            if !entry.file_type().is_symlink() {
                let mode = entry.metadata().expect("its mode").permissions().mode();
                let mode = if writable { mode | 0o200 } else { mode & !0o222 };
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))
                    .expect("to set it");
            }
        }
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if self.is_mounted {
            run("umount", &[self.dir.as_os_str()]);
        } else {
            Self::set_writable(&self.dir, true);
        }
    }
}

#[test]
fn a_read_only_base() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    virtualenv(&dir);
    let _read_only = ReadOnly::new(&dir);
    let base = open(&dir);
    let before = Snapshot::of(&dir).unwrap();
    let choice = Strategy::probe(&base, folder.path(), Isolation::Shared).unwrap();
    for (strategy, tool) in [(choice.strategy, Tool::Uv), (Strategy::Symlink, Tool::Pip)] {
        assert_works(&base, &folder.path().join(format!("{strategy}-{tool:?}")), strategy, tool);
    }
    assert_works(&base, &folder.path().join("copy"), Strategy::Copy, Tool::Uv);
    assert_untouched(&base, &before);
}
