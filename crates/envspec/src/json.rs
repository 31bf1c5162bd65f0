//! JSON values read from a format with more types than JSON, such as TOML, without a silent loss.
//!
//! `serde_json` itself turns a `nan` of TOML into `null` and a date into an object with a private
//! key, and takes the last of two values for one key. This module refuses all three, and numbers
//! keep their digits.
//!
//! ```
//! use serde_json::{Map, Value};
//!
//! #[derive(Debug, serde::Deserialize)]
//! struct Arguments {
//!     #[serde(deserialize_with = "envspec::json::object")]
//!     args: Map<String, Value>,
//! }
//!
//! let read: Result<Arguments, _> = toml::from_str("args = { depth = 3 }");
//! assert_eq!(read?.args["depth"], 3);
//! let error = toml::from_str::<Arguments>("args = { day = 1979-05-27 }").unwrap_err();
//! assert!(error.message().contains("JSON has no dates"));
//! # Ok::<(), toml::de::Error>(())
//! ```

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// The key by which the `toml` crate marks a map that stands for a date.
const DATE_KEY: &str = "$__toml_private_datetime";

/// The key by which `serde_json` marks a map that stands for a number with other digits than Rust
/// writes.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// Reads a JSON value.
///
/// Fails for a date, for a number that JSON lacks, and for a repeated key, at any depth.
pub fn value<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    Strict::deserialize(from).map(|strict| strict.0)
}

/// Reads a JSON object as [`value`] does. Fails for any other value.
pub fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match value(from)? {
        Value::Object(object) => Ok(object),
        _ => Err(D::Error::custom("a table is wanted here")),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Number::from_i128(value).map(Value::Number).ok_or_else(|| no_number(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Number::from_u128(value).map(Value::Number).ok_or_else(|| no_number(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| no_number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER_KEY && object.is_empty() {
                let digits: String = entries.next_value()?;
                return digits.parse().map(Value::Number).map_err(A::Error::custom);
            }
            if key == DATE_KEY {
                return Err(A::Error::custom("JSON has no dates: write it in quotes"));
            }
            match object.entry(key) {
                Entry::Vacant(place) => place.insert(entries.next_value::<Strict>()?.0),
                Entry::Occupied(place) => {
                    let key = place.key();
                    return Err(A::Error::custom(format_args!("the key `{key}` stands twice")));
                }
            };
        }
        Ok(object.into())
    }
}

fn no_number<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("JSON has no number {number}: write it in quotes"))
}
