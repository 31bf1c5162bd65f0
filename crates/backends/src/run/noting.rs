//! Reading the files of specs, with a note of which ones.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::DiskSource;

/// Reads what specs refer to from the file system, and notes the lists of packages.
#[derive(Default)]
pub(crate) struct Noting {
    lists: RefCell<BTreeSet<PathBuf>>,
}

impl Noting {
    pub(crate) fn into_lists(self) -> BTreeSet<PathBuf> {
        self.lists.into_inner()
    }
}

impl envspec::Source for Noting {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        DiskSource.read(path)
    }

    fn read_text(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.lists.borrow_mut().insert(path.to_owned());
        DiskSource.read_text(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        DiskSource.list(dir)
    }

    fn real_dir(&self, dir: &Path) -> io::Result<PathBuf> {
        DiskSource.real_dir(dir)
    }
}
