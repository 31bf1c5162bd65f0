//! Bases that are no virtualenv: an environment has the distributions of all their site folders.

use std::fs;
use std::path::Path;

use venv_cache::{Base, Interpreter, Kind, Strategy, create, create_bare};

use crate::setup::{Tool, assert_untouched, host, imports, open, run, seen, snapshot};

const NAMES: &str = "import importlib.metadata as m, json; \
    print(json.dumps(sorted({(d.metadata['Name'] or '').lower() for d in m.distributions()} - {''})))";

/// Every distribution of the base is in the environment, once, and everything in the environment
/// is found in the environment.
fn law(base: &Base) {
    let before: Vec<_> = base
        .interpreter()
        .site_dirs()
        .iter()
        .filter(|dir| dir.is_dir())
        .map(|dir| venv_cache::testing::Snapshot::of(dir).expect("to read a site folder"))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    for (strategy, tool) in [
        (Strategy::Hardlink, Tool::Pip),
        (Strategy::Symlink, Tool::Uv),
        (Strategy::Symlink, Tool::Pip),
    ] {
        let dir = folder.path().join(format!("{strategy}-{tool:?}"));
        let python = create(base, &dir, strategy).expect("an environment").python;
        let names = |python: &Path| run(python, &["-I", "-B", "-c", NAMES]);
        assert_eq!(names(&python), names(base.python()));
        tool.install(&python, &["alpha==1.0", "space_one"]);
        tool.install(&python, &["alpha==2.0"]);
        assert_eq!(seen(&python, &[("alpha", "alpha")])["alpha"], "2.0 2.0 1");
        assert!(imports(&python, "space.one"));
    }
    let site_dirs = base.interpreter().site_dirs().iter().filter(|dir| dir.is_dir());
    for (dir, before) in site_dirs.zip(before) {
        let after = venv_cache::testing::Snapshot::of(dir).expect("to read a site folder");
        let changes = before.difference(&after);
        assert!(changes.is_empty(), "the base has changed:\n{}", changes.join("\n"));
    }
}

#[test]
fn the_systems_python() {
    let base = open(Path::new("/usr/bin/python3"));
    assert_eq!(base.kind(), Kind::Installation);
    law(&base);
}

#[test]
fn a_python_of_ones_own() {
    // The interpreter that the machine's `python3` leads to: pyenv's, an unpacked one, or the
    // system's again.
    let base = open(host().base_executable());
    assert_eq!(base.kind(), Kind::Installation);
    let folder = tempfile::tempdir().unwrap();
    let choice = Strategy::probe(&base, folder.path(), venv_cache::Isolation::Shared).unwrap();
    let dir = folder.path().join("env");
    let python = create(&base, &dir, choice.strategy).unwrap().python;
    run(&python, &["-m", "pip", "--version"]);
    let pip = fs::read_to_string(dir.join("bin/pip3")).unwrap();
    assert!(pip.starts_with(&format!("#!{}\n", python.display())), "{pip}");
    assert!(run(dir.join("bin/pip3"), &["--version"]).contains(dir.to_str().unwrap()));
}

#[test]
fn a_virtualenv_with_the_systems_packages() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let system = Interpreter::describe(Path::new("/usr/bin/python3"), None).unwrap();
    create_bare(&system, &dir).unwrap();
    let settings = fs::read_to_string(dir.join("pyvenv.cfg")).unwrap();
    let settings = settings.replace("system-site-packages = false", "system-site-packages = true");
    fs::write(dir.join("pyvenv.cfg"), settings).unwrap();
    Tool::Uv.install(&dir.join("bin/python"), &["kept"]);
    let base = open(&dir);
    assert_eq!(base.kind(), Kind::Virtualenv);
    assert!(base.interpreter().site_dirs().len() > 1);
    law(&base);
}

/// A virtualenv that sees its installation's packages is gathered into one folder: its own
/// packages shadow the outer ones, and only one version is seen.
#[test]
fn a_virtualenv_that_sees_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("base");
    let python = create_bare(host(), &dir).unwrap().python;
    let outer = folder.path().join("outer");
    let outer_python = create_bare(host(), &outer).unwrap().python;
    Tool::Uv.install(&outer_python, &["alpha==1.0", "kept", "space_one"]);
    Tool::Uv.install(&python, &["alpha==2.0", "space_two"]);
    let outer_site = Interpreter::describe(&outer_python, None).unwrap().purelib().to_path_buf();
    let site = Interpreter::describe(&python, None).unwrap().purelib().to_path_buf();
    fs::write(outer_site.join("same.pth"), "/one\n").unwrap();
    fs::write(site.join("same.pth"), "/two\n").unwrap();
    // The outer one's packages are added as `include-system-site-packages` adds the system's.
    let hook = "import site, sys
OUTER = [PATH]
site.getsitepackages = lambda *given, inner=site.getsitepackages: inner(*given) + OUTER
sys.path += OUTER
";
    let path = format!("{:?}", outer_site.to_str().unwrap());
    fs::write(site.join("sitecustomize.py"), hook.replace("PATH", &path)).unwrap();

    let base = open(&python);
    assert_eq!(base.interpreter().site_dirs(), [site, outer_site]);
    let before = snapshot(&base);
    for strategy in [Strategy::Hardlink, Strategy::Symlink, Strategy::Copy] {
        let dir = folder.path().join(strategy.to_string());
        let python = create(&base, &dir, strategy).unwrap().python;
        let site = crate::setup::site(&python);
        fs::remove_file(site.join("sitecustomize.py")).unwrap();
        let all = [
            ("alpha", "alpha"),
            ("kept", "kept"),
            ("space_one", "space.one"),
            ("space_two", "space.two"),
        ];
        let there = seen(&python, &all);
        assert_eq!(there["alpha"], "2.0 2.0 1", "{strategy}");
        for name in ["kept", "space_one", "space_two"] {
            assert_eq!(there[name], "1.0 1.0 1", "{strategy}: {name}");
        }
        assert_eq!(
            run(dir.join("bin/alpha-show"), &[] as &[&str]).trim(),
            format!("2.0 {}", dir.display())
        );
        run(dir.join("bin/kept-show"), &[] as &[&str]);
        let paths =
            ["same.pth", "same.1.pth"].map(|name| fs::read_to_string(site.join(name)).unwrap());
        assert_eq!(paths, ["/two\n", "/one\n"]);
    }
    assert_untouched(&base, &before);
}
