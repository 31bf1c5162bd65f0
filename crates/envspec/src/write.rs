//! Writing a spec in Ray's format.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer, ser};
use serde_json::{Map, Number, Value, json};

use crate::packages::{Fields, PackageList, Packages};
use crate::runtime_env::{Config, ENGINE_FIELDS, RuntimeEnv, SetupTimeout};

impl Serialize for RuntimeEnv {
    /// Writes the fields that are set; `pip` and `uv` become a list or path if no option is given.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // No `..`: a new field is written here, or refused here with a reason.
        let Self {
            packages,
            python,
            py_executable,
            env_vars,
            working_dir,
            py_modules,
            excludes,
            constraints,
            overrides,
            keep,
            config,
            engine_fields,
        } = self;
        if let Some(name) = engine_fields.keys().find(|name| !is_engine_field(name)) {
            return Err(ser::Error::custom(format!("`{name}` is no field that only Ray serves")));
        }
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if let Some(packages) = packages {
            add(packages.tool.as_str(), packages_value(packages));
        }
        if let Some(python) = python {
            add("python", python.to_string_lossy().into());
        }
        if let Some(command) = py_executable {
            add("py_executable", command.as_str().into());
        }
        if !env_vars.is_empty() {
            add("env_vars", json!(env_vars));
        }
        if let Some(dir) = working_dir {
            add("working_dir", dir.as_str().into());
        }
        for (name, list) in [("py_modules", py_modules), ("excludes", excludes), ("keep", keep)] {
            if !list.is_empty() {
                add(name, json!(list));
            }
        }
        for (name, list) in [("constraints", constraints), ("overrides", overrides)] {
            if !list.is_empty() {
                add(name, list_value(list));
            }
        }
        if *config != Config::default() {
            add("config", config_value(config));
        }
        for (name, value) in engine_fields {
            add(name, value.clone());
        }
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, value) in &fields {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
}

/// A JSON value in another format, such as TOML. Its numbers become numbers there if they keep
/// exactly their digits.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => {
                let is_same = |float: &f64| Number::from_f64(*float).as_ref() == Some(number);
                let float = number.as_f64().filter(is_same);
                match (number.as_i64(), number.as_u64(), float) {
                    (Some(integer), ..) => serializer.serialize_i64(integer),
                    (_, Some(integer), _) => serializer.serialize_u64(integer),
                    (.., Some(float)) => serializer.serialize_f64(float),
                    _ => number.serialize(serializer),
                }
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, Plain(value))))
            }
            other => other.serialize(serializer),
        }
    }
}

pub(crate) fn is_engine_field(name: &str) -> bool {
    ENGINE_FIELDS.contains(&name)
}

fn packages_value(packages: &Packages) -> Value {
    let Packages { tool, list, version, options, check } = packages;
    if version.is_none() && options.is_none() && !check {
        return list_value(list);
    }
    let fields = Fields::of(*tool);
    let mut table = Map::new();
    table.insert("packages".to_owned(), list_value(list));
    if *check {
        table.insert(fields.check.to_owned(), true.into());
    }
    if let Some(version) = version {
        table.insert(fields.version.to_owned(), version.as_str().into());
    }
    if let Some(options) = options {
        table.insert(fields.options.to_owned(), json!(options));
    }
    Value::Object(table)
}

fn list_value(list: &PackageList) -> Value {
    match list {
        PackageList::Lines(lines) => json!(lines),
        PackageList::File(path) => path.to_string_lossy().into(),
    }
}

fn config_value(config: &Config) -> Value {
    let Config { setup_timeout, eager_install, log_files, build_env } = config;
    let mut table = Map::new();
    match setup_timeout {
        SetupTimeout::Unset => None,
        SetupTimeout::Seconds(seconds) => {
            table.insert("setup_timeout_seconds".to_owned(), (*seconds).into())
        }
        SetupTimeout::Never => table.insert("setup_timeout_seconds".to_owned(), (-1).into()),
    };
    if let Some(flag) = eager_install {
        table.insert("eager_install".to_owned(), (*flag).into());
    }
    for (name, list) in [("log_files", log_files), ("build_env", build_env)] {
        if !list.is_empty() {
            table.insert(name.to_owned(), json!(list));
        }
    }
    Value::Object(table)
}
