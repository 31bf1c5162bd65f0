//! Errors for people, also at the end of a program.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use stage::BoxError;

use super::super::failure::{Cause, append_log};
use super::Error;

impl Error {
    /// Returns details that would overflow a message: a traceback, a worker's last lines.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        let mut text = String::new();
        match self {
            Self::Environment { source, .. } => return source.detail(),
            Self::Task(failed) => {
                if let Cause::Raised(error) = &failed.cause {
                    text.push_str(error.trace());
                }
                append_log(&mut text, &failed.log);
            }
            Self::WorkerSetup { error, log, .. } => {
                text.push_str(error.trace());
                append_log(&mut text, log);
            }
            Self::WorkerDied { log, .. } | Self::Driver { log, .. } => append_log(&mut text, log),
            Self::Engine { log, .. } => text.push_str(&log.join("\n")),
            Self::OnNode { detail, .. } => return detail.clone(),
            _ => return None,
        }
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Returns the messages of the error and of all its causes, on one line.
    pub(crate) fn chain(&self) -> String {
        envspec::messages(self).join(": ")
    }

    /// Returns the full text for a person: the chain of messages, the details, the hint.
    #[must_use]
    pub fn report(&self) -> String {
        envspec::report(self, self.detail().as_deref(), self.hint().as_deref())
    }
}

/// An error that ends a program and prints as text for people: the error of a `main` that uses this
/// library.
///
/// The operator `?` turns any error or text into it. Rust prints the error of a `main` by its
/// `Debug`, which here is the [report](Error::report): the chain of causes, the details, the hint.
///
/// ```no_run
/// use backends::{ExecutorExt, LocalExecutor, Report};
/// use stage::{Pipeline, PythonStage, Task};
///
/// fn main() -> Result<(), Report> {
///     let pipeline = Pipeline::new("demo").with_stage(PythonStage::from_file("stages.py", "Clean"));
///     let text = std::fs::read_to_string("tasks.json")?;
///     LocalExecutor::default().run(&pipeline, [Task::from_json_line(&text)?])?;
///     Ok(())
/// }
/// ```
pub struct Report {
    text: String,
}

impl<E: Into<BoxError>> From<E> for Report {
    fn from(error: E) -> Self {
        let error: BoxError = error.into();
        let first: &(dyn StdError + 'static) = &*error;
        let chain = || std::iter::successors(Some(first), |&it| it.source());
        let own = chain().find_map(|it| it.downcast_ref::<Error>());
        let detail = own.and_then(Error::detail);
        let hint = own.and_then(Error::hint).or_else(|| chain().find_map(hint));
        Self { text: envspec::report(&*error, detail.as_deref(), hint.as_deref()) }
    }
}

/// Returns the hint of an error, if it is one of ours.
fn hint<'e>(error: &'e (dyn StdError + 'static)) -> Option<Cow<'e, str>> {
    if let Some(error) = error.downcast_ref::<envspec::Error>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<stage::Error>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<installer::Error>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<venv_cache::Error>() {
        return error.hint();
    }
    // The error inside an I/O error is not its cause, but replaces its message.
    if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return hint(inner);
    }
    error.downcast_ref::<files::Untrusted>().and_then(files::Untrusted::hint)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rust prints `Error: ` before the error of a `main`.
        f.write_str(self.text.strip_prefix("error: ").unwrap_or(&self.text))
    }
}

/// The causes of an error from another process.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Words {
    text: String,
    source: Option<Box<Self>>,
}

impl Words {
    /// Returns a chain of causes, the outermost first.
    pub(crate) fn chain(texts: impl DoubleEndedIterator<Item = String>) -> Option<BoxError> {
        let chain = texts.rfold(None, |source, text| Some(Box::new(Self { text, source })));
        chain.map(|words| words as BoxError)
    }
}
