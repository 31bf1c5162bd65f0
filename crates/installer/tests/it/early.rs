//! pip that starts before its environment has its packages: the outcome is that of an ordinary start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use envspec::{Install, Tool};
use installer::Request;

use crate::world::{Environment, eventually, install, pip, uv, wheel};

/// The folder of packages.
fn site(environment: &Environment) -> PathBuf {
    let lib = fs::read_dir(environment.root().join("lib")).expect("a file or folder that is there");
    lib.flatten().next().expect("a file or folder that is there").path().join("site-packages")
}

fn from_folder(wheels: &Path, requirements: &[&str]) -> Install {
    let mut install = install(Tool::Pip, requirements);
    install.tool_options =
        ["--no-index", "--find-links", wheels.to_str().expect("a file or folder that is there")]
            .map(str::to_owned)
            .into();
    install
}

/// The files below the folder of packages.
fn packages(environment: &Environment) -> BTreeMap<PathBuf, Vec<u8>> {
    let site = site(environment);
    let files = environment.snapshot().into_iter();
    let files =
        files.filter_map(|(path, bytes)| Some((path.strip_prefix(&site).ok()?.into(), bytes)));
    // It names the file of notes.
    files.filter(|(path, _): &(PathBuf, _)| !path.starts_with("_distutils_hack")).collect()
}

/// Has interpreters note whether they have pip already when they come to their folder of packages.
fn add_note(environment: &Environment, file: &str, line: &str) -> PathBuf {
    let note = environment.root().join("note");
    let hack = site(environment).join("_distutils_hack");
    fs::create_dir_all(&hack).expect("a file or folder that is there");
    let text = format!(
        "import sys\ndef add_shim():\n    open('{}', 'a').write(f\"{{'pip' in sys.modules}} \")\n",
        note.display()
    );
    fs::write(hack.join("__init__.py"), text).expect("a file or folder that is there");
    fs::write(site(environment).join(file), line).expect("a file or folder that is there");
    note
}

/// What was noted; Python comes to the folder twice as it starts.
fn noted(note: &Path) -> String {
    let text = fs::read_to_string(note).expect("a file or folder that is there");
    let words: BTreeSet<_> = text.split_whitespace().collect();
    Vec::from_iter(words).join(" ")
}

const OF_SETUPTOOLS: &str =
    "import os; enabled = True; enabled and __import__('_distutils_hack').add_shim(); \n";

#[test]
fn what_was_begun_installs_just_what_an_ordinary_start_does() {
    let wheels = tempfile::tempdir().unwrap();
    wheel(wheels.path(), "local", "1.0");
    wheel(wheels.path(), "local", "2.0");
    let wanted = from_folder(wheels.path(), &["local<2"]);
    let [early, usual] = [Environment::bare(), Environment::bare()];
    let tool = pip(&early.python());

    let request = Request::new(&wanted, &early.python());
    let begun = tool.begin(&request).expect("it is begun");
    let notes = [&early, &usual].map(|it| add_note(it, "distutils-precedence.pth", OF_SETUPTOOLS));
    let first = tool.install_begun(&request, Some(begun)).unwrap();
    let second = tool.install(&Request::new(&wanted, &usual.python())).unwrap();

    assert_eq!((first.added, first.removed), (second.added, second.removed));
    assert!(packages(&early) == packages(&usual));
    assert_eq!(
        notes.map(|note| noted(&note)),
        ["True", "False"],
        "it was begun early, and went on"
    );
}

#[test]
fn where_the_environment_has_a_say_in_how_python_starts_pip_starts_as_usual() {
    let wheels = tempfile::tempdir().unwrap();
    wheel(wheels.path(), "local", "1.0");
    let wanted = from_folder(wheels.path(), &["local"]);
    let tool = pip(&Environment::bare().python());
    let note = "import _distutils_hack; _distutils_hack.add_shim()\n";
    for (file, line) in [("other.pth", note), ("sitecustomize.py", note)] {
        let environment = Environment::bare();
        let request = Request::new(&wanted, &environment.python());
        let begun = tool.begin(&request).expect("it is begun");
        let note = add_note(&environment, file, line);
        let outcome = tool.install_begun(&request, Some(begun)).unwrap();
        assert_eq!(outcome.added.len(), 1, "{file}");
        assert_eq!(noted(&note), "False", "{file}");
    }
}

#[test]
fn what_was_begun_for_something_else_does_not_come_in() {
    let wheels = tempfile::tempdir().unwrap();
    wheel(wheels.path(), "local", "1.0");
    wheel(wheels.path(), "local", "2.0");
    let environment = Environment::bare();
    let tool = pip(&environment.python());
    let [old, new] = ["local==1.0", "local==2.0"].map(|it| from_folder(wheels.path(), &[it]));
    let begun = tool.begin(&Request::new(&old, &environment.python()));
    let request = Request::new(&new, &environment.python());
    tool.install_begun(&request, begun).unwrap();
    assert_eq!(environment.version_of("local"), "2.0");
    let request = Request::new(&old, &environment.python());
    let begun = tool.begin(&request);
    assert_eq!(tool.install_begun(&request, begun).unwrap().added.len(), 1);
    assert!(tool.install(&request).unwrap().is_unchanged());
}

#[test]
fn what_was_begun_and_is_not_wanted_leaves_nothing() {
    let environment = Environment::bare();
    let (python, wanted) = (environment.python(), install(Tool::Pip, &["local"]));
    let (before, begun) =
        (environment.snapshot(), pip(&python).begin(&Request::new(&wanted, &python)));
    assert!(begun.is_some());
    let is_there = || processes_of(&python) > 0;
    assert!(eventually(is_there));
    drop(begun);
    assert_eq!(processes_of(&python), 0);
    assert!(before == environment.snapshot(), "it wrote into the environment");
}

#[test]
fn what_may_change_until_then_is_not_begun() {
    let environment = Environment::bare();
    let python = environment.python();
    let folder = format!("local @ file://{}", environment.root().display());
    let begins = |tool: &installer::Installer, requirements: &[&str]| {
        let wanted = install(tool.tool(), requirements);
        tool.begin(&Request::new(&wanted, &python)).is_some()
    };
    assert!(!begins(&pip(&python), &[&folder]) && !begins(&pip(&python), &[]));
    assert!(!begins(&uv(&python), &["local"]), "it starts in milliseconds");
}

/// How many processes run this interpreter.
fn processes_of(python: &Path) -> usize {
    let text = python.to_str().expect("a file or folder that is there");
    let lines = fs::read_dir("/proc").expect("a file or folder that is there").flatten();
    let lines = lines.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
    lines.filter(|line| line.starts_with(text.as_bytes())).count()
}
