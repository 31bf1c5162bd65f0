//! The Python side of a worker, written where interpreters can read it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use envspec::Digest;

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
    let folder = shims_dir.join(&*FOLDER);
    for (name, text) in BESIDE {
        write_file(&folder, name, text)?;
    }
    write_file(&folder, "curator_stage.py", CURATOR_STAGE_PY)
}

/// Writes the source of a stage that has no file of its own, so that tracebacks show its lines and
/// child processes can import it; returns its path.
pub(crate) fn write_source(shims_dir: &Path, source: &str) -> io::Result<PathBuf> {
    let digest = Digest::of(source.as_bytes()).to_string();
    write_file(&shims_dir.join(&digest[..16]), &format!("stage_{}.py", &digest[..12]), source)
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
        for (name, text) in BESIDE.into_iter().chain([("curator_stage.py", CURATOR_STAGE_PY)]) {
            fs::write(file.with_file_name(name), "cut").unwrap();
            assert_eq!(write_shim(dir.path()).unwrap(), file);
            assert_eq!(fs::read_to_string(file.with_file_name(name)).unwrap(), text);
        }
    }
}
