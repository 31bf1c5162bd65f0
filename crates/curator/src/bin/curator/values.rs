//! Amounts in the form that people write.

/// Parses bytes: a whole number, or one with a unit (`500MB`, `10GiB`).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
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
    number.checked_mul(factor).ok_or_else(|| "the number is too large".to_owned())
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let problem = if number.is_empty() {
        "it has to begin with a whole number"
    } else {
        "the number is too large"
    };
    let number = number.parse().map_err(|_| problem.to_owned())?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use curator::stage::parse_age;

    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(bytes("1024"), Ok(1024));
        assert_eq!(bytes("10GiB"), Ok(10 << 30));
        assert_eq!(bytes("500 MB"), Ok(500_000_000));
        assert_eq!(parse_age("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in ["", "GiB", "-1", "1.5GB", "10 bits", "99999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "7", "d", "7 years"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
