//! The parts of a stage's JSON Schema that do not follow from its types.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::options::{RAY, XENNA};

/// `ray_stage_spec`.
pub(super) struct RayOptions;

/// `xenna_stage_spec`.
pub(super) struct XennaOptions;

/// `args`.
pub(super) struct Args;

impl JsonSchema for RayOptions {
    fn schema_name() -> Cow<'static, str> {
        "RayStageSpec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        RAY.schema().try_into().unwrap_or_default()
    }
}

impl JsonSchema for XennaOptions {
    fn schema_name() -> Cow<'static, str> {
        "XennaStageSpec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        XENNA.schema().try_into().unwrap_or_default()
    }
}

impl JsonSchema for Args {
    fn schema_name() -> Cow<'static, str> {
        "Args".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "array"] })
    }
}
