//! The Python side of a worker, written where interpreters can read it.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use envspec::Digest;
use files::{Access, Scratch, Untrusted};

/// The file that stage code may import, as it may `curator_table.py`.
pub const CURATOR_STAGE_PY: &str = include_str!("../../python/curator_stage.py");

/// The one that a worker runs.
const MAIN: &str = "curator_worker.py";

/// The one that finds out what stages' classes declare.
pub(crate) const CLASSES: &str = "curator_classes.py";

/// All of them, by their names.
const FILES: [(&str, &str); 30] = [
    ("curator_arenas.py", include_str!("../../python/curator_arenas.py")),
    ("curator_arrow.py", include_str!("../../python/curator_arrow.py")),
    ("curator_batches.py", include_str!("../../python/curator_batches.py")),
    ("curator_bytecode.py", include_str!("../../python/curator_bytecode.py")),
    ("curator_cells.py", include_str!("../../python/curator_cells.py")),
    ("curator_classes.py", include_str!("../../python/curator_classes.py")),
    ("curator_code.py", include_str!("../../python/curator_code.py")),
    ("curator_declared.py", include_str!("../../python/curator_declared.py")),
    ("curator_frames.py", include_str!("../../python/curator_frames.py")),
    ("curator_imports.py", include_str!("../../python/curator_imports.py")),
    ("curator_json.py", include_str!("../../python/curator_json.py")),
    ("curator_late.py", include_str!("../../python/curator_late.py")),
    ("curator_leave.py", include_str!("../../python/curator_leave.py")),
    ("curator_left.py", include_str!("../../python/curator_left.py")),
    ("curator_literals.py", include_str!("../../python/curator_literals.py")),
    ("curator_loop.py", include_str!("../../python/curator_loop.py")),
    ("curator_nemo.py", include_str!("../../python/curator_nemo.py")),
    ("curator_objects.py", include_str!("../../python/curator_objects.py")),
    ("curator_overrides.py", include_str!("../../python/curator_overrides.py")),
    ("curator_plain.py", include_str!("../../python/curator_plain.py")),
    ("curator_proof.py", include_str!("../../python/curator_proof.py")),
    ("curator_stage.py", CURATOR_STAGE_PY),
    ("curator_streams.py", include_str!("../../python/curator_streams.py")),
    ("curator_table.py", include_str!("../../python/curator_table.py")),
    ("curator_template.py", include_str!("../../python/curator_template.py")),
    ("curator_unread.py", include_str!("../../python/curator_unread.py")),
    ("curator_values.py", include_str!("../../python/curator_values.py")),
    ("curator_warm.py", include_str!("../../python/curator_warm.py")),
    ("curator_watch.py", include_str!("../../python/curator_watch.py")),
    ("curator_worker.py", include_str!("../../python/curator_worker.py")),
];

static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let texts: Vec<&str> = FILES.iter().map(|(_, text)| *text).collect();
    Digest::of(texts.join("\0").as_bytes()).to_string()[..16].to_owned()
});

/// Writes the Python side of workers below `shims_dir`, once for each version of it; returns the path
/// of the program.
///
/// Their folder is named by their contents, so that a newer program never changes the files under
/// the workers of an older one.
pub fn write_shim(shims_dir: &Path) -> io::Result<PathBuf> {
    let folder = enter(shims_dir, &FOLDER)?;
    for (name, text) in FILES {
        folder.write(name, text)?;
    }
    Ok(folder.path.join(MAIN))
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

    /// Calls a function that writes below the cache's folder, or, if that is refused, below the one
    /// of this process.
    fn in_folder<T>(&self, write: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        let write = |dir: &Path| write(dir).map_err(|error| within(dir, error));
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

    /// Writes the Python side of workers, and returns the file that a worker runs.
    pub(crate) fn shim(&self) -> io::Result<PathBuf> {
        self.in_folder(write_shim)
    }

    /// Returns the name of this version of the files.
    pub(crate) fn version() -> &'static str {
        &FOLDER
    }

    /// Writes the source of a stage that has no file of its own, so that tracebacks show its lines
    /// and child processes can import it.
    pub(crate) fn source(&self, source: &str) -> io::Result<PathBuf> {
        let digest = Digest::of(source.as_bytes()).to_string();
        let name = format!("stage_{}.py", &digest[..12]);
        self.in_folder(|dir| enter(dir, &digest[..16])?.write(&name, source))
    }

    /// Writes files that belong together into a folder whose name tells their contents; returns the
    /// folder.
    pub(crate) fn files(&self, folder: &str, files: &[(&str, &str)]) -> io::Result<PathBuf> {
        self.in_folder(|dir| {
            let folder = enter(dir, folder)?;
            for (name, text) in files {
                folder.write(name, text)?;
            }
            Ok(folder.path)
        })
    }

    /// Makes a link in a folder of its own, whose name tells what it leads to; returns the folder.
    pub(crate) fn link(&self, folder: &str, name: &OsStr, target: &Path) -> io::Result<PathBuf> {
        self.in_folder(|dir| {
            let folder = enter(dir, folder)?;
            folder.link(name, target)?;
            Ok(folder.path)
        })
    }
}

/// Adds the folder to an error that names no place.
fn within(dir: &Path, error: io::Error) -> io::Error {
    match Untrusted::of(&error) {
        Some(_) => error,
        None => io::Error::new(error.kind(), format!("in `{}`: {error}", dir.display())),
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
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    use super::*;

    /// A file that is not written would be missed by the first stage that needs it.
    #[test]
    fn every_file_for_workers_is_embedded() {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
        for entry in fs::read_dir(python).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_module = name.starts_with("curator_") && Path::new(&name).extension().is_some();
            if is_module && !name.starts_with("curator_ray") {
                assert!(FILES.iter().any(|(file, _)| *file == name), "{name}");
            }
        }
    }

    /// Where the kernel sends no signal for a pipe that closes, a thread kills the worker and its
    /// children.
    #[test]
    fn without_the_signal_a_thread_ends_the_group() {
        const STEPS: &str = "\
import fcntl, os, subprocess, sys, time
vars(fcntl).pop('F_SETSIG', None)
sys.path.insert(0, sys.argv[1])
import curator_worker
curator_worker.follow_parent(0, os.getpgrp())
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
print('ready', flush=True)
time.sleep(60)
";
        let dir = tempfile::tempdir().unwrap();
        let shim = write_shim(dir.path()).unwrap();
        let (lifeline_end, lifeline) = io::pipe().unwrap();
        let (said, said_end) = io::pipe().unwrap();
        let worker = duct::cmd("python3", ["-c", STEPS, shim.parent().unwrap().to_str().unwrap()])
            .stdin_file(lifeline_end)
            .stdout_file(said_end)
            .unchecked()
            .before_spawn(|command| {
                command.process_group(0);
                Ok(())
            })
            .start()
            .unwrap();
        let (mut said, mut line) = (BufReader::new(said), String::new());
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        drop(lifeline);
        // The pipe ends when nothing holds it any more: neither the worker nor its child.
        assert_eq!(said.read_to_end(&mut Vec::new()).unwrap(), 0);
        worker.wait().unwrap();
    }

    #[test]
    fn a_damaged_shim_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = write_shim(dir.path()).unwrap();
        for (name, text) in FILES {
            fs::write(file.with_file_name(name), "cut").unwrap();
            assert_eq!(write_shim(dir.path()).unwrap(), file);
            assert_eq!(fs::read_to_string(file.with_file_name(name)).unwrap(), text);
        }
    }

    /// If the folder cannot be written and lacks a file, a private folder of the process replaces
    /// it, which no other user enters and which is removed.
    #[test]
    fn a_folder_that_cannot_be_made_is_replaced_by_one_of_the_process() {
        let dir = tempfile::tempdir().unwrap();
        // Even root cannot make a folder there.
        let shims = Shims::new("/sys/shims".into());
        let file = shims.shim().unwrap();
        assert!(FILES.contains(&(MAIN, fs::read_to_string(&file).unwrap().as_str())));
        assert_eq!(shims.shim().unwrap(), file, "once");
        let own = file.ancestors().nth(2).unwrap().to_owned();
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(shims.source("x = 1").unwrap().starts_with(&own));
        let module = shims.link("module", OsStr::new("m"), dir.path()).unwrap();
        assert_eq!(fs::read_link(module.join("m")).unwrap(), dir.path());
        drop(shims);
        assert!(!own.exists());
    }

    #[test]
    fn an_error_names_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let shims = dir.path().join("file/shims");
        fs::write(dir.path().join("file"), "").unwrap();
        let error = Shims::new(shims.clone()).shim().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert!(error.to_string().contains(shims.to_str().unwrap()), "{error}");
    }
}
