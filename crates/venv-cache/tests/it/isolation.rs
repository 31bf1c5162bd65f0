//! Law: normal use of an environment changes no byte of the base: bytecode, new files, deleted
//! files, replaced files. The one exception is a program that edits an installed file in place;
//! only `Copy` protects the base from it.

use std::fs;
use std::io::Write;
use std::path::Path;

use venv_cache::{Strategy, create};

use crate::setup::{assert_untouched, open, run, shared_base, site, snapshot, virtualenv};

const ALL: [Strategy; 3] = [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy];

#[test]
fn use_of_an_environment_leaves_the_base_alone() {
    let shared = shared_base();
    let (base, before) = (&shared.base, &shared.before);
    for strategy in ALL {
        let folder = tempfile::tempdir().unwrap();
        let python = create(base, &folder.path().join("env"), strategy).unwrap().python;
        let site = site(&python);

        run(&python, &["-c", "import alpha, kept, gone, space.one"]);
        // `compileall -f` refuses to replace a `.pyc` that is a link, and says so.
        let force: &[&str] = if strategy == Strategy::Symlink { &[] } else { &["-f"] };
        let kept = site.join("kept");
        let compile = ["-I", "-m", "compileall", "-q", kept.to_str().unwrap()];
        run(&python, &[&compile, force].concat());
        fs::write(site.join("kept/new.txt"), "new").unwrap();
        fs::remove_file(site.join("gone.py")).unwrap();
        fs::write(site.join("kept/temporary"), "replaced").unwrap();
        fs::rename(site.join("kept/temporary"), site.join("kept/data.txt")).unwrap();
        fs::remove_dir_all(site.join("alpha")).unwrap();

        assert_untouched(base, before);
    }
}

#[test]
fn an_edit_in_place_reaches_the_base_unless_files_are_copied() {
    for strategy in ALL {
        let folder = tempfile::tempdir().unwrap();
        let base = open(&virtualenv(&folder.path().join("base")));
        let before = snapshot(&base);
        let python = create(&base, &folder.path().join("env"), strategy).unwrap().python;
        append(&site(&python).join("kept/data.txt"));
        let is_shared = !before.difference(&snapshot(&base)).is_empty();
        assert_eq!(is_shared, strategy != Strategy::Copy, "{strategy}");
    }
}

#[test]
fn what_has_to_differ_is_never_shared() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&virtualenv(&folder.path().join("base")));
    fs::write(base.interpreter().purelib().join("paths.pth"), "/nowhere\n").unwrap();
    fs::write(base.interpreter().prefix().join(".lock"), "").unwrap();
    let before = snapshot(&base);
    for strategy in ALL {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        // Environments that shared uv's lock would wait for each other.
        assert!(!dir.join(".lock").exists(), "{strategy}");
        append(&site(&python).join("paths.pth"));
        for own in ["bin/kept-show", "bin/activate", "pyvenv.cfg"] {
            append(&dir.join(own));
        }
        assert_untouched(&base, &before);
    }
}

#[test]
fn bytecode_of_the_base_stays_valid() {
    let folder = tempfile::tempdir().unwrap();
    let base = open(&virtualenv(&folder.path().join("base")));
    run(base.python(), &["-c", "import kept"]);
    for strategy in ALL {
        let python =
            create(&base, &folder.path().join(strategy.to_string()), strategy).unwrap().python;
        let said = run(&python, &["-v", "-c", "import kept; print(kept.__cached__)"]);
        let cached = said.lines().last().unwrap();
        let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let own = modified(Path::new(cached));
        let inside = site(&python);
        let relative = Path::new(cached).strip_prefix(&inside).unwrap();
        assert_eq!(own, modified(&base.interpreter().purelib().join(relative)), "{strategy}");
    }
}

fn append(file: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(file).expect("to open a file");
    file.write_all(b"# edited in place\n").expect("to write");
}
