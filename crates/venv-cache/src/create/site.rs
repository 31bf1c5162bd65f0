//! Gathering several site folders in one: those of an installation, or those that a virtualenv
//! sees outside of itself.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::egg::Eggs;
use super::metadata;
use super::place::{Batch, Placement};
use super::record;
use super::repoint::{Moves, normalized};
use super::scripts::Scripts;
use super::tree::{holds_paths, own_paths};
use super::walk::{Folder, Verdict, Visitor, walk};
use super::way::Way;
use crate::error::{Error, IoResultExt};
use crate::interpreter::Interpreter;

/// The site folders seen so far, in the order of `sys.path`, and what of them counts.
pub(super) struct Sites<'a> {
    interpreter: &'a Interpreter,
    dir: &'a Path,
    site_dir: &'a Path,
    moves: &'a Moves,
    scripts: &'a Scripts<'a>,
    placement: &'a Placement<'a>,
    /// Links resolved: `lib64` may be another name of `lib`.
    folders: Vec<PathBuf>,
    distributions: HashSet<String>,
    /// Modules and regular packages, by the name that is imported.
    modules: HashSet<OsString>,
    /// Files outside of the site folder that have been handed over.
    placed: HashSet<PathBuf>,
}

impl<'a> Sites<'a> {
    /// Gathers in `site_dir`, the folder of packages of the environment `dir`.
    pub(super) fn new(
        interpreter: &'a Interpreter,
        (dir, site_dir): (&'a Path, &'a Path),
        moves: &'a Moves,
        scripts: &'a Scripts<'a>,
        placement: &'a Placement<'a>,
    ) -> Self {
        Self {
            interpreter,
            dir,
            site_dir,
            moves,
            scripts,
            placement,
            folders: Vec::new(),
            distributions: HashSet::new(),
            modules: HashSet::new(),
            placed: HashSet::new(),
        }
    }

    /// Takes note of a folder whose contents the environment has already.
    pub(super) fn note(&mut self, from: &Path) -> Result<(), Error> {
        if let Some(from) = self.fresh(from)? {
            let eggs = Eggs::of(&from, self.site_dir, |_| false)?;
            self.remember(&from, &eggs)?;
            self.folders.push(from);
        }
        Ok(())
    }

    /// Adds what a folder has and no earlier one shadows.
    ///
    /// A module or a regular package shadows whatever has its name, as importing does; halves of a
    /// package that Python joins are merged ([`is_joined`]). Where both halves have a file, the first
    /// one's counts; so it does of a distribution.
    pub(super) fn merge(&mut self, from: &Path) -> Result<(), Error> {
        let Some(from) = self.fresh(from)? else { return Ok(()) };
        let mut root = Folder::new(from.clone(), self.site_dir.to_path_buf());
        root.in_site = true;
        if self.placement.makes_symlinks() {
            root.way = Way::alias(self.placement, &from, self.site_dir)?;
        }
        let eggs = Eggs::of(&from, self.site_dir, |name| self.distributions.contains(name))?;
        let merge = Merge { sites: self, root: &root, eggs: &eggs, metadata: RefCell::default() };
        walk(self.placement, self.moves, root.clone(), &merge)?;
        let metadata = merge.metadata.into_inner();
        eggs.fetch(self.placement, self.moves, self.scripts.folder())?;
        for metadata in metadata {
            self.place_outside(&from, &metadata)?;
        }
        for name in eggs.scripts()? {
            self.place_script(&name)?;
        }
        self.remember(&from, &eggs)?;
        self.folders.push(from);
        Ok(())
    }

    /// Returns the folder, links resolved, if it exists and has not been seen.
    fn fresh(&self, folder: &Path) -> Result<Option<PathBuf>, Error> {
        match fs::canonicalize(folder) {
            Ok(real) if self.folders.contains(&real) => Ok(None),
            Ok(real) => Ok(Some(real)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("resolve", folder),
        }
    }

    fn remember(&mut self, folder: &Path, eggs: &Eggs) -> Result<(), Error> {
        self.distributions.extend(eggs.distributions().map(str::to_owned));
        for (name, _) in entries(folder)? {
            if let Some(distribution) = name.to_str().and_then(record::distribution) {
                self.distributions.insert(distribution);
            } else if name != "__pycache__" && !is_joined(&folder.join(&name)) {
                self.modules.insert(module(&name).to_owned());
            }
        }
        Ok(())
    }

    /// Places the scripts and data files of a distribution.
    fn place_outside(&mut self, from: &Path, metadata: &Path) -> Result<(), Error> {
        let read = |name: &str| files::read_regular_text(&metadata.join(name)).ok();
        if let Some(record) = read("RECORD") {
            for path in record::outside(&record) {
                let file = normalized(&from.join(&path));
                let to = normalized(&self.site_dir.join(&path));
                self.place_one(&file, &to)?;
            }
        } else if let Some(entry_points) = read("entry_points.txt") {
            for name in record::scripts(&entry_points) {
                self.place_script(name)?;
            }
        }
        Ok(())
    }

    /// Places a script of the base, which no list says where to find.
    fn place_script(&mut self, name: &str) -> Result<(), Error> {
        let folders =
            [self.interpreter.scripts().to_path_buf(), self.interpreter.base_prefix().join("bin")];
        for folder in folders {
            self.place_one(&folder.join(name), &self.scripts.folder().join(name))?;
        }
        Ok(())
    }

    fn place_one(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        let (Some(source), Some(folder), Some(name)) = (from.parent(), to.parent(), to.file_name())
        else {
            return Ok(());
        };
        // What lies elsewhere was put there by more than an installer; what a virtualenv has at
        // this place has been cloned.
        let Ok(inside) = to.strip_prefix(self.dir) else { return Ok(()) };
        let cloned = self.interpreter.is_virtualenv()
            && fs::symlink_metadata(self.interpreter.prefix().join(inside)).is_ok();
        if cloned || !from.is_file() || !self.placed.insert(to.to_path_buf()) {
            return Ok(());
        }
        if folder == self.scripts.folder() {
            return self.scripts.place(from);
        }
        self.placement.folder(folder)?;
        self.placement.files(Batch {
            from: source.to_path_buf(),
            to: folder.to_path_buf(),
            target: source.to_path_buf(),
            names: vec![name.to_owned()],
        });
        Ok(())
    }
}

/// One site folder being merged.
struct Merge<'s, 'a> {
    sites: &'s Sites<'a>,
    root: &'s Folder,
    eggs: &'s Eggs,
    /// The metadata folders that have been taken.
    metadata: RefCell<Vec<PathBuf>>,
}

impl Merge<'_, '_> {
    fn visit_top(&self, folder: &Folder, name: &OsStr, kind: FileType) -> Result<Verdict, Error> {
        let Sites { distributions, modules, moves, placement, site_dir, scripts, .. } = self.sites;
        let from = folder.from.join(name);
        if let Some(verdict) = self.eggs.place(placement, name, scripts.folder())? {
            return Ok(verdict);
        }
        if let Some(distribution) = name.to_str().and_then(record::distribution) {
            if distributions.contains(&distribution) {
                return Ok(Verdict::Leave);
            }
            if from.is_dir() {
                self.metadata.borrow_mut().push(from);
            }
            let doubles = self.eggs.doubles();
            return metadata::place(placement, folder, name, doubles, (site_dir, scripts.folder()));
        }
        if !kind.is_dir() && holds_paths(name) {
            if let Some(to) = self.free_name(&from, name) {
                own_paths(placement, (moves, self.eggs), folder, name, &site_dir.join(to))?;
            }
            return Ok(Verdict::Leave);
        }
        Ok(if modules.contains(module(name)) { Verdict::Leave } else { Verdict::Take })
    }

    /// Returns a name for a file that holds paths: every folder's `.pth` files count, also those
    /// that an earlier folder has by the same name. `None` if that one says the same.
    fn free_name(&self, from: &Path, name: &OsStr) -> Option<OsString> {
        let folders = &self.sites.folders;
        let same = |folder: &PathBuf| {
            files::read_regular(&folder.join(name))
                .is_ok_and(|text| files::read_regular(from).is_ok_and(|own| own == text))
        };
        if folders.iter().any(same) {
            return None;
        }
        let taken = |name: &OsStr| {
            folders.iter().any(|folder| fs::symlink_metadata(folder.join(name)).is_ok())
        };
        if !taken(name) {
            return Some(name.to_owned());
        }
        let path = Path::new(name);
        let (stem, extension) = (path.file_stem()?.to_str()?, path.extension()?.to_str()?);
        (1..=u16::MAX)
            .map(|number| OsString::from(format!("{stem}.{number}.{extension}")))
            .find(|name| !taken(name))
    }
}

impl Visitor for Merge<'_, '_> {
    fn enter(&self, _: &mut Folder) -> Result<(), Error> {
        Ok(())
    }

    fn visit(&self, folder: &Folder, name: &OsStr, kind: FileType) -> Result<Verdict, Error> {
        if folder.to == self.root.to && name != "__pycache__" {
            return self.visit_top(folder, name, kind);
        }
        if self.eggs.is_info(folder, name) {
            return Ok(Verdict::Leave);
        }
        // Deeper down it is a package that earlier folders may have a half of.
        let Ok(inside) = folder.to.strip_prefix(&self.root.to) else { return Ok(Verdict::Take) };
        for earlier in self.sites.folders.iter().map(|earlier| earlier.join(inside)) {
            let same = earlier.join(name);
            let is_shadowed = match fs::metadata(&same) {
                Ok(there) => {
                    let is_dir = kind.is_dir() || folder.from.join(name).is_dir();
                    !(there.is_dir() && is_dir && is_joined(&same))
                }
                Err(_) => fs::symlink_metadata(&same).is_ok() || has_module(&earlier, name),
            };
            if is_shadowed {
                return Ok(Verdict::Leave);
            }
        }
        Ok(Verdict::Take)
    }
}

/// Returns the name under which an entry of a site folder is imported.
fn module(name: &OsStr) -> &OsStr {
    let text = name.to_str().and_then(|name| name.split('.').next());
    text.map_or(name, OsStr::new)
}

/// Returns whether the path is a package that Python joins with others of its name: a folder
/// without `__init__` (PEP 420), or one whose `__init__.py` says so in a way older than that.
fn is_joined(path: &Path) -> bool {
    let Ok(entries) = entries(path) else { return false };
    let is_init = |name: &OsStr| name.as_encoded_bytes().starts_with(b"__init__.");
    !entries.iter().any(|(name, _)| is_init(name))
        || files::read_regular_text(&path.join("__init__.py")).is_ok_and(|text| {
            ["extend_path", "declare_namespace"].iter().any(|call| text.contains(call))
        })
}

/// Returns whether a folder has a module or regular package that is imported by the name of this
/// entry.
fn has_module(folder: &Path, name: &OsStr) -> bool {
    let is_code = |name: &OsStr| {
        let extension = Path::new(name).extension();
        extension.is_none_or(|extension| extension == "py" || extension == "so")
    };
    is_code(name)
        && entries(folder).is_ok_and(|entries| {
            entries.iter().any(|(other, kind)| {
                module(other) == module(name)
                    && is_code(other)
                    && !(kind.is_dir() && is_joined(&folder.join(other)))
            })
        })
}

fn entries(folder: &Path) -> Result<Vec<(OsString, FileType)>, Error> {
    fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
                .collect()
        })
        .context("list", folder)
}
