//! Failures are reported by kind, in the tool's words, and without credentials.

use std::error::Error as _;

use envspec::Tool;
use installer::{Error, Request};

use crate::server::Server;
use crate::world::{Environment, install, installer, requirement_of, source_tree};

const TOOLS: [Tool; 2] = [Tool::Pip, Tool::Uv];

fn error_of(tool: Tool, requirements: &[&str], change: impl Fn(&mut envspec::Install)) -> Error {
    let environment = Environment::bare();
    let python = environment.python();
    let mut install = install(tool, requirements);
    change(&mut install);
    let outcome = installer(tool, &python).install(&Request::new(&install, &python));
    outcome.expect_err("it fails")
}

/// Returns every text that may be printed of an error.
fn all_that_is_said(error: &Error) -> String {
    let mut said = format!("{error:?} {error} {:?}", error.transcript());
    let mut source = error.source();
    while let Some(cause) = source {
        said.push_str(&cause.to_string());
        source = cause.source();
    }
    said
}

#[test]
fn an_impossible_version_is_told_in_the_resolvers_words() {
    for tool in TOOLS {
        let error = error_of(tool, &["packaging==99.9"], |_| {});
        let Error::Unsatisfiable { ref source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("packaging==99.9"), "{source}");
        assert_eq!((source.exit_code(), source.attempts()), (Some(1), 1));
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_misspelt_name_is_not_found() {
    for tool in TOOLS {
        match error_of(tool, &["packagin-g-no-such-name"], |_| {}) {
            Error::NotFound { package, .. } => assert_eq!(package, "packagin-g-no-such-name"),
            error => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_broken_build_is_told_with_its_last_words() {
    for tool in TOOLS {
        let tree = source_tree("raise RuntimeError('no compiler ' + 'today')");
        let error = error_of(tool, &[&requirement_of(&tree)], |_| {});
        let Error::BuildFailed { package: Some(package), source, .. } = error else {
            panic!("{error:?}")
        };
        // pip does not know the name yet, and prints the folder.
        let folder = tree.path().to_str().unwrap();
        assert!(package.starts_with("local") || package == folder, "{package}");
        assert!(source.output().contains("RuntimeError: no compiler today"), "{source}");
    }
}

#[test]
fn what_is_held_is_named_by_the_resolver() {
    for tool in TOOLS {
        let environment = Environment::bare();
        let python = environment.python();
        let wanted = install(tool, &["packaging==24.0"]);
        let held = ["packaging==23.2".to_owned()];
        let request = Request::new(&wanted, &python).with_held(&held);
        let error = installer(tool, &python).install(&request).unwrap_err();
        let Error::Unsatisfiable { source, .. } = error else { panic!("{error:?}") };
        let words = source.to_string();
        assert!(words.contains("24.0") && words.contains("23.2"), "{words}");
    }
}

#[test]
fn an_index_that_fails_is_asked_again_and_then_told() {
    for tool in TOOLS {
        let server = Server::answering("503 Service Unavailable");
        let error = error_of(tool, &["packaging==24.0"], |install| {
            install.tool_options = vec!["--index-url".to_owned(), server.url("")];
            for (name, value) in
                [("PIP_RETRIES", "1"), ("UV_HTTP_RETRIES", "0"), ("PIP_FIND_LINKS", "")]
            {
                install.build_env.insert(name.to_owned(), value.to_owned());
            }
        });
        let Error::Network { transient: true, ref source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.attempts(), 3, "{source}");
        assert!(server.requests().len() >= 3);
    }
}

#[test]
fn credentials_reach_the_index_and_nothing_else() {
    for tool in TOOLS {
        let server = Server::answering("404 Not Found");
        let error = error_of(tool, &["packaging==24.0"], |install| {
            let url = server.url("me:hunter22@");
            install.tool_options = vec!["--index-url".to_owned(), url];
            install.build_env.insert("PIP_FIND_LINKS".to_owned(), String::new());
        });
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        let requests = server.requests().join("").to_lowercase();
        assert!(requests.contains("authorization: basic bwu6ahvudgvymji="), "{requests}");
        let said = all_that_is_said(&error);
        assert!(!said.contains("hunter22"), "{said}");
    }
}

#[test]
fn pip_has_no_overrides() {
    let error = error_of(Tool::Pip, &["packaging==24.0"], |install| {
        install.overrides = vec!["packaging==23.2".parse().expect("a requirement")];
    });
    assert_eq!(error.to_string(), "`pip` has no overrides");
    assert_eq!(error.hint().as_deref(), Some("ask for `uv` instead of `pip`"));
}
