//! The scripts of a base: text is copied and re-pointed, programs are shared.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::place::{Batch, Placement, times_of};
use super::repoint::{Moves, is_interpreter_in};
use super::skeleton::Skeleton;
use crate::error::{Error, IoResultExt};
use crate::interpreter::{Interpreter, is_interpreter_name};

/// A larger file among the scripts is a program.
const LARGEST_SCRIPT: u64 = 4 << 20;

/// Where scripts come from and go to.
pub(super) struct Scripts<'a> {
    interpreter: &'a Interpreter,
    python: PathBuf,
    folder: PathBuf,
    /// The folders whose interpreters are the base's, links resolved.
    base_folders: Vec<PathBuf>,
    moves: &'a Moves,
    placement: &'a Placement<'a>,
    placed: RefCell<HashSet<OsString>>,
}

impl<'a> Scripts<'a> {
    pub(super) fn new(
        interpreter: &'a Interpreter,
        skeleton: &Skeleton<'_>,
        moves: &'a Moves,
        placement: &'a Placement<'a>,
    ) -> Self {
        let mut base_folders = vec![interpreter.executable().parent()];
        if !interpreter.is_virtualenv() {
            base_folders.push(interpreter.base_executable().parent());
        }
        Self {
            interpreter,
            python: skeleton.python(),
            folder: skeleton.scripts(),
            base_folders: base_folders
                .into_iter()
                .flatten()
                .filter_map(|folder| fs::canonicalize(folder).ok())
                .collect(),
            moves,
            placement,
            placed: RefCell::default(),
        }
    }

    /// Returns the folder of the environment's scripts.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether the skeleton has a file of this name already.
    pub(super) fn is_reserved(name: &OsStr) -> bool {
        is_interpreter_name(name) || name == "activate"
    }

    /// Places one file of the base among the environment's scripts; the first of a name counts.
    pub(super) fn place(&self, from: &Path) -> Result<(), Error> {
        let Some(name) = from.file_name().filter(|name| !Self::is_reserved(name)) else {
            return Ok(());
        };
        if !self.placed.borrow_mut().insert(name.to_owned()) {
            return Ok(());
        }
        let to = self.folder.join(name);
        let Some(content) = read_text(from)? else {
            let from = from.parent().unwrap_or(Path::new("/")).to_path_buf();
            self.placement.files(Batch {
                target: from.clone(),
                from,
                to: self.folder.clone(),
                names: vec![name.to_owned()],
            });
            return Ok(());
        };
        let metadata = fs::metadata(from).context("examine", from)?;
        let script = self.moves.script(&content, &self.python, |path| self.is_base(path));
        let mode = metadata.permissions().mode() & 0o7777;
        self.placement.own_file(&to, &script, mode, Some(times_of(&metadata)))
    }

    /// Returns whether an interpreter that a script names is the base's.
    fn is_base(&self, path: &Path) -> bool {
        is_interpreter_in(path, |folder| {
            fs::canonicalize(folder).is_ok_and(|folder| self.base_folders.contains(&folder))
        }) || (!self.interpreter.is_virtualenv() && path == self.interpreter.executable())
    }
}

/// Returns the file, if it is a text. A script is one even if it names nothing of the base: it may
/// find its environment by its own real path, which a symbolic link would put into the base.
fn read_text(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let mut file = File::open(path).context("open", path)?;
    if file.metadata().context("examine", path)?.len() > LARGEST_SCRIPT {
        return Ok(None);
    }
    let mut content = vec![0; 1024];
    let length = file.read(&mut content).context("read", path)?;
    content.truncate(length);
    if content.contains(&0) {
        return Ok(None);
    }
    file.read_to_end(&mut content).context("read", path)?;
    Ok(Some(content))
}
