//! Installing, replacing, resolving and checking.

use envspec::Tool;
use installer::{Deadline, Error, Package, Request, compile_bytecode};

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
        compile_bytecode(&python, &packaging("23.2"), Deadline::NEVER).unwrap();

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
        let compiled = compile_bytecode(&python, &outcome.added, Deadline::after(LIMIT)).unwrap();
        assert_eq!(environment.eval(count), compiled.to_string());
        assert_eq!(environment.eval(cached), compiled.to_string());
    }
}

#[test]
fn an_impossible_version_is_told_in_the_resolvers_words() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        let impossible = install(tool, &["packaging==99.9"]);
        let error = installer(tool, &python).install(&Request::new(&impossible, &python));
        let error = error.unwrap_err();
        let Error::Unsatisfiable { ref source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("packaging==99.9"), "{source}");
        assert_eq!(source.exit_code(), Some(1));
        assert_eq!(source.attempts(), 1);
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_misspelt_name_is_not_found() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        let misspelt = install(tool, &["packagin-g-curator-no-such"]);
        let error = installer(tool, &python).install(&Request::new(&misspelt, &python));
        match error.unwrap_err() {
            Error::NotFound { package, .. } => assert_eq!(package, "packagin-g-curator-no-such"),
            error => panic!("{error:?}"),
        }
    }
}
