//! Cloning the tree of a virtualenv.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use super::egg::Eggs;
use super::metadata;
use super::place::{Placement, times_of};
use super::repoint::Moves;
use super::scripts::Scripts;
use super::walk::{Folder, Verdict, Visitor, walk};
use super::way::Way;
use crate::error::{Error, IoResultExt};
use crate::interpreter::Interpreter;
use crate::layout::{MANIFEST, SIZES};

/// Larger files are data, which is not searched for a path.
const LONGEST_TEXT: u64 = 256 * 1024;

/// The virtualenv that is cloned.
pub(super) struct Tree<'a> {
    prefix: &'a Path,
    site_dirs: HashMap<&'a Path, Eggs>,
    moves: &'a Moves,
    scripts: &'a Scripts<'a>,
    placement: &'a Placement<'a>,
}

impl<'a> Tree<'a> {
    /// Returns the virtualenv of `interpreter`, to become `dir`.
    pub(super) fn new(
        interpreter: &'a Interpreter,
        dir: &Path,
        moves: &'a Moves,
        scripts: &'a Scripts<'a>,
        placement: &'a Placement<'a>,
    ) -> Result<Self, Error> {
        let prefix = interpreter.prefix();
        let mut site_dirs = HashMap::new();
        for from in interpreter.site_dirs() {
            if let Ok(inside) = from.strip_prefix(prefix) {
                let eggs = Eggs::of(from, &dir.join(inside), |_| false)?;
                site_dirs.insert(from.as_path(), eggs);
            }
        }
        Ok(Self { prefix, site_dirs, moves, scripts, placement })
    }

    /// Clones into `dir` everything but what the skeleton has already.
    pub(super) fn clone_into(&self, dir: &Path) -> Result<(), Error> {
        let root = Folder::new(self.prefix.to_path_buf(), dir.to_path_buf());
        walk(self.placement, self.moves, root, self)?;
        for eggs in self.site_dirs.values() {
            eggs.fetch(self.placement, self.moves, self.scripts.folder())?;
        }
        Ok(())
    }
}

impl Visitor for Tree<'_> {
    fn enter(&self, folder: &mut Folder) -> Result<(), Error> {
        if self.site_dirs.contains_key(folder.from.as_path()) {
            folder.in_site = true;
            if self.placement.makes_symlinks() {
                folder.way = Way::alias(self.placement, &folder.from, &folder.to)?;
            }
        }
        Ok(())
    }

    fn visit(&self, folder: &Folder, name: &OsStr, kind: FileType) -> Result<Verdict, Error> {
        // uv locks `.lock`: environments that shared it would wait for each other. The records of
        // a base that is an environment of a cache speak of that alone.
        let is_own =
            |name: &OsStr| [MANIFEST, SIZES, "pyvenv.cfg", ".lock"].iter().any(|own| name == *own);
        if folder.from == self.prefix && is_own(name) {
            return Ok(Verdict::Leave);
        }
        if folder.to == self.scripts.folder() {
            if Scripts::is_reserved(name) {
                return Ok(Verdict::Leave);
            }
            if kind.is_file() {
                self.scripts.place(&folder.from.join(name))?;
                return Ok(Verdict::Leave);
            }
        }
        if let Some(eggs) = self.site_dirs.get(folder.from.as_path()) {
            if !kind.is_dir() && holds_paths(name) {
                let to = folder.to.join(name);
                own_paths(self.placement, (self.moves, eggs), folder, name, &to)?;
                return Ok(Verdict::Leave);
            }
            let scripts = self.scripts.folder();
            if let Some(verdict) = eggs.place(self.placement, name, scripts)? {
                return Ok(verdict);
            }
            let to = (&*folder.to, scripts);
            return metadata::place(self.placement, folder, name, eggs.doubles(), to);
        }
        if self.site_dirs.values().any(|eggs| eggs.is_info(folder, name)) {
            return Ok(Verdict::Leave);
        }
        if kind.is_file() && self.may_name_the_prefix(folder) && self.place_text(folder, name)? {
            return Ok(Verdict::Leave);
        }
        Ok(Verdict::Take)
    }
}

impl Tree<'_> {
    /// Returns whether programs keep texts in this folder that name the virtualenv: `share` and
    /// `etc`, as for kernels of Jupyter, and whatever else lies beside the packages.
    fn may_name_the_prefix(&self, folder: &Folder) -> bool {
        let Ok(inside) = folder.from.strip_prefix(self.prefix) else { return false };
        let top = inside.components().next().map(Component::as_os_str);
        let is_code =
            top.is_some_and(|top| ["lib", "lib64", "include"].iter().any(|it| top == *it));
        !is_code || inside.ends_with("pkgconfig")
    }

    /// Copies a text that names the virtualenv, re-pointed; false if it is none, and can be shared.
    fn place_text(&self, folder: &Folder, name: &OsStr) -> Result<bool, Error> {
        let from = folder.from.join(name);
        let metadata = fs::metadata(&from).context("examine", &from)?;
        if metadata.len() > LONGEST_TEXT {
            return Ok(false);
        }
        let text = files::read_regular(&from).context("read", &from)?;
        if text.contains(&0) {
            return Ok(false);
        }
        let Cow::Owned(repointed) = self.moves.text(&text) else { return Ok(false) };
        let (to, mode) = (folder.to.join(name), metadata.permissions().mode() & 0o7777);
        self.placement.own_file(&to, &repointed, mode, None)?;
        Ok(true)
    }
}

/// Returns whether a file at the top of a site folder holds paths: a `.pth` file, an egg-link, or
/// the finder of an editable.
pub(super) fn holds_paths(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    match extension {
        Some("pth" | "egg-link") => true,
        Some("py") => name.as_encoded_bytes().starts_with(b"__editable__"),
        _ => false,
    }
}

/// Copies a file that holds paths, or the one that a link leads to, re-pointed.
pub(super) fn own_paths(
    placement: &Placement<'_>,
    (moves, eggs): (&Moves, &Eggs),
    folder: &Folder,
    name: &OsStr,
    to: &Path,
) -> Result<(), Error> {
    let from = folder.from.join(name);
    if !from.is_file() {
        // A link that leads nowhere says nothing, and Python passes over a folder of such a name.
        return Ok(());
    }
    let metadata = fs::metadata(&from).context("examine", &from)?;
    let text = files::read_regular(&from).context("read", &from)?;
    let repointed = if Path::new(name).extension() == Some(OsStr::new("py")) {
        moves.text(&text)
    } else {
        let named = eggs.lines(&text);
        Cow::Owned(moves.path_lines(&named, &folder.from).into_owned())
    };
    // With the old times, a finder that has changed would go by the bytecode of the base's.
    let times = (*repointed == *text).then(|| times_of(&metadata));
    placement.own_file(to, &repointed, metadata.permissions().mode() & 0o7777, times)
}
