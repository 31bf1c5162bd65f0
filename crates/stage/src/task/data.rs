//! The data of a task.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::json::{Json, JsonError};
#[cfg(feature = "arrow")]
use super::table::Table;

/// The data of a task: a JSON value, bytes that executors do not read, or, with the feature
/// `arrow`, a table.
///
/// In JSON it is `{"json": …}`, `{"base64": "…"}` or `{"arrow": "…"}`, an Arrow IPC stream in base
/// 64.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Data {
    /// A JSON value, usually an object whose keys are the declared inputs and outputs of stages.
    Json(Json),
    /// Bytes.
    #[serde(rename = "base64", serialize_with = "to_base64", deserialize_with = "from_base64")]
    Bytes(Vec<u8>),
    /// A table, whose columns are the declared inputs and outputs of stages.
    #[cfg(feature = "arrow")]
    #[serde(rename = "arrow")]
    Table(Table),
}

impl Data {
    /// Returns the JSON value, if it is one that Rust can represent; [`json`](Self::json) returns
    /// why not.
    #[must_use]
    pub fn as_json(&self) -> Option<&Value> {
        self.json()?.ok()
    }

    /// Returns the JSON value, if it is one; the error says why Rust cannot represent it.
    #[must_use]
    pub fn json(&self) -> Option<Result<&Value, JsonError>> {
        match self {
            Self::Json(json) => Some(json.value()),
            _ => None,
        }
    }

    /// Returns the bytes, if it is bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the table, if it is one.
    #[cfg(feature = "arrow")]
    #[must_use]
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Returns whether it is a JSON object with that key, or a table with that column.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        #[cfg(feature = "arrow")]
        if let Self::Table(table) = self {
            return table.has(key);
        }
        matches!(self, Self::Json(json) if json.has(key))
    }
}

impl Default for Data {
    /// Returns JSON `null`.
    fn default() -> Self {
        Self::Json(Json::default())
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        Self::Json(value.into())
    }
}

impl From<Json> for Data {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

#[cfg(feature = "arrow")]
impl From<Table> for Data {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Data;

    #[test]
    fn the_json_form_tells_bytes_from_values() {
        let data = Data::from(vec![0, 255]);
        assert_eq!(serde_json::to_value(&data).unwrap(), json!({ "base64": "AP8=" }));
        let data = Data::from(json!({ "base64": "AP8=" }));
        assert_eq!(serde_json::to_value(&data).unwrap(), json!({ "json": { "base64": "AP8=" } }));
        assert!(serde_json::from_value::<Data>(json!({ "base64": "A" })).is_err());
        assert!(serde_json::from_value::<Data>(json!({ "jsn": 1 })).is_err());
    }
}
