//! Kept answers: by the stage's code and arguments, the base, and the variables, as long as their
//! source files are unchanged.

use std::path::{Path, PathBuf};

use envspec::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::redacted;
use venv_cache::{Cache, Key, Memo};

use super::answer::{ClassAnswer, Sources};
use crate::provision::base::OpenBase;
use crate::provision::environment::Environment;
use crate::worker::Shims;
use crate::worker::wire::Found;

/// The place of the answer about one stage.
pub(super) struct KeptAnswer(Memo);

/// An answer, with what it depends on beside the question.
#[derive(Serialize, Deserialize)]
struct Stored {
    answer: ClassAnswer,
    /// Its source files, with their digests; without one where there was none.
    files: Vec<(PathBuf, String)>,
    /// Folders, with the names that were in them.
    #[serde(default)]
    listings: Vec<(PathBuf, Option<Vec<String>>)>,
    /// The digest of all variables, if one of the files reads any.
    #[serde(default)]
    variables: Option<String>,
}

impl KeptAnswer {
    pub(super) fn new(
        cache: &Cache,
        base: &OpenBase,
        location: &Value,
        args: &Value,
        environment: &Environment,
    ) -> Self {
        let (python, location) = (base.base.python(), location.to_string());
        let (args, vars) = (args.to_string(), environment.own_digest());
        let parts: [(&str, &[u8]); 6] = [
            ("shim", Shims::version().as_bytes()),
            ("python", python.as_os_str().as_encoded_bytes()),
            ("base", base.base.fingerprint().as_bytes()),
            ("location", location.as_bytes()),
            ("args", args.as_bytes()),
            ("vars", vars.as_bytes()),
        ];
        let question = Key::derive("backends/class/v1", &parts);
        Self(Memo::new(&cache.interpreters_dir(), "class", &question))
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.file()
    }

    /// Returns the answer, if there is one and its files are unchanged.
    pub(super) fn read(&self, environment: &Environment) -> Option<ClassAnswer> {
        let Stored { answer, files, listings, variables } = self.0.read()?;
        if variables.is_some_and(|then| then != digest_of_vars(environment)) {
            return None;
        }
        let is_same = |(path, digest): &(PathBuf, String)| {
            let bytes = files::read_file(path, files::MOST_TEXT);
            let now = bytes.map(|bytes| Digest::of(&bytes).to_string()).unwrap_or_default();
            now == *digest
        };
        let is_listed = |(path, names): &(PathBuf, Option<Vec<String>>)| listing(path) == *names;
        let is_unchanged = files.iter().all(is_same) && listings.iter().all(is_listed);
        is_unchanged.then(|| ClassAnswer { kept: self.file(), ..answer })
    }

    /// Keeps an answer, unless it may contain a secret.
    pub(super) fn write(&self, answer: &ClassAnswer, sources: Sources, environment: &Environment) {
        if !is_open(answer) {
            return;
        }
        let Sources { digests: files, listings, has_variables } = sources;
        let variables = has_variables.then(|| digest_of_vars(environment));
        self.0.write(&Stored { answer: answer.clone(), files, listings, variables });
    }
}

/// Returns the names in a folder, in the order and with the exception of `names_in` in
/// `curator_watch.py`.
fn listing(folder: &Path) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect::<Option<_>>()?;
    names.retain(|name| name != "__pycache__");
    // Both orders are those of characters.
    names.sort_unstable();
    Some(names)
}

fn digest_of_vars(environment: &Environment) -> String {
    Digest::of(format!("{:?}", environment.vars()).as_bytes()).to_string()
}

/// Returns whether nothing in an answer looks secret.
fn is_open(answer: &ClassAnswer) -> bool {
    let is_open_text = |text: &str| envspec::redact(text) == text;
    answer.found.settings.values().all(|found| match found {
        Found::Value(value) => redacted(value) == *value && is_open_text(&value.to_string()),
        Found::Unread(why) => is_open_text(why),
    })
}
