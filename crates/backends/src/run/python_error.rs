//! Exceptions of Python, as text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An exception that a stage's Python code raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonError {
    /// The class of the exception, such as `ValueError`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text.
    pub message: String,
    /// The traceback, from the stage's own code on, in Python's format.
    pub traceback: String,
    /// The exception itself, in a form that only the program behind the stage can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickled: Option<String>,
}

impl PythonError {
    /// Returns the traceback, if it says more than the message.
    pub(crate) fn trace(&self) -> &str {
        let text = self.traceback.trim();
        if text == self.to_string() { "" } else { text }
    }
}

impl fmt::Display for PythonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}: {}", self.kind, self.message)
        }
    }
}
