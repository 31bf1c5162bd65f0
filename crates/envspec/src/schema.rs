//! The JSON Schema of a spec, from the lists of names that its reader uses.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::packages::Fields;
use crate::read::{CONFIG_FIELDS, FIELDS};
use crate::runtime_env::{ENGINE_FIELDS, RuntimeEnv};
use crate::tool::Tool;

impl JsonSchema for RuntimeEnv {
    fn schema_name() -> Cow<'static, str> {
        "RuntimeEnv".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut fields: Map<String, Value> =
            FIELDS.map(|name| (name.to_owned(), field(name))).into_iter().collect();
        for name in ENGINE_FIELDS {
            let text = "Only the Ray engines serve this field.";
            fields.insert(name.to_owned(), json!({ "description": text }));
        }
        let either = |first: &str, second: &str| {
            let given = |name: &str| {
                let none = json!({ "enum": [null, [], {}] });
                json!({ "required": [name], "properties": { (name): { "not": none } } })
            };
            json!({ "not": { "allOf": [given(first), given(second)] } })
        };
        let schema = json!({
            "type": "object",
            "description": "A Python environment over a base, in the shape of Ray's `runtime_env`. \
                An empty table is the base environment.",
            "properties": fields,
            "additionalProperties": false,
            "allOf": [either("pip", "uv")],
        });
        schema.try_into().unwrap_or_default()
    }
}

/// Returns the schema of a field. Fields that are not listed here are passed on unchanged.
fn field(name: &str) -> Value {
    let (description, schema) = match name {
        "pip" => ("Packages that pip installs.", packages(Tool::Pip)),
        "uv" => ("Packages that uv installs.", packages(Tool::Uv)),
        "python" => ("The path of a prebuilt interpreter; nothing is built.", filled()),
        "py_executable" => ("A command line that starts the workers' interpreter.", filled()),
        "env_vars" => (
            "Variables of the workers; `${NAME}` is expanded.",
            json!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } }),
        ),
        "working_dir" => ("The folder that workers run in.", filled()),
        "py_modules" => ("Folders, files and wheels on the workers' `PYTHONPATH`.", texts()),
        "excludes" => ("Patterns that are left out when Ray ships folders.", texts()),
        "constraints" => (
            "Versions that a resolution must respect, without asking for the package: lines of a \
             requirements file, or the path of one.",
            list(),
        ),
        "overrides" => ("Versions that replace what any package asks for.", list()),
        "keep" => ("Packages of the base that must not move.", texts()),
        "config" => ("How the environment is set up.", config()),
        _ => ("Only the Ray engines serve this field.", json!({})),
    };
    described(schema, description)
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

/// Returns the schema of a text that is not blank.
fn filled() -> Value {
    json!({ "type": ["string", "null"], "pattern": "\\S" })
}

fn texts() -> Value {
    json!({ "type": ["array", "null"], "items": { "type": "string" } })
}

/// Returns the schema of lines, or of the path of a file that holds them.
fn list() -> Value {
    json!({ "type": ["string", "array", "null"], "pattern": "\\S", "items": { "type": "string" } })
}

fn packages(tool: Tool) -> Value {
    let fields = Fields::of(tool);
    let properties = fields.all.map(|name| {
        let schema = if name == fields.check {
            json!({ "type": ["boolean", "null"] })
        } else if name == fields.version {
            filled()
        } else if name == fields.options {
            texts()
        } else {
            json!({ "type": ["string", "array"], "pattern": "\\S", "items": { "type": "string" } })
        };
        (name.to_owned(), schema)
    });
    let properties: Map<String, Value> = properties.into_iter().collect();
    let table = json!({
        "type": "object",
        "properties": properties,
        "required": ["packages"],
        "additionalProperties": false,
    });
    json!({ "anyOf": [list(), table] })
}

fn config() -> Value {
    let fields = CONFIG_FIELDS.map(|name| {
        let (description, schema) = match name {
            "setup_timeout_seconds" => (
                "The limit on the whole set-up in whole seconds; -1 for none.",
                json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "enum": [-1, null] }] }),
            ),
            "eager_install" => {
                ("Only the Ray engines read it.", json!({ "type": ["boolean", "null"] }))
            }
            "build_env" => ("Variables that reach the package manager and the key.", texts()),
            _ => ("Only the Ray engines read it.", texts()),
        };
        (name.to_owned(), described(schema, description))
    });
    let fields: Map<String, Value> = fields.into_iter().collect();
    json!({ "type": ["object", "null"], "properties": fields, "additionalProperties": false })
}
