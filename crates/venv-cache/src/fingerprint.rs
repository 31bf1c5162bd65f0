//! Fingerprints of bases, computed in a fraction of a millisecond.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digits;
use crate::error::{Error, IoResultExt};
use crate::interpreter::{Interpreter, update_with_stamp};

/// Bumped when the fingerprint covers something else, so that no environment outlives the old
/// meaning.
const DOMAIN: &[u8] = b"venv-cache/fingerprint/v1\n";

/// The files that installers write anew whenever they install a distribution.
const RECORDS: [&str; 5] =
    ["RECORD", "METADATA", "PKG-INFO", "installed-files.txt", "top_level.txt"];

/// A digest of what a base holds: its interpreter and its installed distributions.
///
/// Looked at are the interpreter (identity, size and time of modification), `pyvenv.cfg`, and for
/// each site folder in order: the names of all entries, size and time of every file among them
/// (modules, `.pth`, `.egg-link`, editable finders), and size and time of the records in every
/// `.dist-info` and `.egg-info` folder and every egg. So it changes when a distribution is added, removed,
/// upgraded in place or installed as an editable.
///
/// Use does not change it: it ignores `__pycache__`, link counts, change times and the times of
/// folders. It does not detect a file edited by hand inside a package, the sources of an editable
/// install (an environment imports these as they currently are), or a change that keeps a file's
/// size and modification time.
///
/// It displays as 64 lower-case hexadecimal digits and parses from them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Makes a fingerprint from a digest, for a base identified by its key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Computes the fingerprint of `interpreter`'s base.
    pub(crate) fn of(interpreter: &Interpreter) -> Result<Self, Error> {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        let texts = [
            interpreter.version(),
            interpreter.implementation(),
            interpreter.soabi().unwrap_or_default(),
            interpreter.platform(),
        ];
        for text in texts {
            update_with(&mut hasher, text.as_bytes());
        }
        for path in [interpreter.prefix(), interpreter.base_prefix(), interpreter.base_executable()]
        {
            update_with_path(&mut hasher, path);
        }
        let executable = interpreter.base_executable();
        let metadata = fs::metadata(executable).context("examine", executable)?;
        update_with_stamp(&mut hasher, Some(&metadata));
        let settings = interpreter.prefix().join("pyvenv.cfg");
        update_with_stamp(&mut hasher, optional(fs::metadata(&settings), &settings)?.as_ref());

        let site_dirs = interpreter.site_dirs();
        hasher.update((site_dirs.len() as u64).to_le_bytes());
        for dir in site_dirs {
            update_with_path(&mut hasher, dir);
            update_with_site(&mut hasher, dir)?;
        }
        Ok(Self(hasher.finalize().into()))
    }
}

/// Returns the latest change of the folders that a fingerprint covers. Installing, removing or
/// replacing a package changes its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<(u64, u64, i64, i64)>>);

impl Stamps {
    pub(crate) fn of(interpreter: &Interpreter) -> Self {
        let settings = interpreter.prefix().join("pyvenv.cfg");
        let files = [interpreter.base_executable(), &settings].into_iter();
        let dirs = interpreter.site_dirs().iter().map(PathBuf::as_path);
        let stamp = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
        };
        Self(files.chain(dirs).map(stamp).collect())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 lower-case hexadecimal digits")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, ParseFingerprintError> {
        digits::decode(text).map(Self).ok_or(ParseFingerprintError)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = ParseFingerprintError;

    fn try_from(text: String) -> Result<Self, ParseFingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// Adds a file that may be absent, also because a link leads nowhere or to itself.
fn optional<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error).context("examine", path),
        },
    }
}

fn update_with(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn update_with_path(hasher: &mut Sha256, path: &Path) {
    update_with(hasher, path.as_os_str().as_encoded_bytes());
}

/// Adds one site folder.
fn update_with_site(hasher: &mut Sha256, dir: &Path) -> Result<(), Error> {
    let mut names = Vec::new();
    if let Some(entries) = optional(fs::read_dir(dir), dir)? {
        for entry in entries {
            let entry = entry.context("list", dir)?;
            if entry.file_name() != "__pycache__" {
                let is_dir = entry.file_type().context("examine", dir)?.is_dir();
                names.push((entry.file_name(), is_dir));
            }
        }
    }
    names.sort_unstable();
    hasher.update((names.len() as u64).to_le_bytes());
    let mut path = dir.join("_");
    for (name, is_dir) in &names {
        update_with(hasher, name.as_encoded_bytes());
        path.set_file_name(name);
        if !is_dir {
            update_with_stamp(hasher, optional(fs::metadata(&path), &path)?.as_ref());
        } else if is_metadata(name) {
            update_with_records(hasher, &path)?;
        } else if path.extension() == Some(OsStr::new("egg")) {
            update_with_records(hasher, &path.join("EGG-INFO"))?;
        }
    }
    Ok(())
}

/// Adds a distribution's records: the first existing one is enough, nearly always `RECORD`.
fn update_with_records(hasher: &mut Sha256, dir: &Path) -> Result<(), Error> {
    let egg = dir.extension() != Some(OsStr::new("dist-info"));
    for name in RECORDS {
        let file = dir.join(name);
        let metadata = optional(fs::metadata(&file), &file)?;
        update_with_stamp(hasher, metadata.as_ref());
        // An egg's files are written one by one, and not all of them each time.
        if metadata.is_some() && !egg {
            break;
        }
    }
    Ok(())
}

/// Returns whether a folder of this name holds a distribution's metadata.
fn is_metadata(name: &OsString) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| extension == "dist-info" || extension == "egg-info")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_parses_from_what_it_displays() {
        let fingerprint = Fingerprint([0xa5; 32]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!("a5".parse::<Fingerprint>(), Err(ParseFingerprintError));
        assert_eq!("é".repeat(32).parse::<Fingerprint>(), Err(ParseFingerprintError));
    }
}
