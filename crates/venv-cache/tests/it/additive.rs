//! Law: every module of the base can be imported in an environment over it, unless a package
//! replaces it. Of a replaced package, the module, `importlib.metadata.version` and
//! `distributions()` show one version only. The base stays byte for byte the same, whatever pip and
//! uv do to the environment.

use std::path::Path;

use venv_cache::{Strategy, create};

use crate::setup::{Tool, assert_untouched, imports, run, seen, shared_base, site};

fn law(strategy: Strategy, tool: Tool) {
    let shared = shared_base();
    let (base, before) = (&shared.base, &shared.before);
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("env");
    let created = create(base, &dir, strategy).expect("an environment");
    let python = created.python.as_path();
    assert_eq!(created.strategy, Some(strategy));
    assert_eq!(python, dir.join("bin/python"));

    // A new environment sees the base's packages in its own folder.
    let all = [
        ("alpha", "alpha"),
        ("kept", "kept"),
        ("gone", "gone"),
        ("added", "added"),
        ("space_one", "space.one"),
        ("space_two", "space.two"),
    ];
    let there = seen(python, &all);
    for name in ["alpha", "kept", "gone", "space_one"] {
        assert_eq!(there[name], "1.0 1.0 1", "{name}");
    }
    assert_eq!(there["added"], "- - 0");
    assert_script(&dir, "alpha-show", "1.0");
    assert_script(&dir, "kept-show", "1.0");
    assert!(dir.join("share/alpha/note.txt").is_file());

    // Replaced, added, removed.
    tool.install(python, &["alpha==2.0", "added", "space_two"]);
    tool.uninstall(python, "gone");
    let there = seen(python, &all);
    assert_eq!(there["alpha"], "2.0 2.0 1");
    assert_eq!(there["gone"], "- - 0");
    for name in ["kept", "added", "space_one", "space_two"] {
        assert_eq!(there[name], "1.0 1.0 1", "{name}");
    }
    for module in ["alpha.new", "alpha"] {
        assert!(imports(python, module), "{module}");
    }
    for module in ["alpha.old", "alpha.deep", "alpha_extra", "gone"] {
        assert!(!imports(python, module), "{module} of the replaced version is left");
    }
    assert_script(&dir, "alpha-show", "2.0");
    assert_script(&dir, "added-show", "1.0");
    assert!(!dir.join("bin/alpha-old").exists());
    assert!(!dir.join("share/alpha/note.txt").exists());

    // And back, by removal and installation.
    tool.install(python, &["alpha==1.0", "gone"]);
    tool.uninstall(python, "space_one");
    assert_eq!(seen(python, &all)["alpha"], "1.0 1.0 1");
    assert!(imports(python, "alpha.old") && !imports(python, "alpha.new"));

    // Bytecode is the environment's own.
    let cached = site(python).join("alpha/__pycache__");
    assert!(cached.read_dir().expect("bytecode in the environment").next().is_some());
    assert_untouched(base, before);
}

fn assert_script(dir: &Path, name: &str, version: &str) {
    let said = run(dir.join("bin").join(name), &[] as &[&str]);
    assert_eq!(said.trim(), format!("{version} {}", dir.display()), "{name}");
}

#[test]
fn hardlink_with_pip() {
    law(Strategy::Hardlink, Tool::Pip);
}

#[test]
fn hardlink_with_uv() {
    law(Strategy::Hardlink, Tool::Uv);
}

#[test]
fn symlink_with_pip() {
    law(Strategy::Symlink, Tool::Pip);
}

#[test]
fn symlink_with_uv() {
    law(Strategy::Symlink, Tool::Uv);
}

#[test]
fn copy_with_pip() {
    law(Strategy::Copy, Tool::Pip);
}

#[test]
fn copy_with_uv() {
    law(Strategy::Copy, Tool::Uv);
}
