//! A fingerprint changes with the installed packages, and with nothing else.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use venv_cache::{Base, Fingerprint, Strategy, create};

use crate::setup::{Tool, open, run, virtualenv};

fn base() -> (TempDir, Base, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let base = open(&virtualenv(&folder.path().join("base")));
    let site = base.interpreter().purelib().to_path_buf();
    (folder, base, site)
}

#[test]
fn installers_change_it() {
    for tool in [Tool::Pip, Tool::Uv] {
        let (_folder, base, _) = base();
        let mut seen = vec![*base.fingerprint()];
        let mut differs = |what: &str| {
            let now = base.fingerprint_now().unwrap();
            assert!(!seen.contains(&now), "{tool:?}: not seen: {what}");
            seen.push(now);
        };
        tool.install(base.python(), &["added"]);
        differs("added");
        tool.install(base.python(), &["alpha==2.0"]);
        differs("upgraded");
        tool.uninstall(base.python(), "gone");
        differs("removed");
        tool.uninstall(base.python(), "alpha");
        tool.install(base.python(), &["alpha==2.0"]);
        differs("installed again");
    }
}

#[test]
fn editables_and_paths_change_it() {
    let (_folder, base, site) = base();
    let mut seen = vec![*base.fingerprint()];
    let files = [
        ("__editable__.mine-1.0.pth", "/home/me/mine\n"),
        ("__editable___mine_1_0_finder.py", "MAPPING = {}\n"),
        ("mine.egg-link", "/home/me/mine\n."),
        ("single_module.py", "x = 1\n"),
    ];
    for (name, text) in files {
        for text in [text.to_owned(), format!("{text}# changed\n")] {
            fs::write(site.join(name), text).unwrap();
            let now = base.fingerprint_now().unwrap();
            assert!(!seen.contains(&now), "{name}");
            seen.push(now);
        }
    }
    for record in ["old-1.0.egg-info/PKG-INFO", "new-1.0.dist-info/METADATA"] {
        for text in ["1", "11"] {
            let file = site.join(record);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            let now = base.fingerprint_now().unwrap();
            assert!(!seen.contains(&now), "{record}");
            seen.push(now);
        }
    }
}

#[test]
fn use_does_not_change_it() {
    let (folder, base, site) = base();
    assert!(!site.join("__pycache__").exists());
    let before = base.fingerprint_now().unwrap();
    run(base.python(), &["-c", "import alpha, kept, gone"]);
    assert!(site.join("__pycache__").exists());
    assert_eq!(base.fingerprint_now().unwrap(), before, "bytecode");
    for strategy in [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy] {
        create(&base, &folder.path().join(strategy.to_string()), strategy).unwrap();
        assert_eq!(base.fingerprint_now().unwrap(), before, "{strategy}");
    }
    assert_eq!(*open(base.python()).fingerprint(), before, "opened again");
    assert_eq!(*open(base.interpreter().prefix()).fingerprint(), before, "opened by its folder");
}

#[test]
fn a_managed_base_goes_by_the_name_it_is_given() {
    let (_folder, base, _) = base();
    let name = Fingerprint::from_bytes([7; 32]);
    let managed = Base::managed(base.python(), None, name).unwrap();
    Tool::Uv.install(base.python(), &["added"]);
    assert_eq!(managed.fingerprint_now().unwrap(), name);
    assert_ne!(base.fingerprint_now().unwrap(), *base.fingerprint());
}
