//! The virtualenv that is made here works for Python, pip, uv and shells like any other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use venv_cache::{Error, Interpreter, create_bare};

use crate::setup::{Tool, host, run, seen};

#[test]
fn an_empty_one_is_like_that_of_venv() {
    let folder = tempfile::tempdir().unwrap();
    let ours = create_bare(host(), &folder.path().join("ours")).unwrap();
    let theirs = folder.path().join("theirs");
    run(host().executable(), &["-m", "venv", "--without-pip", theirs.to_str().unwrap()]);
    let program = "import sys, sysconfig, site, json
print(json.dumps([sys.version, sys.base_prefix, sys.path, sysconfig.get_paths(), site.getsitepackages(), site.ENABLE_USER_SITE]))";
    let said = |python: &Path, dir: &Path| {
        run(python, &["-I", "-c", program]).replace(dir.to_str().expect("text"), "DIR")
    };
    assert_eq!(
        said(&ours.python, &folder.path().join("ours")),
        said(&theirs.join("bin/python"), &theirs)
    );
    assert_eq!(
        fs::read_link(folder.path().join("ours/lib64")).ok(),
        fs::read_link(theirs.join("lib64")).ok()
    );
    assert_eq!(ours.strategy, None);
    assert!(ours.files < 10 && ours.own_bytes < 100_000, "{ours:?}");
}

#[test]
fn its_interpreter_is_the_real_one() {
    let folder = tempfile::tempdir().unwrap();
    let one = create_bare(host(), &folder.path().join("one")).unwrap().python;
    // A virtualenv made from a virtualenv does not depend on that one.
    let inner = Interpreter::describe(&one, None).unwrap();
    let two = create_bare(&inner, &folder.path().join("two")).unwrap().python;
    assert_eq!(fs::read_link(&two).unwrap(), fs::read_link(&one).unwrap());
    fs::remove_dir_all(folder.path().join("one")).unwrap();
    assert_eq!(
        run(&two, &["-c", "import sys; print(sys.base_prefix)"]).trim(),
        host().base_prefix().to_str().unwrap()
    );
}

#[test]
fn both_installers_work_in_it() {
    for tool in [Tool::Pip, Tool::Uv] {
        let folder = tempfile::tempdir().unwrap();
        let python = create_bare(host(), &folder.path().join("env")).unwrap().python;
        tool.install(&python, &["kept"]);
        assert_eq!(seen(&python, &[("kept", "kept")])["kept"], "1.0 1.0 1", "{tool:?}");
        let said = run(folder.path().join("env/bin/kept-show"), &[] as &[&str]);
        assert_eq!(said.trim(), format!("1.0 {}", folder.path().join("env").display()));
    }
}

#[test]
fn it_is_activated_and_deactivated() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("it's an ünusual $HOME");
    create_bare(host(), &dir).unwrap();
    let program = "before=$PATH; cd \"$1\"; . bin/activate; command -v python; echo \"$VIRTUAL_ENV\"; \
                   deactivate; test \"$PATH\" = \"$before\" && echo \"${VIRTUAL_ENV-unset}\"";
    for shell in ["sh", "bash"] {
        let said = run(shell, &["-euc", program, shell, dir.to_str().unwrap()]);
        let python = dir.join("bin/python");
        let expected = format!("{}\n{}\nunset\n", python.display(), dir.display());
        assert_eq!(said, expected, "{shell}");
    }
}

#[test]
fn an_occupied_folder_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.txt"), "mine").unwrap();
    let error = create_bare(host(), folder.path()).unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    create_bare(host(), &empty).unwrap();
    symlink("/nowhere", folder.path().join("link")).unwrap();
    assert!(create_bare(host(), &folder.path().join("link")).is_err());
}
