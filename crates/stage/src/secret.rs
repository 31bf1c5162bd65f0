//! What must not be shown: values under names that look secret, and credentials in URLs.

use std::fmt;

use serde_json::{Map, Value};

/// What is shown in place of a secret.
pub(crate) const HIDDEN: &str = "<hidden>";

/// Parts of a name that make its value a secret, wherever they stand once separators are cut.
const PARTS: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
];

/// Words that make it one when they stand alone.
const WORDS: [&str; 10] =
    ["key", "pat", "pwd", "pass", "auth", "dsn", "cookie", "bearer", "signature", "username"];

/// Whether a variable or an argument of this name probably holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let joined: String = lower.chars().filter(|letter| letter.is_alphanumeric()).collect();
    // A tokenizer is no token.
    joined.replace("tokeniz", "").contains("token")
        || PARTS.iter().any(|part| joined.contains(part))
        || lower.split(|letter: char| !letter.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// The same value with nothing secret in it.
///
/// Numbers, booleans and `null` stay under any name: `max_tokens` is no secret.
pub(crate) fn redacted(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(envspec::redact(text).into_owned()),
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(name, value)| {
                let hides = matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_));
                let shown = if hides && is_secret(name) { HIDDEN.into() } else { redacted(value) };
                (envspec::redact(name).into_owned(), shown)
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Options as debug output shows them.
pub(crate) struct Shown<'a>(pub(crate) &'a Map<String, Value>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", redacted(&Value::Object(self.0.clone())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_secret, redacted};

    #[test]
    fn names_of_secrets_are_told_from_others() {
        for name in ["HF_TOKEN", "hftoken", "AWS_SECRET_ACCESS_KEY", "api-key", "Password", "KEY"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["tokenizer", "MONKEY", "PATH", "keyword", "author", "compass", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn values_are_hidden_at_any_depth() {
        let value = json!({ "a": [{ "token": "hush", "max_tokens": 5 }], "secrets": ["hush"] });
        let shown =
            json!({ "a": [{ "token": "<hidden>", "max_tokens": 5 }], "secrets": "<hidden>" });
        assert_eq!(redacted(&value), shown);
    }
}
