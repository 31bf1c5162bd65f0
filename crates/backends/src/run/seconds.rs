//! Durations as seconds, in events and reports.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub(crate) fn serialize<S: serde::Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    // `serde` buffers the value to find the tag; the buffered number is only readable by its
    // own type.
    let number = serde_json::Number::deserialize(deserializer)?;
    let seconds = number.as_f64().unwrap_or(f64::NAN);
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}
