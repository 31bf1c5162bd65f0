//! The base of a pipeline's environments.

use std::fmt;
use std::path::PathBuf;

use envspec::RuntimeEnv;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The environment that a pipeline's environments stand on, as data.
///
/// In a pipeline file it is a path, or a table as in `{ uv = ["packaging==26.0"] }`.
#[derive(Clone, Debug, PartialEq)]
pub enum BaseSpec {
    /// An interpreter, or the folder of its environment.
    Python(PathBuf),
    /// An environment made from a bare interpreter and requirements, and kept in the cache.
    Managed(Box<RuntimeEnv>),
}

impl From<PathBuf> for BaseSpec {
    fn from(python: PathBuf) -> Self {
        Self::Python(python)
    }
}

impl From<RuntimeEnv> for BaseSpec {
    fn from(env: RuntimeEnv) -> Self {
        Self::Managed(Box::new(env))
    }
}

impl Serialize for BaseSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Python(path) => path.serialize(serializer),
            Self::Managed(env) => env.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BaseSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BaseVisitor)
    }
}

/// Written by hand, since an untagged enum loses errors within the table.
struct BaseVisitor;

impl<'de> Visitor<'de> for BaseVisitor {
    type Value = BaseSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of a Python, or a table with `pip` or `uv`")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<BaseSpec, E> {
        if path.is_empty() {
            return Err(E::custom("the path of the base is empty"));
        }
        Ok(BaseSpec::Python(path.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BaseSpec, A::Error> {
        RuntimeEnv::deserialize(MapAccessDeserializer::new(map)).map(BaseSpec::from)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for BaseSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Base".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let env = generator.subschema_for::<RuntimeEnv>();
        schemars::json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, env] })
    }
}
