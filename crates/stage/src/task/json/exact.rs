//! Finds values that a reader of JSON would alter without an error.

use std::collections::HashSet;

use super::parse::unescaped;
use super::tokens::{Token, Tokens};

/// A place of a JSON text whose value no reader keeps as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inexact {
    /// The byte at which it begins.
    pub(crate) start: usize,
    /// The way to it from the outermost value.
    pub(crate) path: Vec<Step>,
    pub(crate) problem: String,
}

/// A step on the way to a place in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the value under a key.
    Key(String),
    /// To the element with this number, from 0.
    Index(usize),
}

/// An array or object around the next token.
enum Open<'a> {
    Array(usize),
    Object { keys: HashSet<String>, key: &'a str },
}

const SURROGATE: &str = "half of a surrogate pair is no character: take it out";

/// Keys that mark numbers, raw texts and dates for the libraries that read JSON and TOML.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.starts_with("$serde_json::private::") || key.starts_with("$__toml_private_")
}

/// Returns the fault of a reserved key.
pub(crate) fn reserved(key: &str) -> String {
    format!("the key `{key}` has a meaning of its own for readers of TOML and JSON: rename it")
}

/// Returns the first place that a reader would alter: a repeated key, a reserved key, a number
/// beyond the range of a double, or half of a surrogate pair. Text that is no JSON has none.
pub(crate) fn find_inexact(text: &str) -> Option<Inexact> {
    let mut tokens = Tokens::of(text);
    let mut open: Vec<Open<'_>> = Vec::new();
    while let Ok(Some(token)) = tokens.next() {
        let wrong = |start, problem| Some(Inexact { start, path: path(&open), problem });
        match token {
            Token::Key(range, is_escaped) => {
                let Some(key) = unescaped(&text[range.clone()], is_escaped) else {
                    return wrong(range.start, SURROGATE.to_owned());
                };
                if is_reserved(&key) {
                    return wrong(range.start, reserved(&key));
                }
                let Some(Open::Object { keys, key: last }) = open.last_mut() else { return None };
                *last = &text[range.start + 1..range.end - 1];
                if keys.contains(&key) {
                    let problem = format!("the key `{key}` stands twice: take one of them out");
                    open.pop();
                    return Some(Inexact { start: range.start, path: path(&open), problem });
                }
                keys.insert(key);
                continue;
            }
            Token::Number(range) => {
                let digits = &text[range.clone()];
                let is_integer = !digits.contains(['.', 'e', 'E']);
                if !is_integer && digits.parse::<f64>().is_ok_and(f64::is_infinite) {
                    let problem = format!("{digits} is too large for a number: write it in quotes");
                    return wrong(range.start, problem);
                }
            }
            Token::Text(range, true) if unescaped(&text[range.clone()], true).is_none() => {
                return wrong(range.start, SURROGATE.to_owned());
            }
            Token::BeginArray => {
                open.push(Open::Array(0));
                continue;
            }
            Token::BeginObject => {
                open.push(Open::Object { keys: HashSet::new(), key: "" });
                continue;
            }
            Token::End => _ = open.pop(),
            Token::Null | Token::Bool(_) | Token::Text(..) => {}
        }
        if let Some(Open::Array(count)) = open.last_mut() {
            *count += 1;
        }
    }
    None
}

fn path(open: &[Open<'_>]) -> Vec<Step> {
    let steps = open.iter().map(|one| match one {
        Open::Array(count) => Step::Index(*count),
        Open::Object { key, .. } => Step::Key((*key).to_owned()),
    });
    steps.collect()
}
