//! Keys, read from text.

use std::str::FromStr;

use crate::{Error, Key, Result, digits};

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidKey { text: text.chars().take(80).collect() };
        digits::decode(text).map(Self::from_bytes).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}
