//! Parses JSON text into a value.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::tokens::{Token, Tokens};

/// Maximum depth of a value that Rust can represent: it frees, copies and writes each level by a
/// nested call. Python's limit is no higher by default.
pub(super) const DEEPEST: usize = 1024;

/// JSON that Rust cannot represent as a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is nested too deeply.
    #[error("the value is nested deeper than {DEEPEST} levels, which is as deep as Rust looks")]
    TooDeep,
    /// A text in it is not Unicode.
    #[error("{place} holds half of a surrogate pair, which no text of Rust can")]
    Surrogate {
        /// Its place.
        place: String,
    },
}

impl JsonError {
    /// Returns the way out.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::TooDeep => {
                "what no Rust stage looks at passes through: have a Python stage before it make it \
                 flatter"
            }
            Self::Surrogate { .. } => {
                "what no Rust stage looks at passes through: have a Python stage before it replace \
                 it, as in `text.encode(\"utf-8\", \"replace\").decode()`"
            }
        };
        Some(hint.into())
    }
}

/// An incomplete array or object.
enum Open {
    Array(Vec<Value>),
    Object(Map<String, Value>, String),
}

/// Parses a JSON text. The last value of a repeated key counts, as in Python.
pub(super) fn parse(text: &str) -> Result<Value, JsonError> {
    let mut tokens = Tokens::of(text);
    let mut open: Vec<Open> = Vec::new();
    while let Ok(Some(token)) = tokens.next() {
        let value = match token {
            Token::Null => Value::Null,
            Token::Bool(value) => Value::Bool(value),
            Token::Number(range) => text[range].parse().map_or(Value::Null, Value::Number),
            Token::Text(range, is_escaped) => {
                Value::String(unescaped(&text[range], is_escaped).ok_or_else(|| surrogate(&open))?)
            }
            Token::Key(range, is_escaped) => {
                let key = unescaped(&text[range.clone()], is_escaped).ok_or_else(|| {
                    let place = format!("the key {} of {}", &text[range], Path(&open));
                    JsonError::Surrogate { place }
                })?;
                if let Some(Open::Object(_, next)) = open.last_mut() {
                    *next = key;
                }
                continue;
            }
            Token::BeginArray | Token::BeginObject if open.len() == DEEPEST => {
                return Err(JsonError::TooDeep);
            }
            Token::BeginArray => {
                open.push(Open::Array(Vec::new()));
                continue;
            }
            Token::BeginObject => {
                open.push(Open::Object(Map::new(), String::new()));
                continue;
            }
            Token::End => match open.pop() {
                Some(Open::Array(items)) => Value::Array(items),
                Some(Open::Object(entries, _)) => Value::Object(entries),
                None => break,
            },
        };
        match open.last_mut() {
            None => return Ok(value),
            Some(Open::Array(items)) => items.push(value),
            Some(Open::Object(entries, key)) => {
                entries.insert(std::mem::take(key), value);
            }
        }
    }
    unreachable!("the text was checked")
}

/// Returns the contents of a text in quotes; none if it is not Unicode.
pub(super) fn unescaped(quoted: &str, is_escaped: bool) -> Option<String> {
    if is_escaped {
        serde_json::from_str(quoted).ok()
    } else {
        Some(quoted[1..quoted.len() - 1].to_owned())
    }
}

fn surrogate(open: &[Open]) -> JsonError {
    JsonError::Surrogate { place: Path(open).to_string() }
}

/// The place of the next value, in Python's notation.
struct Path<'a>(&'a [Open]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")?;
        self.0.iter().try_for_each(|open| match open {
            Open::Array(items) => write!(f, "[{}]", items.len()),
            Open::Object(_, key) if key.is_empty() => Ok(()),
            Open::Object(_, key) => write!(f, "[{key:?}]"),
        })
    }
}
