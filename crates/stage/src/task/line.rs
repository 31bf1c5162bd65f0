//! A task as one line of JSON, in files of tasks.

use serde::Serialize;
use serde_json::{Map, Value};

use super::unit::Whole;
use crate::{Data, Json, Task};

/// The fields of a whole task besides `data`. A run writes the failures of a task under `failures`,
/// which is not read back.
const FIELDS: [&str; 5] = ["id", "dataset_name", "metadata", "timings", "failures"];

/// The fields of a line that a run kept since it is no task. The run that such a line is given to
/// reads its text, so data must not pass for one.
const KEPT_FIELDS: [&str; 4] = ["malformed", "line", "id", "failures"];

impl Task {
    /// Reads a line of a JSON Lines file.
    ///
    /// A line is the task's data, in any JSON. The exception is a whole task, as `Task` serializes:
    /// an object whose `data` is `{"json": …}`, `{"base64": "…"}` or `{"arrow": "…"}`, with no
    /// fields except a task's.
    ///
    /// ```
    /// use stage::Task;
    ///
    /// let task = Task::from_json_line(r#"{"text": "hello"}"#)?;
    /// assert!(task.data.has("text"));
    /// let task = Task::from_json_line(r#"{"data": {"base64": "AP8="}, "dataset_name": "d"}"#)?;
    /// assert_eq!(task.data.as_bytes(), Some(&[0, 255][..]));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// Fails if the line is not JSON, or a whole task with an invalid field.
    pub fn from_json_line(line: &str) -> Result<Self, serde_json::Error> {
        let json = Json::from_text(line)?;
        if !is_whole(&json) {
            return Ok(Self::new(json));
        }
        let whole: Whole = serde_json::from_str(line)?;
        Ok(whole.into_task())
    }

    /// Writes the line that [`from_json_line`](Self::from_json_line) reads back, without id and
    /// timings: the data alone if that is complete and can be nothing else, or else the whole task.
    #[must_use]
    pub fn to_json_line(&self) -> String {
        if let Data::Json(json) = &self.data
            && self.metadata.is_empty()
            && self.dataset_name.is_empty()
            && !is_whole(json)
            && !is_kept(json)
        {
            return json.text().to_owned();
        }
        let whole = Written {
            dataset_name: &self.dataset_name,
            data: &self.data,
            metadata: &self.metadata,
        };
        serde_json::to_string(&whole).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    dataset_name: &'a str,
    data: &'a Data,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: &'a Map<String, Value>,
}

fn is_whole(json: &Json) -> bool {
    let is_data = |text: &str| {
        let Ok(data) = Json::from_text(text) else { return false };
        let (mut count, mut is_known) = (0, false);
        data.each_entry(|kind, _| {
            count += 1;
            is_known = matches!(kind, Some("json" | "base64" | "arrow"));
            is_known && count == 1
        });
        is_known && count == 1
    };
    let (mut has_data, mut is_known) = (false, true);
    json.each_entry(|name, value| {
        is_known = match name {
            Some("data") => is_data(value),
            Some(name) => FIELDS.contains(&name),
            None => false,
        };
        has_data |= name == Some("data");
        is_known
    });
    has_data && is_known
}

/// Returns whether data has the fields of a line that a run kept.
fn is_kept(json: &Json) -> bool {
    let mut seen = [false; KEPT_FIELDS.len()];
    let mut is_known = true;
    json.each_entry(|name, _| {
        match KEPT_FIELDS.iter().position(|field| Some(*field) == name) {
            Some(place) => seen[place] = true,
            None => is_known = false,
        }
        is_known
    });
    is_known && !seen.contains(&false)
}
