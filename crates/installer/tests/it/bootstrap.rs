//! Fetching a tool: once, in the version that was asked for, and whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use envspec::Tool;
use installer::{Deadline, Error, Installer, Tools};

use crate::world::{Environment, LIMIT, eventually, in_a_process, tools_dir, uv, without_uv};

fn locate(tool: Tool, version: &str, environment: &Environment) -> Result<Installer, Error> {
    // In a separate folder, so that other tests do not find a pip of another version than the
    // base's.
    let tools = Tools::new(tools_dir().join("pinned")).with_ambient(without_uv());
    tools.locate(tool, Some(version), &environment.python(), Deadline::after(LIMIT))
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn pip_version_is_honoured() {
    let environment = Environment::with_pip();
    for wanted in ["==24.1.2", "<24.2, >24"] {
        assert_eq!(locate(Tool::Pip, wanted, &environment).unwrap().version(), "24.1.2");
    }
    let own = environment.version_of("pip");
    let found = locate(Tool::Pip, &format!("=={own}"), &environment).unwrap();
    assert!(found.program().starts_with(environment.root()), "the base's own will do");
}

#[test]
fn a_marker_that_does_not_hold_asks_for_nothing() {
    let environment = Environment::with_pip();
    let found = locate(Tool::Pip, "==22.0.2; python_version < '3.0'", &environment).unwrap();
    assert_eq!(found.version(), environment.version_of("pip"));
    let found = locate(Tool::Pip, "==24.1.2; python_version > '3.0'", &environment).unwrap();
    assert_eq!(found.version(), "24.1.2");
}

#[test]
fn an_old_pip_and_an_old_uv_still_work() {
    for (tool, version) in [(Tool::Pip, "==21.3.1"), (Tool::Uv, "==0.4.0")] {
        let environment = Environment::bare();
        let python = environment.python();
        let old = locate(tool, version, &environment).unwrap();
        for (version, removed) in [("23.2", None), ("24.0", Some("23.2"))] {
            let wanted = crate::world::install(tool, &[&format!("packaging=={version}")]);
            let outcome = old.install(&installer::Request::new(&wanted, &python)).unwrap();
            assert_eq!(outcome.added, [installer::Package::new("packaging", version)]);
            let gone: Vec<_> = outcome.removed.iter().map(|old| old.version.as_str()).collect();
            assert_eq!(gone, Vec::from_iter(removed));
        }
    }
}

#[test]
fn an_impossible_version_is_missing_in_the_resolvers_words() {
    let environment = Environment::with_pip();
    let error = locate(Tool::Pip, "==9999", &environment).unwrap_err();
    assert!(matches!(error, Error::ToolMissing { source: Some(_), .. }), "{error:?}");
    assert!(error.transcript().unwrap().to_string().contains("pip==9999"), "{error:?}");
}

#[test]
fn a_uv_that_is_too_old_or_broken_is_passed_over() {
    let environment = Environment::bare();
    let fetched = uv(&environment.python());
    let bin = tempfile::tempdir().unwrap();
    for script in ["#!/bin/sh\necho uv 0.1.0\n", "#!/bin/sh\nexit 3\n", "no program"] {
        let fake = bin.path().join("uv");
        fs::write(&fake, script).unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
        let ambient = without_uv();
        let path = ambient.variable("PATH").unwrap().to_owned();
        let folders = std::iter::once(bin.path().to_owned()).chain(std::env::split_paths(&path));
        let ambient = ambient.with_variable("PATH", std::env::join_paths(folders).unwrap());
        let tools = Tools::new(tools_dir()).with_ambient(ambient);
        let found = tools.locate(Tool::Uv, None, &environment.python(), Deadline::NEVER).unwrap();
        assert_eq!(found.program(), fetched.program(), "{script}");
    }
    let ambient = without_uv().with_variable("CURATOR_UV", fetched.program());
    let elsewhere = tempfile::tempdir().unwrap();
    let tools = Tools::new(elsewhere.path().join("none")).with_ambient(ambient);
    let found = tools.locate(Tool::Uv, None, &environment.python(), Deadline::NEVER).unwrap();
    assert_eq!(found.program(), fetched.program(), "the operator's choice comes first");
    assert_eq!(entries(elsewhere.path()), Vec::<String>::new(), "nothing was fetched");
}

#[test]
fn without_a_way_to_fetch_it_uv_is_missing_with_a_hint() {
    let environment = Environment::bare();
    let tools = tempfile::tempdir().unwrap();
    let ambient = without_uv().with_variable("PATH", "/nowhere").with_variable("PIP_NO_INDEX", "1");
    let ambient = ambient.with_variable("PIP_FIND_LINKS", "");
    let tools = Tools::new(tools.path()).with_ambient(ambient);
    let error = tools.locate(Tool::Uv, None, &environment.python(), Deadline::after(LIMIT));
    let error = error.unwrap_err();
    assert!(matches!(error, Error::ToolMissing { tool: Tool::Uv, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("CURATOR_UV"));
    assert_eq!(entries(tools.dir()), ["bootstrap.lock"]);
}

#[test]
#[ignore = "runs in a process of its own"]
fn a_process_that_needs_uv() {
    let tools = std::env::var_os("TEST_TOOLS").unwrap();
    let base = std::env::var_os("TEST_PYTHON").unwrap();
    let tools = Tools::new(tools).with_ambient(without_uv());
    let uv = tools.locate(Tool::Uv, None, base.as_ref(), Deadline::after(LIMIT)).unwrap();
    assert!(uv.program().starts_with(tools.dir()));
}

fn process(tools: &Path, python: &Path) -> duct::Expression {
    in_a_process("bootstrap::a_process_that_needs_uv")
        .env("TEST_TOOLS", tools)
        .env("TEST_PYTHON", python)
        .stdout_capture()
        .unchecked()
}

#[test]
fn eight_processes_fetch_once_even_after_killed_ones() {
    let environment = Environment::bare();
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");

    for delay in [0, 300, 900] {
        let victim = process(&tools, &environment.python()).start().unwrap();
        let is_made =
            || tools.is_dir() && entries(&tools).iter().any(|name| name.starts_with(".new-"));
        assert!(eventually(is_made), "a folder is begun");
        std::thread::sleep(Duration::from_millis(delay));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let is_idle = || !processes_naming(&tools);
        assert!(eventually(is_idle), "the tool that it ran is gone too");
    }
    let names = entries(&tools);
    assert!(!names.iter().any(|name| name.starts_with("uv-")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with(".new-")), "{names:?}");

    // An interpreter that notes its arguments.
    let (log, python) = (tools.with_extension("log"), tools.with_extension("py"));
    let real = environment.python();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\nexec '{}' \"$@\"\n",
        log.display(),
        real.display()
    );
    fs::write(&python, script).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let running: Vec<_> = (0..8).map(|_| process(&tools, &python).start().unwrap()).collect();
    for handle in running {
        let output = handle.wait().unwrap();
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && words.contains("1 passed"), "{words}");
    }
    let names = entries(&tools);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0] == "bootstrap.lock" && names[1].starts_with("uv-"), "{names:?}");
    let fetched = fs::read_to_string(&log).unwrap().matches("install --no-deps").count();
    assert_eq!(fetched, 1);
}

/// Returns whether any process has this path in its command line.
fn processes_naming(path: &Path) -> bool {
    let needle = path.to_str().expect("a path in UTF-8");
    let processes = fs::read_dir("/proc").expect("the process table").flatten();
    processes.map(|entry| entry.path().join("cmdline")).any(|file| {
        fs::read(file).is_ok_and(|line| String::from_utf8_lossy(&line).contains(needle))
    })
}
