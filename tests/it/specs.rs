//! The forms of a `runtime_env`, and the effect of each on a stage.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use curator::envspec::Tool;
use curator::stage::Isolation;
use curator::{CompositeStage, ExecutorExt, Overrides, Pipeline, PythonStage, RuntimeEnv};
use serde_json::{Value, json};

use crate::support::{
    base, folder, local, noted, once, one_task, output, pipeline, python3, state, value_of,
    versions,
};

fn spec(value: Value) -> RuntimeEnv {
    RuntimeEnv::from_value(value).expect("a spec")
}

/// Returns the text of the error that a run with this spec ends in.
fn refused(spec: RuntimeEnv) -> String {
    let stage = versions("stage", &["packaging"]).with_runtime_env(spec);
    let result = local().run(&pipeline([stage]), one_task());
    result.expect_err("a spec that cannot be served").report()
}

#[test]
fn a_requirements_file_with_nested_files_and_constraints() {
    let place = folder();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a writable folder");
    };
    write("requirements.txt", "# a comment\n-r more/nested.txt\n-c limits.txt\nPackaging\n");
    write("more/nested.txt", "iniconfig \\\n  ==2.0.0\n");
    write("limits.txt", "packaging<24\n");
    for tool in [Tool::Pip, Tool::Uv] {
        // The base's version does not satisfy the constraint, so it must change.
        let stage = versions("stage", &["packaging", "iniconfig"])
            .with_runtime_env(RuntimeEnv::requirements_file(tool, "requirements.txt"));
        let pipeline = pipeline([stage]).with_dir(place.path());
        let report =
            local().run(&pipeline, one_task()).unwrap_or_else(|e| panic!("{}", e.report()));
        let seen = &output(&report)["stage"];
        assert_eq!(seen["packaging"], once("23.2"), "{tool:?}");
        assert_eq!(seen["iniconfig"]["metadata"], "2.0.0", "{tool:?}");
        assert_eq!(state(&report, "stage"), "built");

        // The contents count: another limit gives another environment, and the old file's one
        // stays.
        write("limits.txt", "packaging<23.2\n");
        let other = local().run(&pipeline, one_task()).unwrap();
        assert_eq!(output(&other)["stage"]["packaging"], once("23.1"), "{tool:?}");
        write("limits.txt", "packaging<24   # as before\n");
        let again = local().run(&pipeline, one_task()).unwrap();
        assert_eq!(state(&again, "stage"), "hit", "{tool:?}");
    }
}

#[test]
fn a_table_with_options_constraints_and_check() {
    let table = json!({ "pip": { "packages": ["packaging"], "pip_check": true,
        "pip_install_options": ["--no-deps", "--disable-pip-version-check"] },
        "constraints": ["packaging==23.2"] });
    assert_eq!(
        noted(versions("p", &["packaging"]).with_runtime_env(spec(table)))["packaging"],
        once("23.2")
    );
    let table = json!({ "uv": { "packages": ["packaging"], "uv_check": true,
        "uv_pip_install_options": ["--no-deps"] }, "constraints": ["packaging==24.0"] });
    assert_eq!(
        noted(versions("u", &["packaging"]).with_runtime_env(spec(table)))["packaging"],
        once("24.0")
    );
}

#[test]
fn overrides_replace_what_packages_ask_for() {
    // `build` asks for packaging>=24.0.
    let asked = json!({ "uv": ["build==1.2.2"], "overrides": ["packaging==23.2"] });
    let seen = noted(versions("stage", &["packaging"]).with_runtime_env(spec(asked)));
    assert_eq!(seen["packaging"], once("23.2"));
    let error = refused(spec(json!({ "pip": ["six"], "overrides": ["packaging==23.2"] })));
    assert!(error.contains("hint: ask for `uv` instead of `pip`"), "{error}");
}

#[test]
fn a_check_finds_what_does_not_fit_together() {
    for tool in ["pip", "uv"] {
        let no_deps = if tool == "pip" { "pip_install_options" } else { "uv_pip_install_options" };
        let asked = |check: bool| {
            let table = json!({ "packages": ["build==1.2.2", "packaging==23.1"],
                format!("{tool}_check"): check, no_deps: ["--no-deps"] });
            spec(json!({ tool: table }))
        };
        let error = refused(asked(true));
        assert!(error.contains("do not fit together"), "{error}");
        assert!(error.contains("build") && error.contains("pyproject"), "{error}");
        assert!(error.contains("hint: "), "{error}");
        let stage = versions("stage", &["packaging"]).with_runtime_env(asked(false));
        assert_eq!(noted(stage)["packaging"], once("23.1"));
    }
}

#[test]
fn what_is_to_be_kept_does_not_move() {
    for tool in ["pip", "uv"] {
        let asked = json!({ tool: ["packaging==23.2"], "keep": ["Packaging"] });
        let error = refused(spec(asked));
        let words =
            "`packaging` is kept at the base's 26.0, but `packaging==23.2` asks for another";
        assert!(error.contains(words), "{error}");
        assert!(
            error.contains("hint: ") && error.contains("take the name out of `keep`"),
            "{error}"
        );
        // Requirements that do not touch the kept package are fine.
        let asked = json!({ tool: ["iniconfig==2.0.0"], "keep": ["packaging", "not-there"] });
        let seen = noted(versions("stage", &["packaging"]).with_runtime_env(spec(asked)));
        assert_eq!(seen["packaging"], once("26.0"));
    }
}

#[test]
fn the_package_manager_comes_in_the_version_asked_for() {
    for (tool, version, asked) in [("pip", "24.1.2", "==24.1.2"), ("uv", "0.8.22", "==0.8.22")] {
        let table =
            json!({ tool: { "packages": ["packaging==23.2"], format!("{tool}_version"): asked } });
        let stage = versions("stage", &["packaging"]).with_runtime_env(spec(table));
        let report = local()
            .run(&pipeline([stage]), one_task())
            .unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!(output(&report)["stage"]["packaging"], once("23.2"));
        let dir = report.environment_of("stage").unwrap().python.ancestors().nth(2).unwrap();
        let manifest = std::fs::read_to_string(dir.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["details"]["tool_version"], version, "{tool}");
        // uv may write into files that it finds, and those must not be the base's.
        assert_eq!(manifest["strategy"] == "copy", tool == "uv", "{}", manifest["strategy"]);
    }
}

#[test]
fn a_prebuilt_interpreter_is_used_as_it_is() {
    let stage = value_of("stage", "sys.prefix")
        .with_runtime_env(RuntimeEnv::python(base()).with_env_var("A", "1"));
    let report = local().with_base(python3()).run(&pipeline([stage]), one_task()).unwrap();
    assert_eq!(state(&report, "stage"), "prebuilt");
    let prefix = base().ancestors().nth(2).unwrap();
    assert_eq!(output(&report)["stage"], json!(prefix));

    let command = RuntimeEnv::new().with_py_executable(base().display().to_string());
    let stage = value_of("stage", "sys.prefix").with_runtime_env(command);
    let report = local().with_base(python3()).run(&pipeline([stage]), one_task()).unwrap();
    assert_eq!(output(&report)["stage"], json!(prefix));
}

#[test]
fn variables_are_no_reason_for_another_environment() {
    let packages = || RuntimeEnv::uv(["iniconfig==2.0.0", "six"]);
    let variables = |name: &str, value: &str| {
        value_of(name, "[os.environ['MINE'], os.environ['PYTHONPATH']]").with_runtime_env(
            packages()
                .with_env_var("MINE", value)
                .with_env_var("PYTHONPATH", "${MINE_NOT_SET}/somewhere"),
        )
    };
    let report =
        local().run(&pipeline([variables("a", "1"), variables("b", "2")]), one_task()).unwrap();
    assert_eq!(output(&report)["a"], json!(["1", "/somewhere"]));
    assert_eq!(output(&report)["b"], json!(["2", "/somewhere"]));
    let [environment] = &report.environments[..] else { panic!("{:?}", report.environments) };
    assert_eq!(environment.stages, ["a", "b"]);
}

#[test]
fn extras_and_markers() {
    for tool in ["pip", "uv"] {
        let asked = json!({ tool: [
            "python-dotenv[CLI]==1.0.1",
            "iniconfig==2.0.0 ; python_version < '3'",
            "packaging==24.0 ; python_version >= '3'",
        ] });
        let names = ["dotenv", "click", "iniconfig", "packaging"];
        let expression = format!(
            "[__import__('importlib.util').util.find_spec(name) is not None for name in {names:?}]"
        );
        let stage = value_of("found", &expression).with_runtime_env(spec(asked.clone()));
        assert_eq!(noted(stage), json!([true, true, false, true]), "{tool}");
        let stage = versions("stage", &["packaging"]).with_runtime_env(spec(asked));
        assert_eq!(noted(stage)["packaging"], once("24.0"), "{tool}");
    }
}

/// Returns the inodes of all files below a folder.
fn inodes(dir: &Path, found: &mut Vec<(u64, String)>) {
    for entry in std::fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let metadata = path.symlink_metadata().expect("metadata");
        if metadata.is_dir() {
            inodes(&path, found);
        } else if metadata.is_file() {
            found.push((metadata.ino(), format!("{} ({})", path.display(), metadata.nlink())));
        }
    }
}

#[test]
fn full_isolation_shares_no_file() {
    let run = |isolation| {
        let stage = versions("stage", &["packaging"])
            .with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]))
            .with_isolation(isolation);
        let report = local().run(&pipeline([stage]), one_task()).unwrap();
        assert_eq!(output(&report)["stage"]["packaging"], once("24.0"));
        let environment = report.environment_of("stage").unwrap();
        let mut files = Vec::new();
        inodes(environment.python.ancestors().nth(2).unwrap(), &mut files);
        (files, environment.key.clone())
    };
    let (files, full) = run(Isolation::Full);
    let linked: Vec<_> = files.iter().filter(|(_, text)| !text.ends_with("(1)")).collect();
    assert!(files.len() > 50 && linked.is_empty(), "{linked:?}");
    // Without full isolation, files are shared; otherwise this test would prove nothing.
    let (files, shared) = run(Isolation::Shared);
    let mut of_base = Vec::new();
    inodes(base().ancestors().nth(2).unwrap(), &mut of_base);
    let is_shared = |(inode, _): &&(u64, String)| of_base.iter().any(|(other, _)| other == inode);
    assert!(files.iter().filter(is_shared).count() > 20);
    assert_ne!(full, shared);
}

#[test]
fn a_pipeline_wide_default_and_its_exceptions() {
    let default = RuntimeEnv::uv(["packaging==24.0"]).with_env_var("SHARED", "default");
    let stages = [
        versions("default", &["packaging"]),
        versions("opted_out", &["packaging"]).with_runtime_env(RuntimeEnv::new()),
        versions("own", &["packaging"]).with_runtime_env(RuntimeEnv::pip(["packaging==23.2"])),
        value_of("merged", "os.environ['SHARED'] + os.environ['OWN']")
            .with_runtime_env(RuntimeEnv::new().with_env_var("OWN", "+own")),
        value_of("none", "os.environ.get('SHARED')").with_runtime_env(RuntimeEnv::new()),
    ];
    let report = local().run(&pipeline(stages).with_runtime_env(default), one_task()).unwrap();
    let seen = output(&report);
    assert_eq!(seen["default"]["packaging"], once("24.0"));
    assert_eq!(seen["opted_out"]["packaging"], once("26.0"));
    assert_eq!(seen["own"]["packaging"], once("23.2"));
    assert_eq!(seen["merged"], "default+own");
    assert!(seen["none"].is_null());
    assert_eq!(state(&report, "opted_out"), "base");
}

#[test]
fn overrides_take_the_last_word_and_leave_the_original_alone() {
    let original =
        versions("stage", &["packaging"]).with_runtime_env(RuntimeEnv::pip(["packaging==23.2"]));
    let pinned = |version: &str| {
        Overrides::default().with_runtime_env(RuntimeEnv::uv([format!("packaging=={version}")]))
    };
    let version = |stage: PythonStage| noted(stage)["packaging"]["module"].clone();
    assert_eq!(version(original.with_(pinned("23.1")).with_(pinned("24.0"))), "24.0");
    let empty = Overrides::default().with_runtime_env(RuntimeEnv::new());
    assert_eq!(version(original.with_(empty)), "26.0");
    assert_eq!(version(original.with_(Overrides::default())), "23.2");
    assert_eq!(version(original), "23.2");
}

#[test]
fn a_composite_overrides_its_children_by_name() {
    let composite = CompositeStage::new(
        "pair",
        [versions("one", &["packaging"]), versions("two", &["packaging"])],
    );
    let pinned = Overrides::default().with_runtime_env(RuntimeEnv::uv(["packaging==24.0"]));
    let pipeline = Pipeline::new("composite").with_stage(composite.with_("two", pinned));
    let report = local().run(&pipeline, one_task()).unwrap();
    assert_eq!(output(&report)["one"]["packaging"], once("26.0"));
    assert_eq!(output(&report)["two"]["packaging"], once("24.0"));
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest() {
    let error = RuntimeEnv::from_json(r#"{"pipp": ["packaging"]}"#).unwrap_err();
    let text = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(text.contains("pipp") && text.contains("`pip`"), "{text}");
    let error = refused(RuntimeEnv::new().with_engine_field("conda", "some-environment"));
    assert!(error.contains("conda") && error.contains("hint: "), "{error}");
}
