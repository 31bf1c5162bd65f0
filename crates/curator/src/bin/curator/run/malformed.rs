//! Lines of the input that are no tasks, as they are kept for those who mend them.

use std::num::NonZeroUsize;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use curator::stage::TaskId;
use serde::{Deserialize, Serialize};

/// The name of the field with the text of such a line.
const FIELD: &str = "malformed";

/// A line that is no task.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Its number in the input, from 1.
    pub(crate) number: NonZeroUsize,
    pub(crate) text: Vec<u8>,
    /// What is wrong with it, and where.
    pub(crate) problem: String,
}

/// Such a line in the file of failed tasks. Data with all these fields, and no others, is written
/// as a whole task (`Task::to_json_line`), so that it is not taken for one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    malformed: Text,
    line: NonZeroUsize,
    id: TaskId,
    failures: [Failure; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Text {
    Text(String),
    /// What is not UTF-8.
    Base64(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    message: String,
    tries: u64,
}

impl Malformed {
    /// Returns what is wrong with it, without advice.
    pub(crate) fn message(&self) -> &str {
        self.problem.split_once("\n\n").map_or(&self.problem, |(message, _)| message)
    }

    /// Returns it as a line of the file of failed tasks: with its text, which is read as the line
    /// that it was when the file is the input of another run.
    pub(crate) fn to_json_line(&self, index: u64) -> String {
        let kept = Kept {
            malformed: match std::str::from_utf8(&self.text) {
                Ok(text) => Text::Text(text.to_owned()),
                Err(_) => Text::Base64(BASE64_STANDARD.encode(&self.text)),
            },
            line: self.number,
            id: TaskId::root().child(index),
            failures: [Failure { message: self.message().to_owned(), tries: 0 }],
        };
        // Text and numbers always become JSON.
        serde_json::to_string(&kept).unwrap_or_default()
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
    let kept: Kept = serde_json::from_slice(line).ok()?;
    match kept.malformed {
        Text::Text(text) => Some(text.into_bytes()),
        Text::Base64(text) => BASE64_STANDARD.decode(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use curator::Task;
    use curator::stage::strategies::json;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// Generates a line that was kept, whatever was in it.
    fn kept() -> impl Strategy<Value = (Vec<u8>, String)> {
        let text = prop_oneof![any::<String>().prop_map(String::into_bytes), any::<Vec<u8>>()];
        (text, 1_usize.., any::<u64>(), any::<String>()).prop_map(|(text, line, index, problem)| {
            let number = NonZeroUsize::new(line).expect("a line from 1");
            let malformed = Malformed { number, text: text.clone(), problem };
            (text, malformed.to_json_line(index))
        })
    }

    proptest! {
        /// What was kept is the line that it was.
        #[test]
        fn a_kept_line_is_read_back((text, line) in kept()) {
            prop_assert_eq!(of_line(line.as_bytes()), Some(text));
        }

        /// Data comes back as it is from a line that a run writes, also data that is such a kept
        /// line, or nearly one.
        #[test]
        fn data_that_looks_like_a_kept_line_is_data(
            (_, line) in kept(), left_out in prop::option::of(0_usize..4),
            change in prop::option::of((0_usize..5, json())),
        ) {
            let mut fields: Map<String, Value> = serde_json::from_str(&line).unwrap();
            let names = ["malformed", "line", "id", "failures", "more"];
            if let Some(left_out) = left_out {
                fields.remove(names[left_out]);
            }
            if let Some((place, value)) = change {
                fields.insert(names[place].to_owned(), value);
            }
            let task = Task::new(Value::Object(fields));
            let written = task.to_json_line();
            prop_assert_eq!(of_line(written.as_bytes()), None);
            prop_assert_eq!(Task::from_json_line(&written).unwrap().data, task.data);
        }
    }

    /// Other lines are data, also in an input that no run wrote.
    #[test]
    fn only_the_whole_form_is_a_kept_line() {
        for line in [
            r#"{"malformed":{"text":"1"},"line":3}"#,
            r#"{"malformed":{"text":""},"line":4}"#,
            r#"{"malformed":{"text":""},"line":4,"id":"0_3"}"#,
            r#"{"malformed":{"text":""},"line":4,"id":"x","failures":[{"message":"","tries":0}]}"#,
            r#"{"malformed":{"text":""},"line":0,"id":"0","failures":[{"message":"","tries":0}]}"#,
            r#"{"malformed":{"text":""},"line":4,"id":"0","failures":[{"message":""}]}"#,
            r#"{"malformed":{"text":""},"line":4,"id":"0","failures":[]}"#,
            r#"{"malformed":"","line":4,"id":"0","failures":[{"message":"","tries":0}]}"#,
        ] {
            assert_eq!(of_line(line.as_bytes()), None, "{line}");
        }
        let kept =
            r#"{"malformed":{"text":""},"line":4,"id":"0","failures":[{"message":"","tries":0}]}"#;
        assert!(of_line(kept.as_bytes()).is_some());
    }
}
