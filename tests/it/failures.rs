//! Packages that cannot be installed: the tool's words, the stage's name, advice, and no leftovers.

use std::time::Duration;

use curator::backends::Event;
use curator::{ExecutorExt, LocalExecutor, Report, RuntimeEnv};

use crate::support::{
    base, environments, folder, fresh_cache, is_alive, listing, one_task, pipeline, versions,
    watched,
};

/// Runs three stages, one of which cannot have its packages; returns the error's report.
fn fails(spec: RuntimeEnv) -> String {
    let cache = fresh_cache();
    let executor =
        LocalExecutor::default().with_base(base().to_owned()).with_cache_dir(cache.path());
    let good = versions("good", &["packaging"]);
    let stages = [
        versions("first", &["packaging"]),
        good.with_runtime_env(RuntimeEnv::uv(["packaging==24.0"])),
        versions("hopeless", &["packaging"]).with_runtime_env(spec),
    ];
    let (result, events) = watched(&executor, &pipeline(stages));
    let error = result.expect_err("a stage without its packages").report();
    assert!(error.contains("no environment for stage `hopeless`"), "{error}");
    assert!(!error.contains("`good`"), "{error}");

    // The environment of the other stage may exist, whole; that of this stage must not.
    for key in environments(cache.path()) {
        let manifest = cache.path().join("envs-v1").join(key).join("manifest.json");
        let manifest = std::fs::read_to_string(manifest).expect("only whole environments");
        assert!(manifest.contains("packaging==24.0"), "{manifest}");
    }
    assert_eq!(listing(&cache.path().join("trash")), [""; 0]);
    for event in events {
        let Event::WorkerReady { pid: Some(pid), .. } = event else { continue };
        assert!(!is_alive(pid), "a worker is still there: {pid}");
    }
    error
}

/// A `main`.
type Program = dyn Fn() -> Result<(), Report>;

/// Rust prints the error of a `main` by its `Debug`: here that is the report for people.
#[test]
fn an_error_that_ends_a_program_prints_its_report() {
    let cache = fresh_cache();
    let spec = RuntimeEnv::uv(["packagign-misspelt==1.0"]);
    let misspelt = || -> Result<(), Report> {
        let stage = versions("hopeless", &["packaging"]).with_runtime_env(spec);
        LocalExecutor::default()
            .with_base(base().to_owned())
            .with_cache_dir(cache.path())
            .run(&pipeline([stage]), one_task())?;
        Ok(())
    };
    let printed = format!("Error: {:?}", misspelt().expect_err("no such package"));
    assert!(printed.starts_with("Error: no environment for stage `hopeless`\n"), "{printed}");
    assert!(printed.contains("\n  caused by: `uv` found no package"), "{printed}");
    assert!(printed.contains("\n\nhint: check the spelling"), "{printed}");
    assert!(!printed.contains('{') && !printed.contains("Environment"), "{printed}");

    // For every error type of ours, also inside another error, and for errors of others.
    let wrong_spec =
        || -> Result<(), Report> { Ok(RuntimeEnv::from_json("{\"pipp\": []}").map(drop)?) };
    let no_code = || -> Result<(), Report> {
        Ok("stages"
            .parse::<curator::stage::PythonCode>()
            .map(drop)
            .map_err(std::io::Error::other)?)
    };
    let no_key =
        || -> Result<(), Report> { Ok("x".parse::<curator::venv_cache::Key>().map(drop)?) };
    let others: [(&Program, &str); 4] = [
        (&wrong_spec, "`pipp` is no field of a runtime_env\n\nhint: did you mean `pip`?"),
        (&no_code, "\n\nhint: write `file.py:Name`"),
        (&no_key, "\n\nhint: `curator env list`"),
        (&|| Err("a text")?, "a text"),
    ];
    for (program, words) in others {
        let printed = format!("{:?}", program().unwrap_err());
        assert!(printed.contains(words), "{printed}");
    }
}

#[test]
fn a_misspelt_package_by_pip() {
    let error = fails(RuntimeEnv::pip(["packagign-misspelt==1.0"]));
    assert!(error.contains("No matching distribution found for packagign-misspelt"), "{error}");
    assert!(error.contains("`pip` found no package"), "{error}");
    assert!(error.contains("hint: check the spelling"), "{error}");
}

#[test]
fn a_misspelt_package_by_uv() {
    let error = fails(RuntimeEnv::uv(["packagign-misspelt==1.0"]));
    assert!(error.contains("packagign-misspelt was not found in the package registry"), "{error}");
    assert!(error.contains("`uv` found no package"), "{error}");
    assert!(error.contains("hint: check the spelling"), "{error}");
}

#[test]
fn a_version_that_does_not_exist_by_pip() {
    let error = fails(RuntimeEnv::pip(["packaging==999.0"]));
    assert!(error.contains("packaging==999.0"), "{error}");
    assert!(error.contains("hint: "), "{error}");
}

#[test]
fn a_version_that_does_not_exist_by_uv() {
    let error = fails(RuntimeEnv::uv(["packaging==999.0"]));
    assert!(error.contains("packaging==999.0"), "{error}");
    assert!(error.contains("hint: loosen"), "{error}");
}

#[test]
fn requirements_that_exclude_each_other() {
    for spec in [
        RuntimeEnv::pip(["packaging==24.0"]).with_constraints(["packaging<24"]),
        RuntimeEnv::uv(["packaging==24.0"]).with_constraints(["packaging<24"]),
    ] {
        let error = fails(spec);
        assert!(error.contains("hint: loosen one of the requirements"), "{error}");
        assert!(error.contains("packaging<24"), "{error}");
    }
}

#[test]
fn a_set_up_that_takes_too_long_is_cut_off() {
    // An index that accepts the connection and never answers.
    let index = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = index.local_addr().expect("its number").port();
    let hangs = format!("--index-url http://127.0.0.1:{port}/simple");
    for spec in [RuntimeEnv::pip([&*hangs, "iniconfig"]), RuntimeEnv::uv([&*hangs, "iniconfig"])] {
        let error = fails(spec.with_setup_timeout(Duration::from_secs(2)));
        assert!(error.contains("hint: "), "{error}");
    }
}

#[test]
fn a_failure_does_not_wait_for_the_builds_of_others() {
    // The build of one stage's package never ends; the package of another one does not exist.
    let package = folder();
    let setup = "import time\ntime.sleep(600)\n";
    std::fs::write(package.path().join("setup.py"), setup).expect("a package that hangs");
    let hanging = format!("hangs @ file://{}", package.path().display());
    let cache = fresh_cache();
    let executor =
        LocalExecutor::default().with_base(base().to_owned()).with_cache_dir(cache.path());
    let stages = [
        versions("hangs", &[]).with_runtime_env(RuntimeEnv::uv([hanging])),
        versions("hopeless", &[]).with_runtime_env(RuntimeEnv::uv(["packagign-misspelt==1.0"])),
    ];
    let begun = std::time::Instant::now();
    let error = watched(&executor, &pipeline(stages)).0.expect_err("no environment").report();
    assert!(error.contains("no environment for stage `hopeless`"), "{error}");
    // This tests no speed: the other build would take ten minutes.
    assert!(begun.elapsed() < Duration::from_mins(5), "it waited for {:?}", begun.elapsed());
    assert!(environments(cache.path()).is_empty());
}
