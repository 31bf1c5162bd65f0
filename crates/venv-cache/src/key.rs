//! Keys of environments: digests over what they are made from.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The key of an environment: 32 bytes, written as 64 lower-case hexadecimal digits.
///
/// A key is a digest over everything that the environment is made from, so equal keys mean
/// interchangeable environments. No other text parses as a key, so a key can never lead out of the
/// cache's folder.
///
/// ```
/// use venv_cache::Key;
///
/// let key = Key::derive("example/v1", &[("base", b"3.12"), ("requirements", b"packaging==24.0")]);
/// assert_eq!(key.to_string().parse::<Key>()?, key);
/// assert!("../../etc".parse::<Key>().is_err());
/// # Ok::<(), venv_cache::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key([u8; 32]);

impl Key {
    /// Derives a key from named parts, under a domain.
    ///
    /// The domain states the meaning of the parts and carries a version: another domain gives
    /// another key for the same parts. The order of the parts matters. Every name and value is
    /// hashed after its length, so different lists of parts never hash alike.
    #[must_use]
    pub fn derive(domain: &str, parts: &[(&str, &[u8])]) -> Self {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(domain.as_bytes());
        for (name, value) in parts {
            add(name.as_bytes());
            add(value);
        }
        Self(hasher.finalize().into())
    }

    /// Makes a key from the bytes of a digest computed elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_digest_is_golden() {
        let key = Key::derive("venv-cache/test", &[("name", b"value"), ("empty", b"")]);
        assert_eq!(
            key.to_string(),
            "c82b18c18aef8c54fb3eb766e0ee47b2c64df46e29ab6fa872bedd455ca8093f"
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        let one = Key::derive("d", &[("ab", b"c")]);
        assert_ne!(one, Key::derive("d", &[("a", b"bc")]));
        assert_ne!(one, Key::derive("da", &[("b", b"c")]));
        assert_ne!(one, Key::derive("d", &[("ab", b"c"), ("", b"")]));
    }

    #[test]
    fn only_64_lower_case_digits_parse() {
        let good = "0123456789abcdef".repeat(4);
        assert!(good.parse::<Key>().is_ok());
        for bad in [
            "",
            "..",
            &good.to_uppercase(),
            &good[1..],
            &format!("{good}0"),
            &format!("{}/", &good[1..]),
            &format!("é{}", &good[2..]),
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    proptest! {
        // Parsing undoes displaying, and displaying undoes parsing, for every key and every text.
        #[test]
        fn display_and_parse_are_inverse(bytes: [u8; 32], text in "[0-9a-fA-F/.]{0,70}") {
            let key = Key::from_bytes(bytes);
            prop_assert_eq!(key.to_string().parse::<Key>().ok(), Some(key));
            if let Ok(parsed) = text.parse::<Key>() {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }
}
