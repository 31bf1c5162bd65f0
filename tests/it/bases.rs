//! Bases of every kind: each works, or fails with an error that says what to do.

use std::path::{Path, PathBuf};

use curator::{ExecutorExt, LocalExecutor, RunReport, RuntimeEnv};

use crate::support::{
    folder, fresh_cache, local, once, one_task, output, pipeline, python3, run, shared_cache,
    versions, virtualenv,
};

/// Runs a stage in the base and two over it, by pip and by uv; returns the report.
fn run_over(base: &Path, cache: &Path) -> RunReport {
    let stages = [
        versions("base_env", &["packaging"]),
        versions("by_pip", &["packaging"]).with_runtime_env(RuntimeEnv::pip(["packaging==23.2"])),
        versions("by_uv", &["packaging"]).with_runtime_env(RuntimeEnv::uv(["packaging==24.0"])),
    ];
    let executor = LocalExecutor::default().with_base(base.to_owned()).with_cache_dir(cache);
    let report = run(&executor, &pipeline(stages));
    assert_eq!(output(&report)["by_pip"]["packaging"], once("23.2"));
    assert_eq!(output(&report)["by_uv"]["packaging"], once("24.0"));
    report
}

#[test]
fn a_base_without_pip_needs_none() {
    let place = folder();
    let base = virtualenv(&place.path().join("base"), &["packaging==26.0"]);
    let report = run_over(&base, &shared_cache());
    assert_eq!(output(&report)["base_env"]["packaging"], once("26.0"));
    for stage in ["by_pip", "by_uv"] {
        let python = &report.environment_of(stage).unwrap().python;
        let scripts = python.parent().unwrap();
        assert!(!scripts.join("pip").exists() && !scripts.join("uv").exists(), "{stage}");
    }
}

#[test]
fn an_empty_base_will_do() {
    let place = folder();
    let base = virtualenv(&place.path().join("base"), &[]);
    let report = run_over(&base, &shared_cache());
    assert!(output(&report)["base_env"]["packaging"].is_null());
    assert!(report.environment_of("by_uv").unwrap().replaced.is_empty());
}

#[test]
fn a_base_with_pip_and_one_that_is_named_by_its_folder() {
    let place = folder();
    let dir = place.path().join("base");
    virtualenv(&dir, &["packaging==26.0", "pip==24.2"]);
    run_over(&dir, &shared_cache());
}

/// A folder that is mounted read-only onto itself until this is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// Returns `None` if this user may not mount.
    fn mount(dir: &Path) -> Option<Self> {
        let mount = |arguments: &[&str]| {
            let command =
                duct::cmd("mount", arguments.iter().chain([&dir.to_str().expect("text")]));
            command.stderr_null().unchecked().run().is_ok_and(|done| done.status.success())
        };
        let text = dir.to_str().expect("a path that is text");
        if !mount(&["--bind", text]) {
            return None;
        }
        let mounted = Self(dir.to_owned());
        mount(&["-o", "remount,ro,bind"]).then_some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // The removal of the folder reports the failure.
        drop(duct::cmd("umount", [&self.0]).stderr_null().unchecked().run());
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what was not tested must be told")]
fn a_base_that_is_read_only() {
    let place = folder();
    let dir = place.path().join("base");
    let base = virtualenv(&dir, &["packaging==26.0"]);
    let Some(mounted) = ReadOnly::mount(&dir) else {
        eprintln!("NOT TESTED: a read-only base, because this user may not mount");
        return;
    };
    assert!(std::fs::write(dir.join("file"), "").is_err());
    let report = run_over(&base, &shared_cache());
    assert_eq!(output(&report)["base_env"]["packaging"], once("26.0"));
    drop(mounted);
}

#[test]
fn a_base_on_another_device() {
    let place = tempfile::tempdir_in("/dev/shm").expect("/dev/shm should be writable");
    let base = virtualenv(&place.path().join("base"), &["packaging==26.0"]);
    let report = run_over(&base, &shared_cache());
    let strategy = report.environment_of("by_uv").unwrap().strategy.as_deref();
    assert_eq!(strategy, Some("symlink"));
}

/// Python of the system, marked as externally managed by Debian and Ubuntu.
#[test]
#[expect(clippy::print_stderr, reason = "what was not tested must be told")]
fn the_python_of_the_system() {
    let system = Path::new("/usr/bin/python3");
    if system.exists() {
        run_over(system, &shared_cache());
    } else {
        eprintln!("NOT TESTED: the system's Python, because there is no {}", system.display());
    }
}

/// The interpreter on `PATH`: a virtualenv's, the system's, or a shim of pyenv.
#[test]
fn the_python_of_the_path() {
    run_over(&python3(), &shared_cache());
}

#[test]
fn a_base_that_is_not_there_is_an_error_that_says_what_to_do() {
    let cache = fresh_cache();
    let no_python = folder();
    for base in [Path::new("/no/such/python"), no_python.path(), Path::new("/etc/hostname")] {
        let executor =
            LocalExecutor::default().with_base(base.to_owned()).with_cache_dir(cache.path());
        let stage = versions("stage", &[]).with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]));
        let error = executor.run(&pipeline([stage]), one_task()).unwrap_err().report();
        assert!(error.contains(base.to_str().unwrap()), "{error}");
        assert!(error.contains("\n\nhint: "), "{error}");
    }
}

#[test]
fn a_managed_base_without_packages_is_an_error_that_says_what_to_do() {
    let executor = local().with_base(RuntimeEnv::new().with_env_var("A", "1"));
    let error = executor.run(&pipeline([versions("stage", &[])]), one_task()).unwrap_err();
    assert!(error.report().contains("hint: name a package"), "{}", error.report());
}
