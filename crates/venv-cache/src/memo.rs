//! Memos: answers that are kept because it takes long to ask for them.
//!
//! Memos are what an interpreter said of itself, what the code of a stage declares, what a build took.
//! Nothing needs a memo: where one is gone, damaged or a stranger's, the question is asked again. So a
//! memo has no lock and is not synced. All memos of a cache lie in one folder, each in a file named by
//! the kind and the key of its question.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use files::{Access, Folder, is_draft};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::occupied::occupied;
use crate::{Key, digits};

/// The maximum number of memos of one kind. Each change of a class or of a base makes another one.
pub(crate) const MOST: usize = 1024;

/// The maximum size of a memo in bytes: 1 MiB. A longer file is not ours.
const LONGEST: u64 = 1 << 20;

/// The place of the answer to one question.
///
/// ```
/// use venv_cache::{Cache, Key, Memo};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let cache = Cache::open(&dir.path().join("cache"))?;
/// let question = Key::derive("example/v1", &[("of", b"a file, by its contents")]);
/// let memo = Memo::new(&cache.interpreters_dir(), "example", &question);
/// assert_eq!(memo.read::<u64>(), None);
/// memo.write(&42);
/// assert_eq!(memo.read::<u64>(), Some(42));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    dir: PathBuf,
    kind: &'static str,
    question: Key,
}

impl Memo {
    /// Creates the place of an answer in a folder, such as [`Cache::interpreters_dir`].
    ///
    /// `kind` is a word in lower case; `question` is a digest of all that the answer depends on.
    ///
    /// [`Cache::interpreters_dir`]: crate::Cache::interpreters_dir
    #[must_use]
    pub fn new(dir: &Path, kind: &'static str, question: &Key) -> Self {
        Self { dir: dir.to_owned(), kind, question: *question }
    }

    /// Returns the path of the memo's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join(format!("{}-{}.json", self.kind, self.question))
    }

    /// Returns the answer, or `None` if it is missing, damaged or untrusted.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        read(Access::of(&self.dir).ok()?, &self.file())
    }

    /// Keeps an answer, and deletes the oldest quarter of the kind once there are more than 1024.
    ///
    /// A failure is only logged: the question is then asked again.
    pub fn write<T: Serialize>(&self, answer: &T) {
        let written = || {
            let bytes = serde_json::to_vec(answer)?;
            Access::of(&self.dir)?.replace(&self.file(), &bytes)?;
            bound(&self.dir, self.kind, MOST)
        };
        if let Err(error) = written() {
            tracing::debug!(%error, file = %self.file().display(), "an answer is not kept");
        }
    }

    /// Deletes the answer, if there is one. A failure is only logged.
    pub fn forget(&self) {
        let file = self.file();
        let name = file.file_name().unwrap_or_default();
        match Folder::open(&self.dir).and_then(|folder| folder.unlink(name)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::debug!(%error, file = %file.display(), "an answer stays"),
        }
    }
}

/// Returns what a trusted file of at most 1 MiB of JSON says.
pub(crate) fn read<T: DeserializeOwned>(access: Access, file: &Path) -> Option<T> {
    serde_json::from_slice(&access.read(file, LONGEST).ok()?).ok()
}

/// A file in the folder of memos.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The time of the last write.
    pub(crate) written: SystemTime,
    pub(crate) path: PathBuf,
    /// `None` for what a crash left during a write.
    pub(crate) kind: Option<String>,
    /// The size on disk in bytes.
    pub(crate) bytes: u64,
}

/// Returns the memos in a folder, and what crashes left there, oldest first. Other files are passed
/// over.
pub(crate) fn list(dir: &Path, folder: &Folder) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in folder.names()? {
        let kind = kind_of(&name).map(str::to_owned);
        if kind.is_none() && !is_draft(&name) {
            continue;
        }
        let path = dir.join(name);
        // Another process may have deleted it.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_file() {
            let written = metadata.modified()?;
            found.push(Found { written, path, kind, bytes: occupied(&metadata) });
        }
    }
    found.sort();
    Ok(found)
}

/// Deletes the oldest memos of a kind, down to three quarters of the limit, if there are more.
fn bound(dir: &Path, kind: &str, most: usize) -> io::Result<()> {
    let folder = Folder::open(dir)?;
    let is_of_kind = |name: &&std::ffi::OsString| kind_of(name) == Some(kind);
    // Most writes end here, before any file is examined.
    if folder.names()?.iter().filter(is_of_kind).count() <= most {
        return Ok(());
    }
    let mut found = list(dir, &folder)?;
    found.retain(|found| found.kind.as_deref() == Some(kind));
    let gone = found.len().saturating_sub(most - most / 4);
    for found in &found[..gone] {
        folder.unlink(found.path.file_name().unwrap_or_default())?;
    }
    Ok(())
}

/// Returns the kind of the memo with this file name; `None` if no memo has such a name.
///
/// Earlier versions wrote digests of 32 digits, lists of names (`.txt`), and no kind for interpreters.
fn kind_of(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let stem = name.strip_suffix(".json").or_else(|| name.strip_suffix(".txt"))?;
    let (kind, digest) = stem.rsplit_once('-').unwrap_or(("", stem));
    let is_memo = kind.bytes().all(|letter| letter.is_ascii_lowercase())
        && matches!(digest.len(), 32 | 64)
        && digits::is_hex(digest);
    is_memo.then_some(kind)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn question(number: u64) -> Key {
        Key::derive("test", &[("number", &number.to_le_bytes())])
    }

    /// However many questions are asked, the newest answers stay, and few; other kinds and other
    /// files stay.
    #[test]
    fn the_oldest_of_a_kind_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let other = Memo::new(dir.path(), "other", &question(0));
        other.write(&"kept");
        fs::write(dir.path().join("notes.json"), "theirs").unwrap();
        let begin = SystemTime::now() - Duration::from_hours(1);
        for number in 0..30 {
            let memo = Memo::new(dir.path(), "class", &question(number));
            memo.write(&number);
            let file = fs::File::open(memo.file()).unwrap();
            file.set_modified(begin + Duration::from_secs(number)).unwrap();
            bound(dir.path(), "class", 8).unwrap();
            let left = fs::read_dir(dir.path()).unwrap().count() - 2;
            assert!(left <= 8 && memo.read() == Some(number), "{left}");
        }
        assert!(other.read::<String>().is_some() && dir.path().join("notes.json").exists());
    }

    #[test]
    fn only_memos_have_their_names() {
        let (long, short) = ("0f".repeat(32), "0f".repeat(16));
        let kind = |name: &str| kind_of(OsStr::new(name)).map(str::to_owned);
        assert_eq!(kind(&format!("class-{long}.json")).as_deref(), Some("class"));
        assert_eq!(kind(&format!("ray-{short}.txt")).as_deref(), Some("ray"));
        assert_eq!(kind(&format!("{long}.json")).as_deref(), Some(""));
        let others = [
            format!("class-{long}"),
            format!("class-{long}.json.bak"),
            format!("Class-{long}.json"),
            format!("class-{}.json", long.to_uppercase()),
            format!("class-{}.json", &long[1..]),
            ".unfinished-0123456789abcdef".to_owned(),
            "class-.json".to_owned(),
        ];
        assert!(others.iter().all(|name| kind(name).is_none()));
    }

    /// No answer is made of a file that is damaged, too long or no file; writing replaces each of
    /// them but a folder.
    #[test]
    fn what_is_no_answer_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let memo = Memo::new(dir.path(), "class", &question(1));
        assert_eq!(memo.read::<u64>(), None);
        memo.forget();
        let long = vec![b' '; usize::try_from(LONGEST).unwrap() + 1];
        for damage in [&b"{"[..], b"\xff", b"", &long] {
            fs::write(memo.file(), damage).unwrap();
            assert_eq!(memo.read::<u64>(), None);
            memo.write(&7);
            assert_eq!(memo.read(), Some(7));
        }
        memo.forget();
        assert!(memo.read::<u64>().is_none() && !memo.file().exists());
        fs::create_dir(memo.file()).unwrap();
        memo.write(&7);
        assert_eq!(memo.read::<u64>(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
