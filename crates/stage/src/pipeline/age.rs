//! Times as people write them: a whole number with a unit.

use std::time::Duration;

/// Parses a time: a whole number with a unit (`90s`, `30m`, `12h`, `7d`, `2w`).
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(stage::parse_age("10m"), Ok(Duration::from_secs(600)));
/// assert!(stage::parse_age("10").is_err());
/// ```
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err("it has to begin with a whole number".to_owned());
    }
    let too_large = || "the number is too large".to_owned();
    let number: u64 = number.parse().map_err(|_| too_large())?;
    let factor: u64 = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        "" => return Err("it needs a unit: s, m, h, d or w".to_owned()),
        unit => return Err(format!("`{unit}` is none of s, m, h, d, w")),
    };
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(too_large)
}

/// A time in a file, which may be missing.
pub(super) mod optional {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
    pub(in crate::pipeline) fn serialize<S: Serializer>(
        age: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match age {
            Some(age) => serializer.collect_str(&format_args!("{}s", age.as_secs())),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::pipeline) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse_age(&text).map_err(D::Error::custom)).transpose()
    }
}
