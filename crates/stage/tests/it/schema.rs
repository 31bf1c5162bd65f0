//! The JSON Schema of the pipeline file.
//!
//! - Every pipeline that can be written is valid under the schema.
//! - The parser and the schema know the same fields: each accepts the fields of the other.

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use stage::strategies::python_pipeline;
use stage::{Error, PipelineFile};

fn validator() -> Validator {
    jsonschema::validator_for(&PipelineFile::schema()).expect("the schema is one")
}

fn parse(value: &Value) -> Result<PipelineFile, Error> {
    PipelineFile::from_json(&value.to_string(), "/dir")
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let kept = include_str!("../../../../docs/pipeline.schema.json");
    let kept: Value = serde_json::from_str(kept).unwrap();
    assert!(kept == PipelineFile::schema(), "run: curator schema > docs/pipeline.schema.json");
}

proptest! {
    #[test]
    fn what_can_be_written_is_valid(pipeline in python_pipeline()) {
        let text = pipeline.to_toml().unwrap();
        let value: Value = toml::from_str(&text).unwrap();
        let validator = validator();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{errors:?}\n{text}");
    }
}

/// A file with all fields.
fn full() -> Value {
    json!({
        "name": "demo",
        "description": "shows all",
        "base": { "uv": ["packaging==26.0"], "python": "/usr/bin/python3" },
        "failure_policy": "record",
        "engine": {
            "backend": "local",
            "cpus": 2,
            "devices": ["0"],
            "templates": true,
            "keep_warm": "10m",
            "address": "head:6379",
            "num_cpus": 8,
            "num_gpus": 0.5,
            "init": { "include_dashboard": false },
            "ray_env": "cached",
            "options": { "reserved_cpus": 1 },
        },
        "runtime_env": {
            "pip": {
                "packages": ["a==1"],
                "pip_check": true,
                "pip_version": "==24.0",
                "pip_install_options": ["--no-deps"],
            },
            "env_vars": { "A": "b" },
            "working_dir": "work",
            "py_modules": ["modules"],
            "excludes": ["*.bin"],
            "constraints": "constraints.txt",
            "overrides": ["b==2"],
            "keep": ["numpy"],
            "config": {
                "setup_timeout_seconds": -1,
                "eager_install": true,
                "log_files": ["/tmp/a"],
                "build_env": ["TOKEN"],
            },
        },
        "stage": [
            {
                "name": "first",
                "python": "stages.py:Clean",
                "args": { "language": "en" },
                "runtime_env": {
                    "uv": { "packages": "requirements.txt", "uv_check": false,
                        "uv_version": "==0.9.0", "uv_pip_install_options": [] },
                },
                "resources": { "cpus": 0.5, "gpus": 0.0, "gpu_memory_gb": 8.0 },
                "batch_size": 4,
                "num_workers": 2,
                "inputs": ["text"],
                "outputs": ["text"],
                "task_timeout_seconds": 1.5,
                "isolation": "full",
                "max_attempts": 3,
                "recycle_after_tasks": 1000,
                "preload": ["numpy", "os.path"],
                "ray_stage_spec": { "is_actor_stage": true, "ray_remote_args": {} },
                "xenna_stage_spec": { "slots_per_actor": 2 },
            },
            { "python": "package.module:Outer.Name", "num_workers_per_node": 1.5,
              "runtime_env": { "python": "/opt/python" } },
            { "python": "Inline", "source": "class Inline: ...", "args": ["positional"],
              "runtime_env": { "py_executable": "python3", "conda": "env" } },
        ],
    })
}

/// Collects the objects whose fields the format defines, not the user.
fn closed(value: &Value, pointer: &str, found: &mut Vec<String>) {
    const OPEN: [&str; 5] =
        ["/args", "/env_vars", "/ray_remote_args", "/engine/init", "/engine/options"];
    if OPEN.iter().any(|name| pointer.ends_with(name)) {
        return;
    }
    match value {
        Value::Object(fields) => {
            found.push(pointer.to_owned());
            for (name, value) in fields {
                closed(value, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                closed(item, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_is_valid_and_an_unknown_one_is_not() {
    let (validator, full) = (validator(), full());
    let built = parse(&full).unwrap().build();
    assert!(built.is_ok(), "{built:?}");
    let errors: Vec<String> = validator.iter_errors(&full).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut places = Vec::new();
    closed(&full, "", &mut places);
    assert!(places.len() >= 15, "{places:?}");
    for place in places {
        let mut changed = full.clone();
        changed.pointer_mut(&place).unwrap()["no_such_field"] = json!(1);
        // Options of engines are checked when the pipeline is built.
        assert!(parse(&changed).and_then(|file| file.build()).is_err(), "{place}");
        assert!(!validator.is_valid(&changed), "{place}");
    }
}

/// The names of all fields under an object of the schema.
fn fields(schema: &Value) -> Vec<String> {
    schema["properties"].as_object().expect("an object's schema").keys().cloned().collect()
}

#[test]
fn the_parser_knows_every_field_of_the_schema() {
    let schema = PipelineFile::schema();
    for (definition, place) in [
        ("/$defs/Stage", "/stage/0"),
        ("/$defs/RuntimeEnv", "/stage/0/runtime_env"),
        ("/$defs/RuntimeEnv/properties/config", "/runtime_env/config"),
        ("/$defs/Resources", "/stage/0/resources"),
        ("/$defs/Engine", "/engine"),
        ("/$defs/RayStageSpec", "/stage/0/ray_stage_spec"),
        ("/$defs/XennaStageSpec", "/stage/0/xenna_stage_spec"),
        ("", ""),
    ] {
        for field in fields(schema.pointer(definition).unwrap()) {
            let mut changed = full();
            changed.pointer_mut(place).unwrap()[&field] = json!({ "no": "value" });
            let error = parse(&changed).and_then(|file| file.build()).map(drop);
            let text = error.map_or_else(|error| error.to_string(), |()| String::new());
            for words in ["unknown field", "has no option"] {
                assert!(!text.contains(&format!("{words} `{field}`")), "{place}/{field}: {text}");
            }
        }
    }
}

#[test]
fn wrong_values_are_invalid() {
    let validator = validator();
    for (place, value) in [
        ("/name", json!(1)),
        ("/failure_policy", json!("ignore")),
        ("/engine/backend", json!("spark")),
        ("/engine/ray_env", json!("uv")),
        ("/engine/init", json!([])),
        ("/base", json!("")),
        ("/stage/0/batch_size", json!(0)),
        ("/stage/0/batch_size", json!("4")),
        ("/stage/0/isolation", json!("none")),
        ("/stage/0/args", json!("text")),
        ("/stage/0/runtime_env/uv", json!(1)),
        ("/stage/0/ray_stage_spec/is_actor_stage", json!(1)),
        ("/stage/0/ray_stage_spec/ray_remote_args", json!({ "num_cpus": 1 })),
        ("/runtime_env/env_vars/A", json!(1)),
        ("/runtime_env/config/setup_timeout_seconds", json!(0)),
    ] {
        let mut changed = full();
        *changed.pointer_mut(place).unwrap() = value;
        assert!(parse(&changed).and_then(|file| file.build()).is_err(), "{place}");
        assert!(!validator.is_valid(&changed), "{place}");
    }
    let mut both = full();
    both["runtime_env"]["uv"] = json!(["b"]);
    assert!(parse(&both).is_err() && !validator.is_valid(&both));
    let mut neither = full();
    neither["stage"][0].as_object_mut().unwrap().remove("python");
    assert!(parse(&neither).is_err() && !validator.is_valid(&neither));
}
