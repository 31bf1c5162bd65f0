//! Ownership of folders: a folder with our mark is ours, and an empty one can be claimed.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::draft::{Draft, is_draft};
use crate::folder::Folder;

/// A file that marks a folder as ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub name: &'static str,
    /// Its whole contents. A file of that name with another text is not our mark.
    pub text: &'static str,
}

/// A folder that is neither ours nor empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not empty: it holds `{}`", dir.display(), found.display())]
pub struct Foreign {
    /// The folder.
    pub dir: PathBuf,
    /// A name in it.
    pub found: OsString,
}

/// Why a folder is not ours to write into.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// It belongs to something else.
    #[error(transparent)]
    Foreign(Foreign),
    /// The system refused something.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// The action that failed, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Mark {
    /// Claims the folder: creates it if needed, and marks it if it is empty. Touches nothing in a
    /// folder that is not ours.
    ///
    /// The path may be a link to the folder. Any number of processes may claim one folder at once.
    pub fn claim(&self, dir: &Path) -> Result<Folder, MarkError> {
        self.claim_with(dir, |_| false, &Draft::default().with_mode(0o644).synced())
    }

    /// Claims a folder like [`claim`](Self::claim), and also marks an older, unmarked one that
    /// `is_ours` recognizes. Writes the mark as `draft` says.
    pub fn claim_with(
        &self,
        dir: &Path,
        is_ours: impl Fn(&Folder) -> bool,
        draft: &Draft<'_>,
    ) -> Result<Folder, MarkError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| MarkError::Io { action, path, source }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(failed("create", dir))?;
        let folder = Folder::open(dir).map_err(failed("open", dir))?;
        let path = dir.join(self.name);
        if self.is_on(&folder).map_err(failed("read", &path))? {
            return Ok(folder);
        }
        let found = folder.occupants().map_err(failed("list", dir))?.into_iter().next();
        if let Some(found) = found.filter(|_| !is_ours(&folder)) {
            // A process that has claimed it meanwhile wrote the mark before all else.
            if self.is_on(&folder).map_err(failed("read", &path))? {
                return Ok(folder);
            }
            return Err(MarkError::Foreign(Foreign { dir: dir.to_owned(), found }));
        }
        match draft.new_only().write_in(&folder, self.name, self.text.as_bytes()) {
            // Another process was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.is_on(&folder).map_err(failed("read", &path))? {
                    return Ok(folder);
                }
                Err(MarkError::Foreign(Foreign { dir: dir.to_owned(), found: self.name.into() }))
            }
            other => other.map(|()| folder).map_err(failed("create", &path)),
        }
    }

    /// Returns whether the folder has this mark.
    pub fn is_on(&self, folder: &Folder) -> io::Result<bool> {
        match folder.open_file(self.name, OFlags::RDONLY, 0) {
            Ok(file) => {
                let mut text = Vec::new();
                // Reads one byte more than the mark has.
                file.take(self.text.len() as u64 + 1).read_to_end(&mut text)?;
                Ok(text == self.text.as_bytes())
            }
            Err(error) if is_no_file(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns whether the name is missing, a link, or not a file.
fn is_no_file(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    let is_other = error.kind() == io::ErrorKind::InvalidInput;
    is_other || matches!(errno, Some(Errno::NOENT | Errno::LOOP | Errno::MLINK | Errno::NXIO))
}

impl Folder {
    /// Returns its contents, sorted; empty if the folder can be claimed.
    ///
    /// Remains of a draft after a crash do not count, nor does the `lost+found` of a fresh file
    /// system.
    pub fn occupants(&self) -> io::Result<Vec<OsString>> {
        let counts = |name: &OsString| !is_draft(name) && name != "lost+found";
        let mut found: Vec<OsString> = self.names()?.into_iter().filter(counts).collect();
        found.sort();
        Ok(found)
    }
}
