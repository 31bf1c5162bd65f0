//! A task as one line of JSON, which is how files of tasks hold them.

use serde_json::Value;

use crate::{Data, Task};

/// The fields of a whole task besides `data`. What a run wrote about a task that failed stands
/// under `failures`, and is not read again.
const FIELDS: [&str; 5] = ["id", "dataset_name", "metadata", "timings", "failures"];

impl Task {
    /// Reads a line of a JSON Lines file.
    ///
    /// A line is the task's data, whatever JSON it is; the exception is a whole task, as `Task`
    /// serializes: an object whose `data` is `{"json": …}`, `{"base64": "…"}` or `{"arrow": "…"}`, and
    /// that has no fields but a task's.
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
    /// Fails if the line is no JSON, or a whole task with a field that is wrong.
    pub fn from_json_line(line: &str) -> Result<Self, serde_json::Error> {
        let mut value: Value = serde_json::from_str(line)?;
        if !is_whole(&value) {
            return Ok(Self::new(value));
        }
        if let Some(fields) = value.as_object_mut() {
            fields.remove("failures");
        }
        serde_json::from_value(value)
    }

    /// Writes the line that [`from_json_line`](Self::from_json_line) reads back, without id and
    /// timings: the data alone where that says everything, else the whole task.
    #[must_use]
    pub fn to_json_line(&self) -> String {
        if let Data::Json(value) = &self.data
            && self.metadata.is_empty()
            && self.dataset_name.is_empty()
            && !is_whole(value)
        {
            return value.to_string();
        }
        let mut whole = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = whole.as_object_mut() {
            fields.remove("id");
            fields.remove("timings");
        }
        whole.to_string()
    }
}

fn is_whole(value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return false };
    let is_data = |data: &Value| {
        data.as_object().is_some_and(|data| {
            data.len() == 1
                && data.keys().all(|key| matches!(key.as_str(), "json" | "base64" | "arrow"))
        })
    };
    fields.get("data").is_some_and(is_data)
        && fields.keys().all(|name| name == "data" || FIELDS.contains(&name.as_str()))
}
