//! Texts and values as a person sees them: on one line, not too long, without what looks secret.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::secret;

/// The longest a name or a text within arguments is shown, in characters: a stage may carry
/// megabytes of them.
const LONGEST: usize = 400;

/// Shows a text on one line, cut where it is too long, without credentials.
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

/// Shows a value as JSON on one line, without what looks secret.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_value(value).map_or("not to be shown".to_owned(), |value| {
        one_line(&cut_texts(secret::redacted(&value)).to_string())
    })
}

/// The same value with its long texts cut. Lists stay whole: people look for their packages here.
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
