//! The files that specs refer to, as they are on disk.

use std::io;
use std::path::{Path, PathBuf};

use envspec::Source;

/// Reads what specs refer to from the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskSource;

impl Source for DiskSource {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A device may never end; a file does, and an archive may be as large as it likes.
        if std::fs::metadata(path)?.is_file() {
            std::fs::read(path)
        } else {
            files::read_file(path, files::MOST_TEXT)
        }
    }

    fn read_text(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A stream that this process has open, as shells hand one over, ends; what a pipe in a folder
        // waits for may never come.
        if path.starts_with("/dev") || path.starts_with("/proc") {
            return files::read(path, files::MOST_TEXT);
        }
        files::read_file(path, files::MOST_TEXT)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(dir).follow_links(true).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                // A link that leads nowhere, or in a circle, holds nothing.
                Err(error) if error.depth() > 0 && is_idle_link(&error) => continue,
                Err(error) => {
                    let circle = error.to_string();
                    // Without the path, which the caller names.
                    return Err(error.into_io_error().unwrap_or_else(|| io::Error::other(circle)));
                }
            };
            // A pipe or socket holds nothing that could be built, and a pipe would be waited for.
            if entry.file_type().is_file() {
                files.push(entry.into_path());
            }
        }
        Ok(files)
    }

    fn real_dir(&self, dir: &Path) -> io::Result<PathBuf> {
        dir.canonicalize()
    }
}

fn is_idle_link(error: &walkdir::Error) -> bool {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    error.loop_ancestor().is_some() || error.io_error().is_some_and(is_missing)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use envspec::{RuntimeEnv, Tool};

    use super::*;

    #[test]
    fn a_pipe_in_a_folder_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for (name, list) in [("r.txt", "r.txt"), ("pyproject.toml", "pyproject.toml#dev")] {
            duct::cmd("mkfifo", [dir.join(name)]).run().unwrap();
            let error = RuntimeEnv::requirements_file(Tool::Uv, list).load(&DiskSource, &dir);
            let text = format!("{:?}", error.unwrap_err());
            assert!(text.contains("it is a pipe"), "{text}");
        }
    }

    #[test]
    fn a_folder_in_the_wrong_place_is_told_once_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir(dir.join("here")).unwrap();
        let refused = |spec: &RuntimeEnv| spec.load(&DiskSource, &dir).unwrap_err().report();
        let missing = refused(&RuntimeEnv::uv(["./missing"]));
        assert_eq!(missing.matches("No such file").count(), 1, "{missing}");
        assert!(missing.contains("or correct the path"), "{missing}");
        let folder = refused(&RuntimeEnv::requirements_file(Tool::Uv, "here"));
        assert!(
            folder.contains(&format!("write a list: [\"{}/here\"]", dir.display())),
            "{folder}"
        );
    }

    /// As uv and pip 23.2 do (pip 26.3 takes the parent by the text of the path).
    #[test]
    fn two_dots_below_a_linked_folder_are_its_targets_parent() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.join(path), text).unwrap();
        };
        let lines = "-r ../common.txt\n-c ../common.txt\n-e ../lib\n-f ../links\n";
        write("real/deep/requirements.txt", lines);
        write("real/common.txt", "right");
        write("real/lib/setup.py", "");
        write("real/links/right-1-py3-none-any.whl", "");
        write("project/common.txt", "wrong");
        write("project/lib/setup.py", "wrong");
        symlink("../real/deep", dir.join("project/link")).unwrap();
        for tool in [Tool::Pip, Tool::Uv] {
            let file = RuntimeEnv::requirements_file(tool, "link/requirements.txt");
            // From a folder that is itself a link, too.
            let up = RuntimeEnv::from_json(&format!(r#"{{"{tool}": ["-r ../common.txt"]}}"#));
            let install = |spec: &RuntimeEnv, below: &str| {
                spec.load(&DiskSource, &dir.join(below)).unwrap().install.unwrap()
            };
            let found = install(&file, "project");
            let lines: Vec<_> = found.requirements.iter().map(ToString::to_string).collect();
            assert_eq!(lines, ["right".to_owned(), format!("-e {}/real/lib", dir.display())]);
            assert_eq!(found.constraints[0].to_string(), "right");
            assert_eq!(found.index.find_links[0].path(), Some(&*dir.join("real/links")));
            let found = install(&up.unwrap(), "project/link");
            assert_eq!(found.requirements[0].to_string(), "right");
        }
    }
}
