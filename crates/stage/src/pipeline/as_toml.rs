//! JSON values written as TOML, which has fewer numbers.

use serde::ser::{Error, Serialize, Serializer};
use serde_json::Value;

/// A JSON value for a format that has only integers of 64 bits and doubles.
pub(super) struct AsToml<'a>(pub(super) &'a Value);

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
