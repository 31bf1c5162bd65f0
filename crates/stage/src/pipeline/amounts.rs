//! Amounts as people write them: a whole number with a unit.

use std::time::Duration;

const TOO_LARGE: &str = "the number is too large";

/// Parses a time: a whole number with a unit (`90s`, `30m`, `12h`, `7d`, `2w`).
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(stage::parse_age("10m"), Ok(Duration::from_secs(600)));
/// assert!(stage::parse_age("10").is_err());
/// ```
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        "" => return Err("it needs a unit: s, m, h, d or w".to_owned()),
        unit => return Err(format!("`{unit}` is none of s, m, h, d, w")),
    };
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(|| TOO_LARGE.to_owned())
}

/// Parses a number of bytes: a whole number, or one with a unit (`500MB`, `10GiB`).
///
/// ```
/// assert_eq!(stage::parse_bytes("10GiB"), Ok(10 << 30));
/// assert_eq!(stage::parse_bytes("500 MB"), Ok(500_000_000));
/// assert!(stage::parse_bytes("1.5GB").is_err());
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("`{unit}` is none of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB")),
    };
    number.checked_mul(factor).ok_or_else(|| TOO_LARGE.to_owned())
}

fn number_and_unit(text: &str) -> Result<(u64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err("it has to begin with a whole number".to_owned());
    }
    let number = number.parse().map_err(|_| TOO_LARGE.to_owned())?;
    Ok((number, unit.trim()))
}

/// Reads and writes an optional time in a file.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_age, parse_bytes};

    #[test]
    fn amounts_have_units() {
        assert_eq!(parse_bytes("1024"), Ok(1024));
        assert_eq!(parse_bytes(" 10GiB "), Ok(10 << 30));
        assert_eq!(parse_bytes("500 MB"), Ok(500_000_000));
        assert_eq!(parse_age("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in ["", "GiB", "-1", "1.5GB", "10 bits", "99999999999TB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "7", "d", "7 years", "99999999999999999999s"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        // What both refuse for one reason they refuse in the same words.
        for wrong in ["", "d", "99999999999999999999d"] {
            assert_eq!(parse_age(wrong).err(), parse_bytes(wrong).err(), "{wrong}");
        }
    }
}
