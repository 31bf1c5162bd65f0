//! Ray's format: accepted values, refused values, and the messages.

use std::path::Path;
use std::time::Duration;

use envspec::{Error, PackageList, RuntimeEnv, Tool};
use serde_json::{Value, json};

use crate::{chain, load};

fn read(value: Value) -> Result<RuntimeEnv, Error> {
    RuntimeEnv::from_value(value)
}

#[test]
fn every_form_of_pip_and_uv_is_read() {
    let list = read(json!({"pip": ["a", "b"]})).unwrap();
    assert_eq!(list, RuntimeEnv::pip(["a", "b"]));
    let file = read(json!({"uv": "requirements.txt"})).unwrap();
    assert_eq!(file, RuntimeEnv::requirements_file(Tool::Uv, "requirements.txt"));
    let table = read(json!({"uv": {
        "packages": ["a"], "uv_check": true, "uv_version": "==0.5",
        "uv_pip_install_options": ["--no-cache"],
    }}))
    .unwrap();
    let packages = table.packages().unwrap();
    assert_eq!(packages.tool(), Tool::Uv);
    assert_eq!(packages.list(), &PackageList::Lines(vec!["a".to_owned()]));
    assert_eq!(packages.version(), Some("==0.5"));
    assert_eq!(packages.options(), Some(&["--no-cache".to_owned()][..]));
    assert!(packages.check());
    let file_in_table = read(json!({"pip": {"packages": "r.txt"}})).unwrap();
    assert_eq!(file_in_table.packages().unwrap().list(), &PackageList::File("r.txt".into()));
}

#[test]
fn it_is_written_as_ray_takes_it() {
    let spec = RuntimeEnv::pip(["a"])
        .with_check(true)
        .with_tool_version("==24.0")
        .with_tool_options(["--no-cache-dir"])
        .with_env_var("A", "1")
        .with_working_dir("src")
        .with_py_modules(["lib"])
        .with_setup_timeout(Duration::from_millis(1500))
        .with_engine_field("nsight", "default");
    let expected = json!({
        "pip": {
            "packages": ["a"], "pip_check": true, "pip_version": "==24.0",
            "pip_install_options": ["--no-cache-dir"],
        },
        "env_vars": {"A": "1"},
        "working_dir": "src",
        "py_modules": ["lib"],
        "config": {"setup_timeout_seconds": 2},
        "nsight": "default",
    });
    assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
    assert_eq!(serde_json::to_value(RuntimeEnv::new()).unwrap(), json!({}));
}

#[test]
fn nothing_is_no_value() {
    for empty in [
        json!({}),
        json!({"pip": null, "uv": null, "conda": null, "env_vars": null, "config": null}),
        json!({"pip": [], "uv": []}),
        json!({"pip": {"packages": []}, "env_vars": {}, "excludes": [], "py_modules": []}),
        json!({"config": {}}),
    ] {
        assert!(read(empty.clone()).unwrap().is_empty(), "{empty}");
    }
    // An empty list does not exclude the other tool.
    assert_eq!(read(json!({"pip": [], "uv": ["a"]})).unwrap(), RuntimeEnv::uv(["a"]));
}

/// Checks that each value is refused with this message, and with this hint if one is given.
fn refused(cases: &[(Value, &str, Option<&str>)]) {
    for (value, message, hint) in cases {
        let error = read(value.clone()).expect_err("a value that is refused");
        assert_eq!(chain(&error), *message, "{value}");
        if hint.is_some() {
            assert_eq!(error.hint().as_deref(), *hint, "{value}");
        }
    }
}

#[test]
fn what_is_refused_names_the_field_the_value_and_the_way_out() {
    refused(&[
        (json!([]), "`runtime_env` takes a table, not a list", None),
        (
            json!({"pipp": ["a"]}),
            "`pipp` is no field of a runtime_env",
            Some("did you mean `pip`?"),
        ),
        (
            json!({"worknig_dir": "."}),
            "`worknig_dir` is no field of a runtime_env",
            Some("did you mean `working_dir`?"),
        ),
        (
            json!({"image_url": "x"}),
            "`image_url` is no field of a runtime_env",
            Some("did you mean `image_uri`?"),
        ),
        (json!({"zzzzzz": 1}), "`zzzzzz` is no field of a runtime_env", None),
        (
            json!({"pip": 1}),
            "`pip` takes a list of requirements, the path of a requirements file, or a table, not the number `1`",
            None,
        ),
        (
            json!({"pip": true}),
            "`pip` takes a list of requirements, the path of a requirements file, or a table, not the truth value `true`",
            None,
        ),
        (
            json!({"pip": ["a", 1]}),
            "`pip[1]` takes text, not the number `1`",
            Some("put the value in quotes"),
        ),
        (json!({"uv": {"packages": [null]}}), "`uv.packages[0]` takes text, not null", None),
        (
            json!({"uv": {}}),
            "`uv.packages` is missing",
            Some("add `uv.packages`, or give the list in place of the table"),
        ),
        (
            json!({"uv": {"packages": ["a"], "uv_chek": true}}),
            "`uv.uv_chek` is no field of a runtime_env",
            Some("did you mean `uv_check`?"),
        ),
        (
            json!({"uv": {"packages": ["a"], "pip_check": true}}),
            "`uv.pip_check` is no field of a runtime_env",
            None,
        ),
        (
            json!({"pip": {"packages": ["a"], "pip_check": 1}}),
            "`pip.pip_check` takes true or false, not the number `1`",
            None,
        ),
        (
            json!({"pip": {"packages": ["a"], "pip_version": 24}}),
            "`pip.pip_version` takes text, not the number `24`",
            Some("put the value in quotes"),
        ),
        (
            json!({"pip": ["a"], "uv": ["a"]}),
            "`pip` and `uv` cannot both be set",
            Some("keep one of them; an empty list counts as not set"),
        ),
        (json!({"pip": ["a"], "conda": "x"}), "`pip` and `conda` cannot both be set", None),
    ]);
}

#[test]
fn so_do_the_other_fields() {
    refused(&[
        (
            json!({"env_vars": {"A": 1}}),
            "`env_vars.A` takes text, not the number",
            Some("put the value in quotes"),
        ),
        (json!({"env_vars": {"A": null}}), "`env_vars.A` takes text, not null", None),
        (
            json!({"env_vars": {"A=B": "1"}}),
            "`env_vars.A=B` cannot be `A=B`: it is no name of an environment variable",
            None,
        ),
        (json!({"env_vars": ["A"]}), "`env_vars` takes a table, not a list", None),
        (json!({"working_dir": 1}), "`working_dir` takes text, not the number `1`", None),
        (json!({"working_dir": " "}), "`working_dir` cannot be ``: it is empty", None),
        (
            json!({"py_modules": "lib"}),
            "`py_modules` takes a list of texts, not the text `lib`",
            None,
        ),
        (json!({"py_executable": 1}), "`py_executable` takes text, not the number `1`", None),
        (json!({"keep": ["-x"]}), "`keep[0]` cannot be `-x`: it is no name of a package", None),
        (
            json!({"config": {"setup_timeout": 1}}),
            "`config.setup_timeout` is no field of a runtime_env",
            Some("did you mean `setup_timeout_seconds`?"),
        ),
        (
            json!({"config": {"eager_install": "yes"}}),
            "`config.eager_install` takes true or false, not the text `yes`",
            None,
        ),
    ]);
}

#[test]
fn a_timeout_is_a_positive_whole_number_or_minus_one() {
    let timeout = |value: Value| {
        read(json!({"config": {"setup_timeout_seconds": value}})).map(|spec| spec.setup_timeout())
    };
    assert_eq!(timeout(json!(10)).unwrap(), Some(Duration::from_secs(10)));
    assert_eq!(timeout(json!(-1)).unwrap(), None);
    assert_eq!(timeout(Value::Null).unwrap(), Some(Duration::from_mins(10)));
    for value in [json!(0), json!(-2), json!(10.0), json!("10"), json!(true), json!(u64::MAX)] {
        assert!(timeout(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn toml_has_the_same_shape() {
    let spec = RuntimeEnv::from_toml(
        "uv = { packages = ['a'], uv_check = true }\nenv_vars = { A = '1' }\n[config]\nsetup_timeout_seconds = -1\n",
    )
    .unwrap();
    let expected =
        RuntimeEnv::uv(["a"]).with_check(true).with_env_var("A", "1").without_setup_timeout();
    assert_eq!(spec, expected);
}

/// A value that JSON lacks is refused with its place, in a spec alone and in one that is part of another
/// text.
#[test]
fn what_json_lacks_is_refused_with_its_place() {
    for (text, field) in [
        ("nsight = inf", "nsight"),
        ("working_dir = 2020-01-01", "working_dir"),
        ("[conda]\nchannels = ['a', { b = nan }]", "conda.channels[1].b"),
        ("[env_vars]\nA = 12:00:00", "env_vars.A"),
    ] {
        let error = RuntimeEnv::from_toml(text).unwrap_err();
        assert!(
            matches!(&error, Error::NotJson { field: found, .. } if found == field),
            "{error:?}"
        );
        assert!(error.to_string().ends_with("write it in quotes"), "{error}");
        assert!(toml::from_str::<RuntimeEnv>(text).is_err(), "{text}");
    }
}

#[test]
fn fields_that_only_ray_serves_are_carried() {
    let value = json!({"container": {"image": "x", "run_options": [1, null]}, "image_uri": "y"});
    let spec = read(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), value);
    let loaded = load(&spec).unwrap();
    assert_eq!(loaded.engine_fields.keys().collect::<Vec<_>>(), ["container", "image_uri"]);
    // Ray fetches a URI, so it is passed on unchanged.
    let loaded = load(&RuntimeEnv::new().with_working_dir("s3://bucket/a.zip")).unwrap();
    assert_eq!((loaded.working_dir, loaded.engine_fields.len()), (None, 1));
}

#[test]
fn a_field_that_ray_does_not_know_is_refused_when_loaded() {
    let spec = RuntimeEnv::new().with_engine_field("image_url", "x");
    assert_eq!(load(&spec).unwrap_err().hint().as_deref(), Some("did you mean `image_uri`?"));
    assert!(serde_json::to_value(&spec).is_err());
}

#[test]
fn a_prebuilt_interpreter_takes_no_packages() {
    let python = RuntimeEnv::python("env/bin/python");
    assert_eq!(load(&python).unwrap().python.unwrap(), Path::new("/project/env/bin/python"));
    for spec in [
        RuntimeEnv::pip(["a"]).with_py_executable("python"),
        RuntimeEnv::python("p").with_py_executable("python"),
    ] {
        assert!(matches!(load(&spec), Err(Error::Conflict { .. })), "{spec:?}");
    }
}

#[test]
fn a_relative_folder_is_refused() {
    let source = envspec::MemorySource::new();
    let error = RuntimeEnv::new().load(&source, Path::new("project")).unwrap_err();
    assert_eq!(error.to_string(), "the folder `project` is not absolute");
}

/// Of two values for one key a reader would drop one, and with it packages or variables.
#[test]
fn a_key_that_stands_twice_is_refused() {
    for (text, key) in [
        (r#"{"uv": ["a"], "uv": ["b"]}"#, "uv"),
        (r#"{"uv": ["a"], "\u0075v": ["b"]}"#, "uv"),
        (r#"{"env_vars": {"A": "1", "B": "2", "A": "1"}}"#, "A"),
        (r#"{"uv": {"packages": ["a"], "packages": ["b"]}}"#, "packages"),
    ] {
        let error = RuntimeEnv::from_json(text).expect_err(text);
        assert!(chain(&error).contains(&format!("the key `{key}` stands twice")), "{text}");
    }
    // A number keeps its digits.
    let text = r#"{"conda": {"n": [1.50, 123456789012345678901234567890], "m": null}}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(RuntimeEnv::from_json(text).unwrap(), read(value).unwrap());
}
