//! JSON as a type of the user.

use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use super::Json;
use crate::BoxError;

impl Json {
    /// Reads the value as a type.
    ///
    /// In some cases (`flatten`, `untagged`), serde buffers a value before it knows the type. The
    /// text's numbers then have a form that only [`Value`] understands, unless they are integers of
    /// 64 bits. So a type with an `f64` there is read on a second attempt.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, BoxError> {
        match serde_json::from_str(self.text()) {
            Ok(read) => return Ok(read),
            // Each level is a nested call.
            Err(error) if error.to_string().starts_with("recursion limit") => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        let mut value = self.into_value()?;
        as_rust_writes(&mut value);
        Ok(serde_json::from_value(value)?)
    }
}

/// Rewrites every floating-point number as Rust writes it.
fn as_rust_writes(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(exact) = number.as_f64().and_then(Number::from_f64) {
                *number = exact;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_rust_writes),
        Value::Object(entries) => entries.values_mut().for_each(as_rust_writes),
        _ => {}
    }
}
