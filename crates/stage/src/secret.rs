//! Hides secrets: values with the name of a secret, and credentials in URLs.

use std::fmt;

use serde_json::{Map, Value};

/// The text in place of a secret.
pub(crate) const HIDDEN: &str = "<hidden>";

/// Returns the value with secrets hidden.
///
/// Numbers, booleans and `null` stay under any name: `max_tokens` is no secret.
#[must_use]
pub fn redacted(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(envspec::redact(text).into_owned()),
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(name, value)| {
                let hides = matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_));
                let shown = if hides && envspec::names_a_secret(name) {
                    HIDDEN.into()
                } else {
                    redacted(value)
                };
                (envspec::redact(name).into_owned(), shown)
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Options in debug output.
pub(crate) struct Shown<'a>(pub(crate) &'a Map<String, Value>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", redacted(&Value::Object(self.0.clone())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::redacted;

    #[test]
    fn values_are_hidden_at_any_depth() {
        let value = json!({ "a": [{ "token": "hush", "max_tokens": 5 }], "secrets": ["hush"] });
        let shown =
            json!({ "a": [{ "token": "<hidden>", "max_tokens": 5 }], "secrets": "<hidden>" });
        assert_eq!(redacted(&value), shown);
    }
}
