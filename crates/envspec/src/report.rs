//! Errors for people.

use std::error::Error;

/// Returns the message of an error, and those of its causes.
#[must_use]
pub fn messages(error: &dyn Error) -> Vec<String> {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect()
}

/// Returns an error as text for people: its message, those of all its causes, details that would
/// overflow a message, and the way out.
///
/// ```
/// use envspec::{RuntimeEnv, report};
///
/// let error = RuntimeEnv::from_json(r#"{ "pipp": ["six"] }"#).unwrap_err();
/// assert_eq!(
///     report(&error, None, error.hint().as_deref()),
///     "error: `pipp` is no field of a runtime_env\n\nhint: did you mean `pip`?"
/// );
/// ```
#[must_use]
pub fn report(error: &dyn Error, detail: Option<&str>, hint: Option<&str>) -> String {
    let mut text = format!("error: {}", messages(error).join("\n  caused by: "));
    if let Some(detail) = detail {
        text.push_str("\n\n");
        text.push_str(detail);
    }
    if let Some(hint) = hint {
        text.push_str("\n\nhint: ");
        text.push_str(hint);
    }
    text
}
