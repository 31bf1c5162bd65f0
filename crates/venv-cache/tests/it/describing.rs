//! An interpreter is described by running it once; the answer is kept.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use venv_cache::{Error, Interpreter, create_bare};

use crate::setup::host;

/// Writes a file that runs as a program.
fn program(path: &Path, text: &str) {
    fs::write(path, text).expect("to write a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("to make it executable");
}

fn records(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn the_answer_is_kept_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("interpreters");
    // Two virtualenvs of one interpreter have one real path, and yet they are two.
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for dir in [&one, &two] {
        let python = create_bare(host(), dir).unwrap().python;
        let described = Interpreter::describe(&python, Some(&kept)).unwrap();
        assert_eq!(described.prefix(), dir);
        assert_eq!(described.base_prefix(), host().base_prefix());
        assert!(described.is_virtualenv());
        assert_eq!(described.site_dirs(), [described.purelib()]);
        assert_eq!(Interpreter::describe(dir, Some(&kept)).unwrap(), described);
    }
    assert_eq!(records(&kept).len(), 2);
}

#[test]
fn a_damaged_record_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("interpreters");
    let python = create_bare(host(), &folder.path().join("env")).unwrap().python;
    let described = Interpreter::describe(&python, Some(&kept)).unwrap();
    let record = records(&kept).pop().unwrap();
    for damage in ["", "{", "{\"unsupported\": 1}"] {
        fs::write(&record, damage).unwrap();
        assert_eq!(Interpreter::describe(&python, Some(&kept)).unwrap(), described);
        assert_ne!(fs::read_to_string(&record).unwrap(), damage);
    }
}

#[test]
fn a_record_is_believed_and_a_changed_virtualenv_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("interpreters");
    let dir = folder.path().join("env");
    let python = create_bare(host(), &dir).unwrap().python;
    Interpreter::describe(&python, Some(&kept)).unwrap();
    let record = records(&kept).pop().unwrap();
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace(host().version(), "3.99.0")).unwrap();
    assert_eq!(Interpreter::describe(&python, Some(&kept)).unwrap().version(), "3.99.0");

    let settings = fs::read_to_string(dir.join("pyvenv.cfg")).unwrap();
    let settings = settings.replace("packages = false", "packages = true");
    fs::write(dir.join("pyvenv.cfg"), settings).unwrap();
    let described = Interpreter::describe(&python, Some(&kept)).unwrap();
    assert_eq!(described.version(), host().version());
    assert!(described.site_dirs().len() > 1, "the system's packages are seen now");
}

#[test]
fn a_launcher_is_seen_through_and_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("interpreters");
    let python = create_bare(host(), &folder.path().join("env")).unwrap().python;
    let launcher = folder.path().join("python3");
    program(&launcher, &format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display()));
    let described = Interpreter::describe(&launcher, Some(&kept)).unwrap();
    assert_eq!(described.executable(), python);
    assert_eq!(records(&kept), [] as [PathBuf; 0], "it may lead elsewhere the next time");
}

#[test]
fn a_virtualenv_reached_by_a_link_has_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let python = create_bare(host(), &folder.path().join("env")).unwrap().python;
    symlink(folder.path().join("env"), folder.path().join("link")).unwrap();
    let described = Interpreter::describe(&folder.path().join("link"), None).unwrap();
    assert_eq!(described.executable(), python);
}

#[test]
fn chatter_at_start_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let python = create_bare(host(), &folder.path().join("env")).unwrap().python;
    let site = Interpreter::describe(&python, None).unwrap().purelib().to_path_buf();
    fs::write(
        site.join("chatter.pth"),
        "import sys; print('curator?'); print(1, file=sys.stderr)\n",
    )
    .unwrap();
    assert!(Interpreter::describe(&python, None).is_ok());
}

#[test]
fn describing_writes_no_bytecode() {
    let folder = tempfile::tempdir().unwrap();
    let python = create_bare(host(), &folder.path().join("env")).unwrap().python;
    let site = Interpreter::describe(&python, None).unwrap().purelib().to_path_buf();
    fs::write(site.join("started.py"), "").unwrap();
    fs::write(site.join("started.pth"), "import started\n").unwrap();
    Interpreter::describe(&python, None).unwrap();
    assert!(!site.join("__pycache__").exists());
}

#[test]
fn what_is_no_python_is_refused_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("python3");
    program(&path, "#!/bin/sh\necho 'cannot start today' >&2\nexit 3\n");
    let error = Interpreter::describe(&path, None).unwrap_err();
    assert!(matches!(error, Error::Describe { .. }));
    let text = error.to_string();
    assert!(text.contains("cannot start today") && text.contains('3'), "{text}");

    program(&path, "#!/bin/sh\necho 'curator-interpreter:{\"unsupported\": \"3.8.18\"}'\n");
    let error = Interpreter::describe(&path, None).unwrap_err();
    assert!(matches!(&error, Error::UnsupportedPython { version, .. } if version == "3.8.18"));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Interpreter::describe(&path, None).unwrap_err();
    assert!(matches!(error, Error::NoInterpreter { .. }));
    let error = Interpreter::describe(Path::new("no-such-python"), None).unwrap_err();
    assert!(matches!(error, Error::NoInterpreter { .. }));
}
