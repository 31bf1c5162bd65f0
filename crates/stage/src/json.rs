//! JSON values read from a format with more types than JSON, without a silent loss.
//!
//! `serde_json` itself turns a `nan` of TOML into `null`, and a date into an object with a private
//! key.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// The key by which the `toml` crate marks a map that stands for a date.
const DATE_KEY: &str = "$__toml_private_datetime";

/// The key by which `serde_json` marks a map that stands for a number with other digits than Rust
/// writes.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// Reads a JSON value; refuses dates, and numbers that JSON lacks.
pub(crate) fn value<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
    Strict::deserialize(from).map(|strict| strict.0)
}

/// Reads a JSON object.
pub(crate) fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match value(from)? {
        Value::Object(object) => Ok(object),
        _ => Err(D::Error::custom("a table is wanted here")),
    }
}

/// A JSON value for a format that has only integers of 64 bits and doubles.
pub(crate) struct AsToml<'a>(pub(crate) &'a Value);

impl Serialize for AsToml<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => to.serialize_i64(integer),
                (None, Some(float)) if number.is_f64() && is_exact(number.as_str(), float) => {
                    to.serialize_f64(float)
                }
                _ => Err(S::Error::custom(format_args!(
                    "TOML has no such number: {number} (write it in quotes, or the pipeline as JSON)"
                ))),
            },
            Value::Array(items) => to.collect_seq(items.iter().map(AsToml)),
            Value::Object(entries) => {
                to.collect_map(entries.iter().map(|(key, value)| (key, AsToml(value))))
            }
            other => other.serialize(to),
        }
    }
}

/// Returns whether a number equals its digits exactly, instead of being the nearest one.
fn is_exact(digits: &str, number: f64) -> bool {
    decimal(digits) == decimal(&format!("{number:e}"))
}

/// Returns a number as its sign, its digits without zeros at the end, and the power of ten of the
/// last one.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole.trim_start_matches('-'), fraction].concat();
    let trimmed = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - trimmed.len()).ok()?;
    let power = exponent - i64::try_from(fraction.len()).ok()? + zeros;
    let digits = trimmed.trim_start_matches('0').to_owned();
    let power = if digits.is_empty() { 0 } else { power };
    Some((number.starts_with('-'), digits, power))
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
        Number::from_i128(value).map(Value::Number).ok_or_else(no_number)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Number::from_u128(value).map(Value::Number).ok_or_else(no_number)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(no_number)
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
            if key == NUMBER_KEY {
                let digits: String = entries.next_value()?;
                return digits.parse().map(Value::Number).map_err(A::Error::custom);
            }
            if key == DATE_KEY {
                return Err(A::Error::custom("JSON has no dates: write it in quotes"));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

fn no_number<E: Error>() -> E {
    E::custom("JSON has no such number")
}
