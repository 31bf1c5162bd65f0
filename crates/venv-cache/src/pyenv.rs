//! Seeing through pyenv's launchers, which take a tenth of a second to start an interpreter.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The inputs by which pyenv chooses a version.
struct Choice {
    /// `$PYENV_VERSION`.
    version: Option<OsString>,
    /// The current folder, where the search for `.python-version` begins.
    folder: Option<PathBuf>,
}

/// Returns the interpreter that the pyenv launcher at `path` would start.
///
/// Returns `None` if it is no launcher, or if the version is not an exact name; the caller then
/// runs the launcher itself.
pub(crate) fn resolve(path: &Path) -> Option<PathBuf> {
    let root = root_of(path)?;
    let choice = Choice { version: env::var_os("PYENV_VERSION"), folder: env::current_dir().ok() };
    choose(&root, path, &choice)
}

/// Returns pyenv's folder, if the file is one of the shell scripts in its `shims`.
fn root_of(path: &Path) -> Option<PathBuf> {
    let root = path.parent().filter(|dir| dir.ends_with("shims"))?.parent()?;
    let mut start = [0; 512];
    let length = fs::File::open(path).ok()?.read(&mut start).ok()?;
    let text = String::from_utf8_lossy(&start[..length]);
    (text.starts_with("#!") && text.contains("/libexec/pyenv\" exec")).then(|| root.to_path_buf())
}

/// Returns the interpreter that is chosen here, in pyenv's order: the variable, the nearest
/// `.python-version`, the global `version`.
fn choose(root: &Path, path: &Path, choice: &Choice) -> Option<PathBuf> {
    let named = match &choice.version {
        Some(version) if !version.is_empty() => version.to_str()?.replace(':', "\n"),
        _ => choice
            .folder
            .iter()
            .flat_map(|folder| folder.ancestors())
            .map(|folder| folder.join(".python-version"))
            .chain([root.join("version")])
            .find_map(|file| files::read_regular_text(&file).ok())?,
    };
    let lines = named.lines().map(|line| line.split('#').next().unwrap_or_default());
    // Take the first version that has the program. Leave a version that is not a folder's name
    // (`system`, a prefix such as `3.11`) to pyenv.
    for version in lines.flat_map(str::split_whitespace) {
        let bin = root.join("versions").join(version).join("bin");
        let plain = !version.contains('/') && version != "..";
        if !plain || !bin.is_dir() {
            return None;
        }
        let program = bin.join(path.file_name()?);
        if program.is_file() {
            return Some(program);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a pyenv with two versions, of which only the second has `python3`.
    fn pyenv() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in ["versions/2.7.18/bin/python", "versions/3.11.7/bin/python3", "shims/python3"] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("to create a folder");
            let launcher =
                "#!/usr/bin/env bash\nexec \"/root/.pyenv/libexec/pyenv\" exec \"$program\"\n";
            fs::write(file, launcher).expect("to write a file");
        }
        fs::write(root.path().join("version"), "2.7.18\n3.11.7 # the second\n").expect("to write");
        let shim = root.path().join("shims/python3");
        (root, shim)
    }

    #[test]
    fn the_first_version_that_has_the_program_is_meant() {
        let (root, shim) = pyenv();
        assert_eq!(root_of(&shim).as_deref(), Some(root.path()));
        let choice = Choice { version: None, folder: None };
        assert_eq!(
            choose(root.path(), &shim, &choice),
            Some(root.path().join("versions/3.11.7/bin/python3"))
        );
    }

    #[test]
    fn what_only_pyenv_understands_is_left_to_it() {
        let (root, shim) = pyenv();
        for version in ["system", "3.11", "../versions/3.11.7", ".."] {
            let choice = Choice { version: Some(version.into()), folder: None };
            assert_eq!(choose(root.path(), &shim, &choice), None, "{version}");
        }
    }

    #[test]
    fn the_nearest_version_file_comes_before_the_global_one() {
        let (root, shim) = pyenv();
        let project = root.path().join("project/deep");
        fs::create_dir_all(&project).unwrap();
        fs::write(root.path().join("project/.python-version"), "system\n").unwrap();
        let choice = Choice { version: None, folder: Some(project) };
        assert_eq!(choose(root.path(), &shim, &choice), None);
    }

    #[test]
    fn other_scripts_are_no_launchers() {
        let (root, _) = pyenv();
        assert_eq!(root_of(&root.path().join("versions/3.11.7/bin/python3")), None);
    }
}
