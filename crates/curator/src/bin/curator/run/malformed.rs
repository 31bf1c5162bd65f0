//! Lines of the input that are no tasks, as they are kept for those who mend them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use curator::stage::TaskId;
use serde_json::{Value, json};

/// Under this the text of such a line stands.
const FIELD: &str = "malformed";

/// A line that is no task.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Its number in the input, from 1.
    pub(crate) number: usize,
    pub(crate) text: Vec<u8>,
    /// What is wrong with it, and where.
    pub(crate) problem: String,
}

impl Malformed {
    /// Returns what is wrong with it, without advice.
    pub(crate) fn message(&self) -> &str {
        self.problem.split_once("\n\n").map_or(&self.problem, |(message, _)| message)
    }

    /// Returns it as a line of the file of failed tasks: with its text, which is read as the line
    /// that it was when the file is the input of another run.
    pub(crate) fn to_json_line(&self, index: u64) -> String {
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) => json!({ "text": text }),
            Err(_) => json!({ "base64": BASE64_STANDARD.encode(&self.text) }),
        };
        json!({
            FIELD: text,
            "line": self.number,
            "id": TaskId::root().child(index),
            "failures": [{ "message": self.message(), "tries": 0 }],
        })
        .to_string()
    }
}

/// Returns the text of a line that was kept, mended perhaps; none if it is another line.
pub(super) fn of_line(line: &[u8]) -> Option<Vec<u8>> {
    // Most lines are told from these by their first letters.
    if !line.trim_ascii_start().starts_with(b"{")
        || !line.windows(FIELD.len()).any(|part| part == FIELD.as_bytes())
    {
        return None;
    }
    let value: Value = serde_json::from_slice(line).ok()?;
    let fields = value.as_object()?;
    let is_ours = |name: &String| [FIELD, "line", "id", "failures"].contains(&name.as_str());
    if !fields.contains_key("line") || !fields.keys().all(is_ours) {
        return None;
    }
    let text = fields.get(FIELD)?.as_object().filter(|text| text.len() == 1)?;
    match text.iter().next()? {
        (kind, Value::String(text)) if kind == "text" => Some(text.clone().into_bytes()),
        (kind, Value::String(text)) if kind == "base64" => BASE64_STANDARD.decode(text).ok(),
        _ => None,
    }
}
