//! The ids of tasks, read from text.

use std::str::FromStr;

use super::id::{TaskId, parse};
use crate::Error;

impl FromStr for TaskId {
    type Err = Error;

    /// Reads exactly what `Display` writes; anything else, for instance `0_01` or `R…`, is
    /// [`Error::TaskId`].
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::TaskId { text: text.chars().take(64).collect() })
    }
}

impl TryFrom<String> for TaskId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
