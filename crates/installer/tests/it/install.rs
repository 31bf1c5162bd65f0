//! Installing, replacing, resolving and checking.

use envspec::Tool;
use installer::{Deadline, Package, Request, compile_bytecode};

use crate::world::{Environment, LIMIT, install, installer};

const TOOLS: [Tool; 2] = [Tool::Pip, Tool::Uv];

fn packaging(version: &str) -> Vec<Package> {
    vec![Package::new("packaging", version)]
}

#[test]
fn what_comes_and_goes_is_reported() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        let installer = installer(tool, &python);
        let old = install(tool, &["packaging==23.2"]);
        let new = install(tool, &["packaging==24.0"]);

        let first = installer.install(&Request::new(&old, &python)).unwrap();
        assert_eq!((first.added, first.removed), (packaging("23.2"), vec![]), "{tool:?}");
        let second = installer.install(&Request::new(&new, &python)).unwrap();
        assert_eq!((second.added, second.removed), (packaging("24.0"), packaging("23.2")));
        let third = installer.install(&Request::new(&new, &python)).unwrap();
        assert!(third.is_unchanged(), "{third:?}");

        assert_eq!(environment.version_of("packaging"), "24.0");
        let others = "sorted(d.name for d in m.distributions() if d.name != 'packaging')";
        assert_eq!(environment.eval(others), "[]", "neither tool is in the environment");
    }
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    for tool in TOOLS {
        let environment = Environment::with_pip();
        let python = environment.python();
        let installer = installer(tool, &python);
        let old = install(tool, &["packaging==23.2"]);
        installer.install(&Request::new(&old, &python)).unwrap();
        compile_bytecode(&python, &packaging("23.2"), None, Deadline::NEVER).unwrap();

        let before = environment.snapshot();
        let new = install(tool, &["packaging==24.0"]);
        let plan = installer.resolve(&Request::new(&new, &python)).unwrap();
        assert_eq!((plan.added, plan.removed), (packaging("24.0"), packaging("23.2")), "{tool:?}");
        assert!(before == environment.snapshot(), "{tool:?} changed the environment");
    }
}

#[test]
fn what_was_added_is_compiled() {
    let environment = Environment::bare();
    let python = environment.python();
    for tool in TOOLS {
        let version = if tool == Tool::Pip { "23.2" } else { "24.0" };
        let wanted = install(tool, &[&format!("packaging=={version}")]);
        let outcome = installer(tool, &python).install(&Request::new(&wanted, &python)).unwrap();
        let count = "sum(str(f).endswith('.py') for f in m.files('packaging'))";
        let cached = "sum(__import__('os').path.exists(__import__('importlib.util').util.cache_from_source(str(f.locate()))) for f in m.files('packaging') if str(f).endswith('.py'))";
        assert_eq!(environment.eval(cached), "0", "{tool:?} leaves compiling to us");
        let compiled =
            compile_bytecode(&python, &outcome.added, None, Deadline::after(LIMIT)).unwrap();
        assert_eq!(environment.eval(count), compiled.to_string());
        assert_eq!(environment.eval(cached), compiled.to_string());
    }
}

#[test]
fn an_override_replaces_what_a_requirement_asks_for() {
    let environment = Environment::bare();
    let python = environment.python();
    let mut wanted = install(Tool::Uv, &["packaging>=24.0"]);
    wanted.overrides = vec!["packaging==23.2".parse().unwrap()];
    let outcome = installer(Tool::Uv, &python).install(&Request::new(&wanted, &python)).unwrap();
    assert_eq!(outcome.added, packaging("23.2"));
}

#[test]
fn a_constraint_holds_without_asking_for_the_package() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        let mut wanted = install(tool, &["packaging"]);
        wanted.constraints = vec!["packaging<24".parse().unwrap(), "six==1.16.0".parse().unwrap()];
        let request = Request::new(&wanted, &python);
        let outcome = installer(tool, &python).install(&request).unwrap();
        assert_eq!(outcome.added, packaging("23.2"), "{tool:?}");
    }
}

#[test]
fn conflicts_are_listed_alike_by_both_tools() {
    let environment = Environment::bare();
    let python = environment.python();
    let mut wanted = install(Tool::Uv, &["requests==2.31.0", "urllib3==1.20"]);
    wanted.tool_options = vec!["--no-deps".to_owned()];
    let uv = installer(Tool::Uv, &python);
    uv.install(&Request::new(&wanted, &python)).unwrap();
    let before = environment.snapshot();
    let mut told = Vec::new();
    for tool in TOOLS {
        let conflicts =
            installer(tool, &python).conflicts(&python, Deadline::after(LIMIT)).unwrap();
        assert!(conflicts.iter().all(|conflict| conflict.package == "requests"), "{conflicts:?}");
        told.push(conflicts.iter().map(|conflict| conflict.installed.clone()).collect::<Vec<_>>());
        told.last_mut().unwrap().sort();
    }
    assert_eq!(told[0], [None, None, None, Some("1.20".to_owned())]);
    assert_eq!(told[0], told[1]);
    assert!(before == environment.snapshot(), "checking changes nothing");
}

#[test]
fn a_python_that_is_no_virtualenv_can_be_planned_against() {
    let python = which::which("python3").unwrap();
    for tool in TOOLS {
        let wanted = install(tool, &["six==1.15.0"]);
        let plan = installer(tool, &python).resolve(&Request::new(&wanted, &python)).unwrap();
        assert_eq!(plan.added, [Package::new("six", "1.15.0")]);
    }
}

#[test]
fn copies_share_nothing_with_uvs_cache() {
    use std::os::unix::fs::MetadataExt;
    for wish in [None, Some("hardlink"), Some("symlink")] {
        let environment = Environment::bare();
        let python = environment.python();
        let mut wanted = install(Tool::Uv, &["packaging==24.0"]);
        if let Some(wish) = wish {
            wanted.build_env.insert("UV_LINK_MODE".to_owned(), wish.to_owned());
        }
        installer(Tool::Uv, &python).install(&Request::new(&wanted, &python)).unwrap();
        let file = environment.eval("__import__('packaging').__file__");
        let meta = std::fs::symlink_metadata(file.trim()).unwrap();
        assert!(meta.is_file() && meta.nlink() == 1, "{wish:?}: {meta:?}");
    }
}
