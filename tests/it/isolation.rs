//! Law 2: building and using an environment changes no byte of the base or of another environment.

use std::path::Path;

use curator::stage::Isolation;
use curator::venv_cache::testing::Snapshot;
use curator::{LocalExecutor, PythonStage, RuntimeEnv};
use serde_json::json;

use crate::support::{
    STAGES, dir_of, environment, folder, fresh_cache, output, pipeline, run, share_tools,
    uncompiled_virtualenv, uv, versions,
};

/// Runs the vandal in environments made by pip and by uv, with every kind of change to the base's
/// files, and compares the base and a neighbour before and after.
fn vandals_change_their_own_environment_alone(strategy: &str, cache: &Path, isolation: Isolation) {
    let place = folder();
    // Without bytecode, so that imports try to write some.
    let packages = ["pip==24.2", "packaging==26.0", "six==1.17.0", "idna==3.7", "tqdm==4.67.1"];
    let (python, _) = uncompiled_virtualenv(&place.path().join("base"), &packages);
    let executor = LocalExecutor::default().with_base(python.clone()).with_cache_dir(cache);
    let neighbour = versions("neighbour", &["packaging"])
        .with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]))
        .with_isolation(isolation);
    let report = run(&executor, &pipeline([neighbour]));
    assert_eq!(environment(&report, "neighbour").strategy.as_deref(), Some(strategy));
    let neighbour_dir = dir_of(environment(&report, "neighbour"));

    let base_before = snapshot(&place.path().join("base"));
    let neighbour_before = snapshot(&neighbour_dir);
    for (name, spec) in [
        ("by_pip", RuntimeEnv::pip(["packaging==23.2", "iniconfig==2.0.0"])),
        ("by_uv", RuntimeEnv::uv(["packaging==23.1", "iniconfig==2.0.0"])),
    ] {
        let uv = uv();
        let installer =
            if name == "by_pip" { "pip" } else { uv.to_str().expect("a path that is text") };
        let vandal = PythonStage::from_file(STAGES, "Vandal")
            .with_args(
                json!({ "installer": installer, "edits_in_place": isolation == Isolation::Full }),
            )
            .with_name(name)
            .with_runtime_env(spec)
            .with_isolation(isolation);
        let report = run(&executor, &pipeline([vandal]));
        assert_eq!(output(&report)["idna"], "3.6\n");
        let environment = environment(&report, name);
        assert_eq!(environment.strategy.as_deref(), Some(strategy));
        assert_eq!(environment.replaced, ["packaging==26.0"]);
        assert_eq!(output(&report)["prefix"], json!(dir_of(environment)));

        let changes = base_before.difference(&snapshot(&place.path().join("base")));
        assert!(changes.is_empty(), "{strategy}, {name}, the base: {changes:#?}");
        let changes = neighbour_before.difference(&snapshot(&neighbour_dir));
        assert!(changes.is_empty(), "{strategy}, {name}, the neighbour: {changes:#?}");
    }
}

fn snapshot(dir: &Path) -> Snapshot {
    Snapshot::of(dir).expect("a readable tree")
}

#[test]
fn with_hard_links_the_base_stays_as_it_is() {
    let cache = fresh_cache();
    vandals_change_their_own_environment_alone("hardlink", cache.path(), Isolation::Shared);
}

/// Links are chosen if the cache is on another device than the base.
#[test]
fn with_symlinks_the_base_stays_as_it_is() {
    let cache = tempfile::tempdir_in("/dev/shm").expect("/dev/shm should be writable");
    share_tools(cache.path());
    vandals_change_their_own_environment_alone("symlink", cache.path(), Isolation::Shared);
}

/// Full isolation protects against edits in place, too.
#[test]
fn with_copies_the_base_stays_as_it_is() {
    let cache = fresh_cache();
    vandals_change_their_own_environment_alone("copy", cache.path(), Isolation::Full);
}
