//! Whole specs.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::requirement::{package_name, requirement};
use crate::packages::Fields;
use crate::runtime_env::RuntimeEnv;
use crate::tool::Tool;

/// Generates any JSON without floating-point numbers, with about 24 values at most.
pub fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(field_name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Generates a valid spec as JSON, in any of the forms that Ray takes: at most one of `pip`, `uv`,
/// `conda`, `python` and `py_executable`, and any of the other fields. It loads if its folder holds
/// a `requirements.txt`.
pub fn spec_json() -> impl Strategy<Value = Value> {
    let interpreter = prop_oneof![
        1 => Just(None),
        3 => packages().prop_map(Some),
        1 => Just(Some(("conda", json!("an-environment")))),
        1 => Just(Some(("python", json!("envs/a/bin/python")))),
        1 => Just(Some(("py_executable", json!("python -X dev")))),
    ];
    let others = (
        option::of(env_vars().prop_map(|variables| json!(variables))),
        option::of(select(&["src", "/data", "local:///data", "s3://bucket/a.zip"][..])),
        option::of(vec(select(&["lib", "../lib.whl", "https://h/lib.zip"][..]), 0..3)),
        option::of(vec(select(&["*.bin", "/data"][..]), 0..3)),
        option::of(vec(plain_requirement(), 0..3)),
        option::of(vec(plain_requirement(), 0..3)),
        option::of(vec(package_name(), 0..3)),
        option::of(config()),
    );
    let engine = btree_map(select(&["image_uri", "nsight", "container"][..]), engine_value(), 0..2);
    (interpreter, others, engine).prop_map(|(interpreter, others, engine)| {
        let (env_vars, dir, modules, excludes, constraints, overrides, keep, config) = others;
        let fields = [
            ("env_vars", env_vars),
            ("working_dir", dir.map(Value::from)),
            ("py_modules", modules.map(Value::from)),
            ("excludes", excludes.map(Value::from)),
            ("constraints", constraints.map(Value::from)),
            ("overrides", overrides.map(Value::from)),
            ("keep", keep.map(Value::from)),
            ("config", config),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let map = interpreter.into_iter().chain(given).chain(engine);
        Value::Object(map.map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

/// Generates a valid spec; it loads if its folder holds a `requirements.txt`.
pub fn runtime_env() -> impl Strategy<Value = RuntimeEnv> {
    let timeout = option::of(option::of((1_u64..10_000).prop_map(Duration::from_secs)));
    (spec_json(), timeout).prop_map(|(value, timeout)| {
        let spec = RuntimeEnv::from_value(value).unwrap_or_default();
        match timeout {
            None => spec,
            Some(None) => spec.without_setup_timeout(),
            Some(Some(limit)) => spec.with_setup_timeout(limit),
        }
    })
}

/// Generates a spec as JSON with one field renamed, or one value of another type; some are still
/// valid.
pub fn nearly_valid_spec_json() -> impl Strategy<Value = Value> {
    (spec_json(), any::<Index>(), option::of(json()), field_name()).prop_map(
        |(spec, index, value, name)| {
            let Value::Object(mut fields) = spec else { return spec };
            let names: Vec<_> = fields.keys().cloned().collect();
            let changed =
                if names.is_empty() { name } else { names[index.index(names.len())].clone() };
            if let Some(value) = value {
                fields.insert(changed, value);
            } else {
                let value = fields.remove(&changed).unwrap_or(Value::Null);
                // One letter short, like a typing error.
                fields.insert(changed[..changed.len() - 1].to_owned(), value);
            }
            Value::Object(fields)
        },
    )
}

fn packages() -> impl Strategy<Value = (&'static str, Value)> {
    let list = vec(requirement(), 0..4).prop_map(Value::from);
    let file = Just(json!("requirements.txt"));
    let options =
        vec(select(&["--no-cache", "--pre", "--no-deps", "--no-build-isolation"][..]), 0..3);
    let version = select(&["==24.1.2", "<25, >=20"][..]);
    (
        select(&[Tool::Pip, Tool::Uv][..]),
        prop_oneof![4 => list, 1 => file],
        any::<bool>(),
        option::of(any::<bool>()),
        option::of(version),
        option::of(options),
    )
        .prop_map(|(tool, list, is_table, check, version, options)| {
            if !is_table {
                return (tool.as_str(), list);
            }
            let fields = Fields::of(tool);
            let mut table = Map::from_iter([("packages".to_owned(), list)]);
            let given = [
                (fields.check, check.map(Value::from)),
                (fields.version, version.map(Value::from)),
                (fields.options, options.map(Value::from)),
            ];
            table.extend(
                given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))),
            );
            (tool.as_str(), Value::Object(table))
        })
}

/// Generates a line that may also stand among constraints and overrides.
fn plain_requirement() -> impl Strategy<Value = String> {
    (package_name(), super::version()).prop_map(|(name, version)| format!("{name}=={version}"))
}

fn env_vars() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = prop_oneof![
        "[A-Z][A-Z0-9_]{0,6}",
        select(&["PIP_INDEX_URL", "UV_NO_BUILD"][..]).prop_map(str::to_owned),
    ];
    btree_map(name, "[ -~é]{0,8}", 0..4)
}

fn config() -> impl Strategy<Value = Value> {
    (
        option::of(prop_oneof![Just(-1), 1_i64..10_000]),
        option::of(any::<bool>()),
        option::of(vec("[a-z]{1,4}\\.log", 0..2)),
        option::of(vec("[A-Z]{1,4}", 0..2)),
    )
        .prop_map(|(timeout, eager, logs, build_env)| {
            let fields = [
                ("setup_timeout_seconds", timeout.map(Value::from)),
                ("eager_install", eager.map(Value::from)),
                ("log_files", logs.map(Value::from)),
                ("build_env", build_env.map(Value::from)),
            ];
            let given =
                fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(given.collect())
        })
}

/// Generates JSON that TOML has, too, so without null.
fn engine_value() -> impl Strategy<Value = Value> {
    json().prop_map(|value| without_nulls(&value))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(map) => Value::Object(
            map.iter().map(|(name, value)| (name.clone(), without_nulls(value))).collect(),
        ),
        other => other.clone(),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![requirement(), "\\PC{0,12}", Just(String::new())]
}

fn field_name() -> impl Strategy<Value = String> {
    let known = select(&["pip", "uv", "packages", "env_vars", "config", "pip_check", "keep"][..]);
    prop_oneof![known.prop_map(str::to_owned), "[a-z_]{1,10}"]
}
