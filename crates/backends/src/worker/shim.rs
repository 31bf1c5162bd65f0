//! The Python side of a worker, written where interpreters can read it.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use envspec::Digest;
use files::{Access, Scratch};

/// The file that a worker runs, and that stage code may import.
pub const CURATOR_STAGE_PY: &str = include_str!("../../python/curator_stage.py");

/// What lies beside it: tables for stages without `pyarrow`, which stage code may import, and what
/// they are made of.
const BESIDE: [(&str, &str); 6] = [
    ("curator_arrow.py", include_str!("../../python/curator_arrow.py")),
    ("curator_declared.py", include_str!("../../python/curator_declared.py")),
    ("curator_json.py", include_str!("../../python/curator_json.py")),
    ("curator_loop.py", include_str!("../../python/curator_loop.py")),
    ("curator_table.py", include_str!("../../python/curator_table.py")),
    ("curator_values.py", include_str!("../../python/curator_values.py")),
];

static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let texts: Vec<&str> = BESIDE.iter().map(|(_, text)| *text).chain([CURATOR_STAGE_PY]).collect();
    Digest::of(texts.join("\0").as_bytes()).to_string()[..16].to_owned()
});

/// Writes `curator_stage.py` and the files that workers find beside it below `shims_dir`, once for
/// each version of them; returns its path.
///
/// Their folder is named by their contents, so that a newer program never changes the files under
/// the workers of an older one.
pub fn write_shim(shims_dir: &Path) -> io::Result<PathBuf> {
    let folder = enter(shims_dir, &FOLDER)?;
    for (name, text) in BESIDE {
        folder.write(name, text)?;
    }
    folder.write("curator_stage.py", CURATOR_STAGE_PY)
}

/// Where the Python side of workers is written: the cache's folder for it, or where that may only be
/// read and lacks something, a folder of this process alone, which goes away with this.
#[derive(Debug)]
pub(crate) struct Shims {
    dir: PathBuf,
    own: OnceLock<Scratch>,
}

impl Shims {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, own: OnceLock::new() }
    }

    /// Has something written by a function that is told where.
    fn in_folder<T>(&self, write: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        match write(&self.dir) {
            Err(error) if files::is_refusal(&error) => {
                tracing::debug!(%error, dir = %self.dir.display(), "workers get a folder of their own");
            }
            written => return written,
        }
        if self.own.get().is_none() {
            // Another thread's will do.
            let _ = self.own.set(Scratch::new("curator-")?);
        }
        write(self.own.get().map_or(&self.dir, Scratch::path))
    }

    /// The file that a worker runs.
    pub(crate) fn shim(&self) -> io::Result<PathBuf> {
        self.in_folder(write_shim)
    }

    /// The source of a stage that has no file of its own, so that tracebacks show its lines and
    /// child processes can import it.
    pub(crate) fn source(&self, source: &str) -> io::Result<PathBuf> {
        let digest = Digest::of(source.as_bytes()).to_string();
        let name = format!("stage_{}.py", &digest[..12]);
        self.in_folder(|dir| enter(dir, &digest[..16])?.write(&name, source))
    }

    /// Files that belong together, in a folder whose name tells their contents; returns the folder.
    pub(crate) fn files(&self, folder: &str, files: &[(&str, &str)]) -> io::Result<PathBuf> {
        self.in_folder(|dir| {
            let folder = enter(dir, folder)?;
            for (name, text) in files {
                folder.write(name, text)?;
            }
            Ok(folder.path)
        })
    }

    /// A link in a folder of its own, whose name tells what it leads to; returns the folder.
    pub(crate) fn link(&self, folder: &str, name: &OsStr, target: &Path) -> io::Result<PathBuf> {
        self.in_folder(|dir| {
            let folder = enter(dir, folder)?;
            folder.link(name, target)?;
            Ok(folder.path)
        })
    }
}

/// A folder of files that always hold the same.
struct Folder {
    path: PathBuf,
    access: Access,
}

/// Makes a folder in the one for shims, which is made if need be, and checks both.
fn enter(shims_dir: &Path, name: &str) -> io::Result<Folder> {
    if !shims_dir.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(shims_dir)?;
    }
    let access = Access::of(shims_dir)?;
    let path = shims_dir.join(name);
    access.ensure_dir(&path)?;
    Ok(Folder { access: access.enter(&path)?, path })
}

impl Folder {
    /// Writes a file unless it is there.
    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let file = self.path.join(name);
        // What is there is compared, not trusted: a full disk may have cut it.
        let there = self.access.read(&file, text.len() as u64);
        if !there.is_ok_and(|bytes| bytes == text.as_bytes()) {
            self.access.replace(&file, text.as_bytes())?;
        }
        Ok(file)
    }

    fn link(&self, name: &OsStr, target: &Path) -> io::Result<()> {
        let link = self.path.join(name);
        if std::fs::read_link(&link).is_ok_and(|there| there == target) {
            return Ok(self.access.check(&link, &std::fs::symlink_metadata(&link)?)?);
        }
        match std::os::unix::fs::symlink(target, &link) {
            // Another process was quicker, and links what the folder's name tells.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_damaged_shim_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = write_shim(dir.path()).unwrap();
        for (name, text) in BESIDE.into_iter().chain([("curator_stage.py", CURATOR_STAGE_PY)]) {
            fs::write(file.with_file_name(name), "cut").unwrap();
            assert_eq!(write_shim(dir.path()).unwrap(), file);
            assert_eq!(fs::read_to_string(file.with_file_name(name)).unwrap(), text);
        }
    }

    /// What may not be written and lacks something is made up for by a folder of the process's own,
    /// which nobody else enters and which goes away.
    #[test]
    fn a_folder_that_cannot_be_made_is_replaced_by_one_of_the_process() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody can make a folder there, not even root.
        let shims = Shims::new("/sys/shims".into());
        let file = shims.shim().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), CURATOR_STAGE_PY);
        assert_eq!(shims.shim().unwrap(), file, "once");
        let own = file.ancestors().nth(2).unwrap().to_owned();
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(shims.source("x = 1").unwrap().starts_with(&own));
        let module = shims.link("module", OsStr::new("m"), dir.path()).unwrap();
        assert_eq!(fs::read_link(module.join("m")).unwrap(), dir.path());
        drop(shims);
        assert!(!own.exists());
    }
}
