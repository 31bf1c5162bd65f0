//! Keeps secrets out of everything that is shown and written.
//!
//! Text of stages is cleaned where it comes in: lines that workers print, exceptions, and errors of
//! Rust stages. So no event, error, report, record or file contains a secret. Data stays unchanged.

mod forms;

use std::borrow::Cow;
use std::env;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::error::Error;
use super::event::Event;
use super::failure::{Cause, FailedTask};
use super::plan::Plan;
use super::python_error::PythonError;

/// The text in place of a secret.
const HIDDEN: &str = "<hidden>";
/// Shorter values are common words.
const SHORTEST: usize = 6;

/// Texts that must not be shown. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Vec<String>>);

impl Secrets {
    /// Collects the values of environment variables of a plan's stages, and of this process, that
    /// have the name of a secret.
    pub(crate) fn from_env(plan: &Plan) -> Self {
        let mut secrets = Collected::default();
        let vars = plan.stages().iter().filter_map(|stage| stage.env()).flat_map(|it| &it.env_vars);
        for (_, value) in vars.filter(|(name, _)| envspec::names_a_secret(name)) {
            secrets.add(value);
            // Workers replace `${NAME}` by this process's value of that name.
            for name in value.split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
                secrets.add(&env::var(name).unwrap_or_default());
            }
        }
        for (name, value) in env::vars_os() {
            // A user's name stands in most paths.
            let is_secret = |name: &str| envspec::names_a_secret(name) && name != "USERNAME";
            if name.to_str().is_some_and(is_secret) {
                secrets.add(&value.to_string_lossy());
            }
        }
        secrets.sorted()
    }

    /// Returns a text without any secret, and without the credentials of URLs.
    pub(crate) fn text<'t>(&self, text: impl Into<Cow<'t, str>>) -> String {
        let text = text.into();
        let mut text = match envspec::redact(&text) {
            Cow::Owned(redacted) => redacted,
            Cow::Borrowed(_) => text.into_owned(),
        };
        for secret in self.0.iter() {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }

    fn texts(&self, texts: Vec<String>) -> Vec<String> {
        texts.into_iter().map(|text| self.text(text)).collect()
    }

    fn raised(&self, error: PythonError) -> PythonError {
        let said = [&error.kind, &error.message, &error.traceback].map(String::clone);
        let mut told = PythonError {
            kind: self.text(error.kind),
            message: self.text(error.message),
            traceback: self.text(error.traceback),
            pickled: error.pickled,
        };
        // A secret in its text would stand in the exception itself, too.
        if [&told.kind, &told.message, &told.traceback] != said.each_ref() {
            told.pickled = None;
        }
        told
    }

    fn cause(&self, cause: Cause) -> Cause {
        match cause {
            Cause::Raised(error) => Cause::Raised(self.raised(error)),
            Cause::Failed(chain) => Cause::Failed(self.texts(chain)),
            Cause::Panicked(text) => Cause::Panicked(self.text(text)),
            Cause::Protocol(text) => Cause::Protocol(self.text(text)),
            Cause::Unreadable(text) => Cause::Unreadable(self.text(text)),
            Cause::Died(_) | Cause::Deadline(_) | Cause::MissingInput(_) => cause,
        }
    }

    pub(crate) fn failed(&self, failed: FailedTask) -> FailedTask {
        let (cause, log) = (self.cause(failed.cause), self.texts(failed.log));
        FailedTask { cause, log, ..failed }
    }

    /// Returns an error with secrets removed from the stage's text in it.
    pub(crate) fn error(&self, error: Error) -> Error {
        match error {
            Error::WorkerSetup { stage, phase, environment, error, log } => Error::WorkerSetup {
                stage,
                phase,
                environment,
                error: Box::new(self.raised(*error)),
                log: self.texts(log),
            },
            Error::RustSetup { stage, cause } => {
                Error::RustSetup { stage, cause: self.cause(cause) }
            }
            Error::Protocol { stage, problem } => {
                Error::Protocol { stage, problem: self.text(problem) }
            }
            Error::Task(failed) => Error::Task(Box::new(self.failed(*failed))),
            error => error,
        }
    }

    /// Returns an event with secrets removed from the stage's text in it.
    pub(crate) fn event<'e>(&self, event: &'e Event) -> Cow<'e, Event> {
        Cow::Owned(match event {
            Event::Warning { stage, message } => {
                Event::Warning { stage: stage.clone(), message: self.text(message) }
            }
            Event::Retried { stage, tasks, reason } => {
                Event::Retried { stage: stage.clone(), tasks: *tasks, reason: self.text(reason) }
            }
            Event::TaskFailed(failed) => Event::TaskFailed(self.failed(failed.clone())),
            // Lines are cleaned where they are read, and the other text is ours.
            event => return Cow::Borrowed(event),
        })
    }

    /// Returns the value without secrets.
    pub(crate) fn hidden(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|it| self.hidden(it)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, it)| (self.text(&name), self.hidden(it))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

/// The secrets collected so far.
#[derive(Default)]
struct Collected(Vec<String>);

impl Collected {
    fn add(&mut self, value: &str) {
        // A file's path, such as that of an agent's socket, is no secret.
        if value.contains("${") || Path::new(value).exists() {
            return;
        }
        // A secret may be printed line by line.
        let plain = value.lines().map(str::trim).chain([value]);
        self.0.extend(plain.filter(|form| form.len() >= SHORTEST).map(ToOwned::to_owned));
        // It may also stand in quotes, in data or in a URL.
        let value = value.trim();
        if value.len() >= SHORTEST {
            self.0.extend(forms::of(value));
        }
    }

    fn sorted(mut self) -> Secrets {
        // The longest first: one may be part of another.
        self.0.sort_by(|a, b| (b.len(), b).cmp(&(a.len(), a)));
        self.0.dedup();
        Secrets(Arc::new(self.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        let mut secrets = Collected::default();
        for value in ["one line\nand-another", "hush-token", "short", "${HF_TOKEN}", "/dev/null"] {
            secrets.add(value);
        }
        let secrets = secrets.sorted();
        assert_eq!(
            secrets.text("and-another of 'one line\\nand-another'"),
            "<hidden> of '<hidden>'"
        );
        let value = json!({
            "a": ["short", { "b": "token=hush-token at https://me:hush@host/x" }],
            "c": "${HF_TOKEN} /dev/null", "d": 1,
        });
        let shown = json!({
            "a": ["short", { "b": "token=<hidden> at https://host/x" }],
            "c": "${HF_TOKEN} /dev/null", "d": 1,
        });
        assert_eq!(secrets.hidden(value), shown);
    }
}
