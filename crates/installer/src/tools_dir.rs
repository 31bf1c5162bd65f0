//! The folder for what is fetched: claimed before anything is written there.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use files::{Access, Draft, Folder, Foreign, Mark, MarkError};

use crate::error::{Error, IoResultExt};

/// The mark of a folder of tools: the empty lock file, which is created before all else.
const MARK: Mark = Mark { name: "bootstrap.lock", text: "" };

/// Prefix of the names of temporary folders.
pub(crate) const STAGING_PREFIX: &str = ".new-";

/// The folder with the bytecode of a pip that came without.
const BYTECODE: &str = "bytecode";

/// Makes the folder if there is none, and claims it if it is empty or holds tools alone. Returns who
/// else has access to it.
pub(crate) fn claim(dir: &Path) -> Result<Access, Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).context("make", dir)?;
    let access = access_of(dir)?;
    // What was copied here came without a lock.
    let is_ours = |name: OsString| {
        let name = name.to_string_lossy();
        name == BYTECODE || ["uv-", "pip-", STAGING_PREFIX].iter().any(|it| name.starts_with(it))
    };
    let is_claimable =
        |folder: &Folder| folder.names().is_ok_and(|names| names.into_iter().all(is_ours));
    let share = |file: &fs::File| access.share(file);
    let draft = Draft::default().with_mode(access.file_mode()).before(&share);
    MARK.claim_with(dir, is_claimable, &draft).map_err(|error| match error {
        MarkError::Foreign(Foreign { dir, found }) => Error::NotTools { dir, found },
        MarkError::Io { action, path, source } => Error::Io { action, path, source },
    })?;
    Ok(access)
}

/// Returns the lock that all processes sharing the folder take before they make a tool.
pub(crate) fn lock_file(dir: &Path) -> PathBuf {
    dir.join(MARK.name)
}

/// Returns where Python keeps the bytecode of a pip that came without; `None` if the folder cannot be
/// ours, since Python writes there whatever it is.
pub(crate) fn bytecode_dir(dir: &Path) -> Option<PathBuf> {
    match claim(dir) {
        Ok(_) => Some(dir.join(BYTECODE)),
        Err(error) => {
            tracing::debug!(%error, "no bytecode of pip is kept");
            None
        }
    }
}

/// Returns the rules of access to the folder, which may not exist yet.
pub(crate) fn access_of(dir: &Path) -> Result<Access, Error> {
    match Access::of(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Access::Private),
        found => found.context("read", dir),
    }
}
