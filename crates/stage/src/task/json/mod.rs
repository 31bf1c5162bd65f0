//! JSON values as text, which is parsed only when Rust code asks for the value.

mod exact;
mod parse;
mod read;
mod tokens;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use exact::{Inexact, Step, find_inexact, is_reserved, reserved};
pub use parse::JsonError;
use tokens::{Token, Tokens};

/// A JSON value: the text as it came, checked and without white space between its parts, or the
/// [`Value`] that it was made from.
///
/// The text is parsed when the value is first requested, and a value is written when its text is.
/// So data that Rust code does not read, or only reads and passes on, stays as it was written:
/// numbers of any size and precision, the order of keys, repeated keys, escapes.
///
/// Two are equal, and hash alike, if they have the same value. The order of keys and escapes do not
/// matter, and numbers are equal if they have the same digits. A value that Rust [cannot
/// represent](JsonError) equals the same text.
///
/// ```
/// use stage::Json;
///
/// let json = Json::from_text(r#"{"id": 123456789012345678901234567890, "a": 0.10}"#)?;
/// assert_eq!(json.text(), r#"{"id":123456789012345678901234567890,"a":0.10}"#);
/// assert_eq!(json.value()?["id"].to_string(), "123456789012345678901234567890");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Json {
    /// At least one of the two is set.
    text: OnceLock<Arc<String>>,
    value: OnceLock<Result<Value, JsonError>>,
    /// For a value that Rust may be unable to represent: the error, once the value was requested.
    refused: Option<Arc<OnceLock<JsonError>>>,
}

impl Json {
    /// Reads a text; fails if it is not JSON.
    pub fn from_text(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        let mut text = text.into();
        let mut tokens = Tokens::of(&text);
        loop {
            match tokens.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Err(wrong(&text, tokens.place())),
            }
        }
        let is_doubtful = tokens.has_surrogate || tokens.deepest > parse::DEEPEST;
        if tokens.has_space {
            text = without_space(&text);
        }
        let refused = is_doubtful.then(Arc::default);
        Ok(Self { text: Arc::new(text).into(), value: OnceLock::new(), refused })
    }

    /// Reads bytes; fails if they are not JSON.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, serde_json::Error> {
        let text = String::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        Self::from_text(text)
    }

    /// Returns the text, without white space between its parts.
    #[must_use]
    pub fn text(&self) -> &str {
        self.shared()
    }

    fn shared(&self) -> &Arc<String> {
        self.text.get_or_init(|| {
            Arc::new(match self.value.get() {
                // Not by `Display`, which takes several times as long for small values.
                Some(Ok(value)) => {
                    serde_json::to_string(value).unwrap_or_else(|_| value.to_string())
                }
                _ => unreachable!("there is a text or a value"),
            })
        })
    }

    /// Returns the text in shared form.
    #[must_use]
    pub fn into_text(self) -> Arc<String> {
        self.shared();
        self.text.into_inner().unwrap_or_default()
    }

    /// Returns the value, with its numbers and the order of its keys as written; fails if Rust
    /// cannot represent it.
    pub fn value(&self) -> Result<&Value, JsonError> {
        let value = self.value.get_or_init(|| parse::parse(self.text()));
        value.as_ref().map_err(|error| self.note(error))
    }

    fn note(&self, error: &JsonError) -> JsonError {
        if let Some(refused) = &self.refused {
            refused.get_or_init(|| error.clone());
        }
        error.clone()
    }

    /// Returns whether Rust may be unable to represent the value.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.refused.is_some()
    }

    /// Returns the error of Rust code that requested the value of this one or a clone.
    #[must_use]
    pub fn refused(&self) -> Option<&JsonError> {
        self.refused.as_ref()?.get()
    }

    /// Returns the value; fails if Rust cannot represent it.
    pub fn into_value(self) -> Result<Value, JsonError> {
        self.value()?;
        self.value.into_inner().unwrap_or(Ok(Value::Null))
    }

    /// Drops the parsed value if the text is there too.
    #[must_use]
    pub fn without_value(self) -> Self {
        let refused = self.refused.clone();
        Self { text: self.into_text().into(), value: OnceLock::new(), refused }
    }

    /// Returns whether it is an object with that key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        if let Some(Ok(value)) = self.value.get() {
            return value.get(key).is_some();
        }
        let mut found = false;
        self.each_entry(|name, _| {
            found = name == Some(key);
            !found
        });
        found
    }

    /// Shows the entries of an object until `show` returns false: the key, unless Rust cannot
    /// represent it, and the text of the value. Other values have no entries.
    pub(super) fn each_entry(&self, mut show: impl FnMut(Option<&str>, &str) -> bool) {
        let text = self.text();
        let mut tokens = Tokens::of(text);
        if !matches!(tokens.next(), Ok(Some(Token::BeginObject))) {
            return;
        }
        while let Ok(Some(Token::Key(range, is_escaped))) = tokens.next() {
            let start = range.end + 1;
            while tokens.next().is_ok_and(|token| token.is_some()) && tokens.depth() > 1 {}
            let value = &text[start..tokens.place()];
            let key = parse::unescaped(&text[range], is_escaped);
            if !show(key.as_deref(), value) {
                return;
            }
        }
    }
}

/// Returns the error of a text that is not JSON.
fn wrong(text: &str, place: usize) -> serde_json::Error {
    let rest = text.get(place..).unwrap_or_default();
    let number = ["NaN", "Infinity", "-Infinity"].into_iter().find(|it| rest.starts_with(it));
    if let Some(number) = number {
        let line = text[..place].matches('\n').count() + 1;
        let column = place - text[..place].rfind('\n').map_or(0, |at| at + 1) + 1;
        return serde_json::Error::custom(format_args!(
            "{number} is no JSON (use null) at line {line} column {column}"
        ));
    }
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => error,
        Ok(_) => serde_json::Error::custom("it is no JSON"),
    }
}

/// Returns JSON without the white space between its tokens.
fn without_space(text: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let is_kept = |letter: &char| {
        if is_text {
            is_text = is_escaped || *letter != '"';
            is_escaped = !is_escaped && *letter == '\\';
            return true;
        }
        is_text = *letter == '"';
        !matches!(letter, ' ' | '\n' | '\r' | '\t')
    };
    text.chars().filter(is_kept).collect()
}

impl Default for Json {
    /// Returns `null`.
    fn default() -> Self {
        Value::Null.into()
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self { text: OnceLock::new(), value: Ok(value).into(), refused: None }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        if let (Some(text), Some(other)) = (self.text.get(), other.text.get())
            && text == other
        {
            return true;
        }
        match (self.value(), other.value()) {
            (Ok(value), Ok(other)) => value == other,
            (Err(_), Err(_)) => self.text() == other.text(),
            _ => false,
        }
    }
}

impl Eq for Json {}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.value() {
            Ok(value) => value.hash(state),
            Err(_) => self.text().hash(state),
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_str(self.text()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_text(String::from(Box::<str>::from(raw))).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
