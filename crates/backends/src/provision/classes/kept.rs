//! Kept answers: by the stage's code and arguments, the base, and the variables, as long as their
//! source files are unchanged.

use std::path::{Path, PathBuf};
use std::{fs, io};

use envspec::Digest;
use files::Access;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stage::redacted;
use venv_cache::Cache;

use super::answer::{Answer, Sources};
use crate::provision::base::OpenBase;
use crate::provision::environment::Environment;
use crate::worker::Shims;
use crate::worker::wire::Found;

/// The longest record that is read.
const LONGEST: u64 = 1 << 20;
/// How many records there may be: each change of a class makes another one.
const MOST: usize = 1024;

/// The place of the answer about one stage.
pub(super) struct Kept {
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    answer: Answer,
    /// Its source files, with their digests.
    files: Vec<(PathBuf, String)>,
    /// The digest of all variables, if one of the files reads any.
    #[serde(default)]
    variables: Option<String>,
}

impl Kept {
    pub(super) fn new(
        cache: &Cache,
        base: &OpenBase,
        location: &Value,
        args: &Value,
        environment: &Environment,
    ) -> Self {
        let vars = environment.own_digest();
        let parts = [
            Shims::version().to_owned(),
            base.base.python().display().to_string(),
            base.base.fingerprint().to_string(),
            location.to_string(),
            args.to_string(),
            vars,
        ];
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        let name = format!("class-{}.json", &Digest::of(&bytes).to_string()[..32]);
        // Answers about classes are kept beside the descriptions of interpreters.
        Self { file: cache.interpreters_dir().join(name) }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the answer, if there is one and its files are unchanged.
    pub(super) fn read(&self, environment: &Environment) -> Option<Answer> {
        let access = Access::of(self.file.parent()?).ok()?;
        let bytes = access.read(&self.file, LONGEST).ok()?;
        let Record { answer, files, variables } = serde_json::from_slice(&bytes).ok()?;
        if variables.is_some_and(|then| then != digest_of_vars(environment)) {
            return None;
        }
        let is_same = |(path, digest): &(PathBuf, String)| {
            let bytes = files::read_file(path, files::MOST_TEXT);
            bytes.is_ok_and(|bytes| Digest::of(&bytes).to_string() == *digest)
        };
        files.iter().all(is_same).then(|| Answer { kept: self.file.clone(), ..answer })
    }

    /// Keeps an answer, unless it may contain a secret. If that fails, the next run asks again.
    pub(super) fn write(&self, answer: &Answer, sources: Sources, environment: &Environment) {
        if !is_open(answer) {
            return;
        }
        let Sources { digests: files, has_variables } = sources;
        let variables = has_variables.then(|| digest_of_vars(environment));
        let record = Record { answer: answer.clone(), files, variables };
        let written = || {
            let dir = self.file.parent().unwrap_or(Path::new("/"));
            Access::of(dir)?.replace(&self.file, &serde_json::to_vec(&record)?)?;
            forget_oldest(dir, MOST)
        };
        if let Err(error) = written() {
            tracing::debug!(%error, "what a class declares is not kept");
        }
    }
}

/// Deletes the oldest quarter of the records, once there are more than that.
fn forget_oldest(dir: &Path, most: usize) -> io::Result<()> {
    let mut records = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_record = name.to_str().is_some_and(|it| it.starts_with("class-"));
        // Another process may have deleted it.
        if let (true, Ok(metadata)) = (is_record, entry.metadata()) {
            records.push((metadata.modified()?, entry.path()));
        }
    }
    if records.len() > most {
        records.sort();
        let gone = records.len() - most + most / 4;
        for (_, record) in &records[..gone] {
            files::delete(record)?;
        }
    }
    Ok(())
}

fn digest_of_vars(environment: &Environment) -> String {
    Digest::of(format!("{:?}", environment.vars()).as_bytes()).to_string()
}

/// Returns whether nothing in an answer looks secret.
fn is_open(answer: &Answer) -> bool {
    let is_open_text = |text: &str| envspec::redact(text) == text;
    answer.found.settings.values().all(|found| match found {
        Found::Value(value) => redacted(value) == *value && is_open_text(&value.to_string()),
        Found::Unread(why) => is_open_text(why),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    /// However many classes are asked about, their records stay few; other records stay.
    #[test]
    fn the_oldest_records_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let others = ["0123.json", ".unfinished-class"];
        for name in others {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        let begin = SystemTime::now() - Duration::from_hours(1);
        for number in 0..30 {
            let file = dir.path().join(format!("class-{:02}.json", 29 - number));
            fs::write(&file, "{}").unwrap();
            let time = begin + Duration::from_secs(number);
            fs::File::open(&file).unwrap().set_modified(time).unwrap();
            forget_oldest(dir.path(), 8).unwrap();
            let left = fs::read_dir(dir.path()).unwrap().count() - others.len();
            assert!(left <= 8 && file.exists(), "{left}");
        }
        assert!(others.iter().all(|name| dir.path().join(name).exists()));
    }
}
