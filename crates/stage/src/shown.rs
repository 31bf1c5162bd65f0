//! Texts and values as a person sees them: on one line, not too long, without what looks secret.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::secret;

/// Maximum length, in characters, of a name or an argument's text that is shown: a stage's
/// arguments may hold megabytes.
const LONGEST: usize = 400;

/// Returns a text on one line, without credentials and cut to [`LONGEST`] characters.
pub(crate) fn text(text: &str) -> String {
    one_line(&cut(&envspec::redact(text)))
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Returns a value as JSON on one line, with secrets hidden and long texts cut.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_value(value).map_or("not to be shown".to_owned(), |value| {
        one_line(&cut_texts(secret::redacted(&value)).to_string())
    })
}

/// Returns the value with long texts cut. Lists stay whole, since users look for their packages in
/// them.
fn cut_texts(value: Value) -> Value {
    match value {
        Value::String(text) => cut(&text).into(),
        Value::Array(items) => items.into_iter().map(cut_texts).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, cut_texts(value))).collect()
        }
        other => other,
    }
}
