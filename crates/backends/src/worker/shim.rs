//! The Python side of a worker, written where interpreters can read it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use envspec::Digest;

/// The one file that a worker runs, and that stage code may import.
pub const CURATOR_STAGE_PY: &str = include_str!("../../python/curator_stage.py");

/// Writes `curator_stage.py` below `shims_dir`, once for each version of it; returns its path.
///
/// Its folder is named by its contents, so that a newer program never changes the file under the
/// workers of an older one.
pub fn write_shim(shims_dir: &Path) -> io::Result<PathBuf> {
    write_once(shims_dir, "curator_stage.py", CURATOR_STAGE_PY)
}

/// Writes the source of a stage that has no file of its own, so that tracebacks show its lines and
/// child processes can import it; returns its path.
pub(crate) fn write_source(shims_dir: &Path, source: &str) -> io::Result<PathBuf> {
    let digest = Digest::of(source.as_bytes()).to_string();
    write_once(shims_dir, &format!("stage_{}.py", &digest[..12]), source)
}

fn write_once(shims_dir: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    write_file(&shims_dir.join(&Digest::of(text.as_bytes()).to_string()[..16]), name, text)
}

/// Writes a file that always holds the same, unless it is there.
pub(crate) fn write_file(folder: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let file = folder.join(name);
    // What is there is compared, not trusted: a full disk may have cut it.
    if fs::read(&file).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(file);
    }
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.persist(&file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_shim_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = write_shim(dir.path()).unwrap();
        fs::write(&file, "cut").unwrap();
        assert_eq!(write_shim(dir.path()).unwrap(), file);
        assert_eq!(fs::read_to_string(file).unwrap(), CURATOR_STAGE_PY);
    }
}
