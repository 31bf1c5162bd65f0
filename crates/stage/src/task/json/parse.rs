//! Text that is JSON, as a value.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::tokens::{Token, Tokens};

/// How deep a value may be for Rust to hold it, which frees, copies and writes a level by a call
/// within that of the level above it. Python holds no more by default.
pub(super) const DEEPEST: usize = 1024;

/// JSON that Rust cannot hold as a value, though it is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is nested too deeply.
    #[error("the value is nested deeper than {DEEPEST} levels, which is as deep as Rust looks")]
    TooDeep,
    /// A text in it is none in Unicode.
    #[error("{place} holds half of a surrogate pair, which no text of Rust can")]
    Surrogate {
        /// Where it stands.
        place: String,
    },
}

impl JsonError {
    /// What to do about it.
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

/// An array or object that is not complete.
enum Open {
    Array(Vec<Value>),
    Object(Map<String, Value>, String),
}

/// The value of a text that is JSON. Of a key that comes several times the last one counts, as in
/// Python.
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

/// What a text in quotes says; none if it is no Unicode.
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

/// Where the next value stands, as Python would have it.
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
