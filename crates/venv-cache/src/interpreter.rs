//! A Python interpreter, as it describes itself.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, IoResultExt};
use crate::{Key, Memo, pyenv};

const PROGRAM: &str = include_str!("describe.py");

/// The text that the program prints before its answer, because a `.pth` file may print, too.
const MARKER: &str = "curator-interpreter:";

/// Bumped when `describe.py` answers another question; older answers are then not found.
const DOMAIN: &[u8] = b"venv-cache/interpreter/v1\n";

/// Maximum time for an interpreter to start and answer (usually about 30 ms).
const PATIENCE: Duration = Duration::from_mins(1);

/// Maximum of a failed interpreter's output in an error.
const TAIL: usize = 2048;

/// A Python interpreter: what it is, and where it and its packages are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    executable: PathBuf,
    base_executable: PathBuf,
    version: String,
    implementation: String,
    cache_tag: Option<String>,
    soabi: Option<String>,
    platform: String,
    libc: Option<Libc>,
    prefix: PathBuf,
    base_prefix: PathBuf,
    stdlib: PathBuf,
    purelib: PathBuf,
    platlib: PathBuf,
    scripts: PathBuf,
    include: PathBuf,
    site_dirs: Vec<PathBuf>,
    layout: VenvLayout,
    externally_managed: bool,
    conda: bool,
    wide: bool,
}

/// The C library that an interpreter runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libc {
    /// `glibc` or `musl`.
    pub family: String,
    /// Its version, such as `2.36`; unknown for musl.
    pub version: Option<String>,
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, version } = self;
        match version {
            Some(version) => write!(f, "{family} {version}"),
            None => f.write_str(family),
        }
    }
}

/// The layout of an interpreter's virtualenvs, relative to their folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VenvLayout {
    pub(crate) purelib: PathBuf,
    pub(crate) platlib: PathBuf,
    pub(crate) scripts: PathBuf,
    pub(crate) include: PathBuf,
}

/// The program's answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Unsupported { unsupported: String },
    Described(Box<Interpreter>),
}

impl Interpreter {
    /// Asks the interpreter at `python` to describe itself.
    ///
    /// `python` is an executable, the folder of a virtualenv or of an installation, or a name without
    /// a slash, of no folder here, that is looked up in the absolute folders of `PATH`. It may be a
    /// launcher (pyenv's `python3` is a shell script), whose interpreter is then described. The last
    /// link in the path is not followed, because a virtualenv's interpreter is a link.
    ///
    /// If the folder `records` is given, the answer is stored there, by path, real path, size and
    /// modification time of the executable (and of `pyvenv.cfg`), so that the next call starts no
    /// process. Answers through a launcher are not stored, since its target can change at any time.
    /// The answer is a [`Memo`]: one that cannot be read is made again.
    ///
    /// # Errors
    ///
    /// [`Error::NoInterpreter`], [`Error::InterpreterGone`], [`Error::Describe`] and
    /// [`Error::NotUtf8`]; [`Error::UnsupportedPython`] for a Python before 3.9.
    pub fn describe(python: &Path, records: Option<&Path>) -> Result<Self, Error> {
        let given = locate(python)?;
        let python = pyenv::resolve(&given).unwrap_or(given);
        if python.to_str().is_none() {
            return Err(Error::NotUtf8 { path: python });
        }
        let Some(dir) = records else { return ask(&python) };
        let memo = Memo::new(dir, "interpreter", &question(&python)?);
        if let Some(known) = memo.read() {
            return Ok(known);
        }
        let interpreter = ask(&python)?;
        if interpreter.is(&python) {
            if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(dir) {
                tracing::debug!(%error, dir = %dir.display(), "no folder for answers");
            }
            memo.write(&interpreter);
        }
        Ok(interpreter)
    }

    /// Returns the path that the interpreter goes by (`sys.executable`).
    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Returns the interpreter proper: in a virtualenv, the one that it was made with.
    #[must_use]
    pub fn base_executable(&self) -> &Path {
        &self.base_executable
    }

    /// Returns the version, such as `3.11.7`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the implementation (`sys.implementation.name`), such as `cpython`.
    #[must_use]
    pub fn implementation(&self) -> &str {
        &self.implementation
    }

    /// Returns the tag in the name of a bytecode file, such as `cpython-311`; `None` if it writes
    /// none.
    #[must_use]
    pub fn cache_tag(&self) -> Option<&str> {
        self.cache_tag.as_deref()
    }

    /// Returns the tag in the name of an extension module, such as `cpython-311-x86_64-linux-gnu`.
    #[must_use]
    pub fn soabi(&self) -> Option<&str> {
        self.soabi.as_deref()
    }

    /// Returns the platform tag (`sysconfig.get_platform()`), such as `linux-x86_64`.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// Returns the C library; `None` where it is neither glibc nor musl.
    #[must_use]
    pub fn libc(&self) -> Option<&Libc> {
        self.libc.as_ref()
    }

    /// Returns the folder of the virtualenv, or of the installation (`sys.prefix`).
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Returns the folder of the installation (`sys.base_prefix`).
    #[must_use]
    pub fn base_prefix(&self) -> &Path {
        &self.base_prefix
    }

    /// Returns the folder of the standard library.
    #[must_use]
    pub fn stdlib(&self) -> &Path {
        &self.stdlib
    }

    /// Returns the folder into which installers put packages of Python code.
    #[must_use]
    pub fn purelib(&self) -> &Path {
        &self.purelib
    }

    /// Returns the folder into which installers put packages of Python code in an environment of this
    /// interpreter.
    #[must_use]
    pub fn purelib_in(&self, environment: &Path) -> PathBuf {
        environment.join(&self.layout.purelib)
    }

    /// Returns the folder into which installers put packages with extension modules.
    #[must_use]
    pub fn platlib(&self) -> &Path {
        &self.platlib
    }

    /// Returns the folder into which installers put scripts.
    #[must_use]
    pub fn scripts(&self) -> &Path {
        &self.scripts
    }

    /// Returns the folder of the interpreter's C headers.
    #[must_use]
    pub fn include(&self) -> &Path {
        &self.include
    }

    /// Returns the site folders in the order of `sys.path`, without the user's; some may not exist.
    #[must_use]
    pub fn site_dirs(&self) -> &[PathBuf] {
        &self.site_dirs
    }

    /// Returns whether this is the interpreter of a virtualenv.
    #[must_use]
    pub fn is_virtualenv(&self) -> bool {
        self.prefix != self.base_prefix
    }

    /// Returns whether its distributor forbids installing into it (PEP 668).
    #[must_use]
    pub fn is_externally_managed(&self) -> bool {
        self.externally_managed
    }

    /// Returns whether its folder is a conda environment.
    #[must_use]
    pub fn is_conda(&self) -> bool {
        self.conda
    }

    /// Returns whether it is a 64-bit program.
    pub(crate) fn is_wide(&self) -> bool {
        self.wide
    }

    /// Returns the folders of a virtualenv of this interpreter.
    pub(crate) fn layout(&self) -> &VenvLayout {
        &self.layout
    }

    /// Returns the `3.11` of a `3.11.7`.
    pub(crate) fn short_version(&self) -> &str {
        self.version.rsplit_once('.').map_or(&self.version, |(short, _)| short)
    }

    /// Returns whether `python` is this interpreter's own executable, not a launcher.
    fn is(&self, python: &Path) -> bool {
        matches!(
            (fs::canonicalize(&self.executable), fs::canonicalize(python)),
            (Ok(own), Ok(asked)) if own == asked
        )
    }
}

/// Returns whether a file of this name in a folder of scripts is an interpreter: `python`,
/// `python3.11`, `python3.13t`, `pypy3`.
pub(crate) fn is_interpreter_name(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    ["python", "pypy"].iter().any(|stem| {
        name.strip_prefix(stem).is_some_and(|version| {
            version
                .trim_end_matches(['t', 'd'])
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    })
}

/// Returns the absolute path of the executable that `python` names.
///
/// Resolves links on the way to its folder, so that an environment has one name, but not the last
/// one, since a virtualenv's interpreter is a link.
fn locate(python: &Path) -> Result<PathBuf, Error> {
    let missing = |source: io::Error| Error::NoInterpreter {
        path: std::path::absolute(python).unwrap_or_else(|_| python.to_path_buf()),
        source: source.into(),
    };
    let is_name = !python.as_os_str().as_encoded_bytes().contains(&b'/');
    if is_name && !python.is_dir() {
        let found = on_path(python.as_os_str(), env::var_os("PATH").as_deref());
        return found.ok_or_else(|| Error::NoInterpreter {
            path: python.to_path_buf(),
            source: "`PATH` has none; a file of this folder is named with `./` before it".into(),
        });
    }
    let metadata = match fs::metadata(python) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(match fs::read_link(python) {
                Ok(target) => Error::InterpreterGone { path: python.to_path_buf(), target },
                Err(_) => missing(error),
            });
        }
        other => other.map_err(missing)?,
    };
    if metadata.is_dir() {
        // `python3` last: in an installation `python` may be absent, or Python 2.
        let names = ["bin/python", "bin/python3"].map(|name| python.join(name));
        let found = names.iter().find(|path| fs::symlink_metadata(path).is_ok());
        return found.map_or_else(
            || {
                Err(missing(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the folder has no `bin/python`",
                )))
            },
            |path| locate(path),
        );
    }
    if metadata.mode() & 0o111 == 0 {
        return Err(missing(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the file is not executable",
        )));
    }
    let absolute = std::path::absolute(python).map_err(missing)?;
    let (Some(dir), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(absolute);
    };
    Ok(fs::canonicalize(dir).map_err(missing)?.join(name))
}

/// Returns the first program of this name in a `PATH`. The current folder, which an empty or a
/// relative entry stands for, may be anyone's.
pub(crate) fn on_path(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let folders = env::split_paths(path?).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find_map(|program| which::which(program).ok())
}

/// Runs the interpreter once.
fn ask(python: &Path) -> Result<Interpreter, Error> {
    let failed = |outcome: String| Error::Describe { python: python.to_path_buf(), outcome };
    let child = duct::cmd(python, ["-I", "-B", "-c", PROGRAM])
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .start()
        .context("start", python)?;
    let Some(output) = child.wait_timeout(PATIENCE).context("wait for", python)? else {
        child.kill().context("stop", python)?;
        return Err(failed(format!("no answer in {} s", PATIENCE.as_secs())));
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let answer = stdout.lines().rev().find_map(|line| line.strip_prefix(MARKER));
    match answer.map(serde_json::from_str) {
        Some(Ok(Answer::Described(interpreter))) => Ok(*interpreter),
        Some(Ok(Answer::Unsupported { unsupported: version })) => {
            Err(Error::UnsupportedPython { python: python.to_path_buf(), version })
        }
        Some(Err(error)) => Err(failed(format!("its answer makes no sense ({error})"))),
        None => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let start = stderr.ceil_char_boundary(stderr.len().saturating_sub(TAIL));
            let words = match stderr[start..].trim() {
                "" => "it said nothing",
                words => words,
            };
            Err(failed(format!("{}: {words}", output.status)))
        }
    }
}

/// Returns a digest of what the answer of the executable at `python` depends on.
fn question(python: &Path) -> Result<Key, Error> {
    let real = fs::canonicalize(python).context("resolve", python)?;
    let metadata = fs::metadata(&real).context("examine", &real)?;
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    for path in [python, &real] {
        let bytes = path.as_os_str().as_encoded_bytes();
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    update_with_stamp(&mut hasher, Some(&metadata));
    let settings = python.ancestors().nth(2).map(|prefix| prefix.join("pyvenv.cfg"));
    update_with_stamp(&mut hasher, settings.and_then(|file| fs::metadata(file).ok()).as_ref());
    Ok(Key::from_bytes(hasher.finalize().into()))
}

/// Adds a file's size and modification time, which change with its contents.
pub(crate) fn update_with_stamp(hasher: &mut Sha256, metadata: Option<&fs::Metadata>) {
    match metadata {
        None => hasher.update([0]),
        Some(metadata) => {
            hasher.update([1]);
            hasher.update(metadata.len().to_le_bytes());
            hasher.update(metadata.mtime().to_le_bytes());
            hasher.update(metadata.mtime_nsec().to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_known_by_their_names() {
        for name in ["python", "python3", "python3.11", "python3.13t", "pypy", "pypy3.10"] {
            assert!(is_interpreter_name(OsStr::new(name)), "{name}");
        }
        for name in ["python3-config", "pythonw", "ipython3", "python3.11-gdb.py", "pip3"] {
            assert!(!is_interpreter_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_folder_without_an_interpreter_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = locate(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::NoInterpreter { path, .. } if path == dir.path()));
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_dangling_interpreter_is_told_from_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("bin/python");
        fs::create_dir(dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink("/nowhere/python3", &python).unwrap();
        assert!(matches!(
            locate(dir.path()).unwrap_err(),
            Error::InterpreterGone { target, .. } if target == Path::new("/nowhere/python3")
        ));
    }
}
