//! Several versions of a package in one pipeline, each seen by its own stage alone.

use curator::stage::BaseSpec;
use curator::{ExecutorExt, LocalExecutor, Pipeline, PythonStage, RuntimeEnv};
use serde_json::json;

use crate::support::{
    PipelineFile, STAGES, base, folder, fresh_cache, local, once, one_task, output, pipeline,
    shared_cache, state, versions,
};

#[test]
fn three_versions_of_one_package_in_one_pipeline() {
    let packages = ["packaging", "tqdm", "six"];
    let base = RuntimeEnv::uv(["packaging==26.0", "tqdm==4.67.1", "six==1.17.0"]);
    let pipeline = Pipeline::new("three_versions")
        .with_base(BaseSpec::from(base))
        .with_stage(versions("base_env", &packages))
        .with_stage(
            versions("pinned_v232", &packages)
                .with_runtime_env(RuntimeEnv::pip(["packaging==23.2"])),
        )
        .with_stage(
            versions("pinned_v240", &packages)
                .with_runtime_env(RuntimeEnv::uv(["packaging==24.0"])),
        );
    let executor = LocalExecutor::default().with_cache_dir(shared_cache());
    let report = executor.run(&pipeline, one_task()).unwrap_or_else(|e| panic!("{}", e.report()));
    for (stage, version) in [("base_env", "26.0"), ("pinned_v232", "23.2"), ("pinned_v240", "24.0")]
    {
        // The module, the metadata and the list of distributions agree; packages of the base alone
        // are visible in all of them.
        let expected =
            json!({ "packaging": once(version), "tqdm": once("4.67.1"), "six": once("1.17.0") });
        assert_eq!(output(&report)[stage], expected, "{stage}");
    }
    assert_eq!(state(&report, "base_env"), "base");
    let pinned = report.environment_of("pinned_v232").unwrap();
    assert_eq!(pinned.added, ["packaging==23.2"]);
    assert_eq!(pinned.replaced, ["packaging==26.0"]);

    let report = executor.run(&pipeline, one_task()).unwrap();
    assert_eq!(state(&report, "pinned_v232"), "hit");
    assert_eq!(state(&report, "pinned_v240"), "hit");
}

#[test]
fn interpreters_that_a_stage_starts_are_in_its_environment() {
    let children = |name: &str, env| {
        PythonStage::from_file(STAGES, "Children")
            .with_args(json!({ "key": name }))
            .with_name(name)
            .with_runtime_env(env)
    };
    let stages = [
        children("by_pip", RuntimeEnv::pip(["packaging==23.2"])),
        children("by_uv", RuntimeEnv::uv(["packaging==24.0"])),
    ];
    let report = local().run(&pipeline(stages), one_task()).unwrap();
    for (stage, version) in [("by_pip", "23.2"), ("by_uv", "24.0")] {
        let seen = &output(&report)[stage];
        let prefix = seen[0].as_str().unwrap();
        assert!(prefix.contains("/envs-v1/"), "{prefix}");
        assert_eq!(
            seen.as_array().unwrap()[1..],
            [json!([prefix, version]), json!([prefix, version]), json!([prefix, version])]
        );
    }
}

#[test]
fn the_second_process_builds_nothing_and_needs_no_network() {
    let cache = fresh_cache();
    let stages = [
        ("by_pip", "{ pip = [\"packaging==23.2\"] }"),
        ("by_uv", "{ uv = [\"packaging==24.0\"] }"),
    ];
    let file = PipelineFile::new(base(), &stages, &["packaging"]);
    let first = file.run(cache.path(), &[]);
    assert!(first.states().values().all(|state| state == "built"), "{:?}", first.states());

    // Proxies that do not listen, and package managers without caches.
    let tools_caches = folder();
    let nowhere = "http://127.0.0.1:9";
    let own_cache = tools_caches.path().to_str().unwrap();
    let mut offline = Vec::new();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    {
        offline.push((name, nowhere));
    }
    offline.extend([("NO_PROXY", ""), ("no_proxy", "")]);
    offline.extend([("UV_CACHE_DIR", own_cache), ("PIP_CACHE_DIR", own_cache)]);
    let second = file.run(cache.path(), &offline);
    assert!(second.states().values().all(|state| state == "hit"), "{:?}", second.states());
    assert_eq!(second.output(), first.output());
    assert_eq!(second.output()["by_uv"]["packaging"], once("24.0"));

    // Proof that the network is cut off: a new package fails, and the error says why.
    let other = PipelineFile::new(base(), &[("new", "{ uv = [\"iniconfig==2.0.0\"] }")], &[]);
    let answer = other.run(cache.path(), &offline);
    assert!(answer.error().contains("hint: check the connection"), "{}", answer.error());
}
