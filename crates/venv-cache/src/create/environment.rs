//! The two ways to make an environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::place::{Placement, with_placement};
use super::repoint::Moves;
use super::scripts::Scripts;
use super::site::Sites;
use super::skeleton::Skeleton;
use super::tree::Tree;
use crate::base::{Base, Kind};
use crate::error::{Error, IoResultExt};
use crate::interpreter::Interpreter;
use crate::strategy::{Strategy, try_link};

/// An environment that has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// The environment's interpreter, `bin/python` in its folder.
    pub python: PathBuf,
    /// The way in which it gets the base's files; `None` for an empty one, which has none.
    pub strategy: Option<Strategy>,
    /// The number of its files, links included.
    pub files: u64,
    /// The number of files that are its own: rewritten, or copied because they could not be shared.
    pub own_files: u64,
    /// The bytes on disk that are its own: own files, folders, links that need a block.
    pub own_bytes: u64,
}

/// Makes a virtualenv in `dir` in which everything is importable that is so in `base`.
///
/// A virtualenv is cloned, with its scripts, `pyvenv.cfg`, activation scripts, `.pth` files,
/// egg-links and editable finders really copied and re-pointed from the base's folder to `dir`.
/// Of an installation the distributions of its site folders are taken, with the scripts and data
/// files that their `RECORD`s name; so are those of the site folders that a virtualenv sees
/// outside of itself. A distribution, module or package that an earlier site folder shadows is
/// left out.
///
/// An egg that a `.pth` file names becomes what an installed wheel is: installers see it and replace it.
/// Its modules stay in a folder of its name, also those of an archive and of an egg elsewhere.
///
/// Folders are always real; files are shared as `strategy` says and never written to, so that
/// installers, which remove a file before they write it, leave the base alone. Times are kept, or
/// every `.pyc` would go stale. A link in the base to a folder outside of it becomes a real
/// folder, lest an installer writes through it.
///
/// A single file that cannot be hard-linked (of another owner, on another device, or with too
/// many links) is copied and counted in [`Created::own_files`].
///
/// # Errors
///
/// [`Error::Occupied`] if `dir` exists and is not empty, [`Error::InsideBase`] if it lies in the
/// base, [`Error::NotUtf8`], [`Error::LinkRefused`] if `strategy` is [`Strategy::Hardlink`] and
/// links do not work, and [`Error::Io`]. On an error `dir` is removed again.
pub fn create(base: &Base, dir: &Path, strategy: Strategy) -> Result<Created, Error> {
    create_unless(base, dir, strategy, &|| false)
}

/// Creates an environment like [`create`], given up soon after `is_over` says that the environment
/// is not wanted any more.
///
/// A base of many files takes a while, a copied one seconds. `is_over` is asked before each folder
/// and each few files, from several threads, so it should do no more than look at a flag.
///
/// # Errors
///
/// Those of [`create`], and [`Error::GivenUp`]; nothing of `dir` stays then.
pub fn create_unless(
    base: &Base,
    dir: &Path,
    strategy: Strategy,
    is_over: &(dyn Fn() -> bool + Sync),
) -> Result<Created, Error> {
    create_telling(base, dir, strategy, is_over, &|_| ())
}

/// Creates an environment like [`create_unless`], and hands over the interpreter as soon as it can
/// be started: `on_python` is called once, when that is there and the base's packages are not. What
/// it starts must not look at packages yet.
///
/// # Errors
///
/// Those of [`create_unless`].
pub fn create_telling(
    base: &Base,
    dir: &Path,
    strategy: Strategy,
    is_over: &(dyn Fn() -> bool + Sync),
    on_python: &dyn Fn(&Path),
) -> Result<Created, Error> {
    is_outside(base, dir)?;
    let dir = claim(dir)?;
    let linked = match strategy {
        Strategy::Hardlink => try_link(base, &dir),
        Strategy::Symlink | Strategy::Copy => Ok(()),
    };
    let result = linked.and_then(|()| {
        with_placement(strategy, is_over, |placement| fill(base, &dir, placement, on_python))
    });
    finish(&dir, base.interpreter(), Some(strategy), result)
}

/// Makes an empty virtualenv of `interpreter` in `dir`, as `python -m venv --without-pip` does,
/// in a few milliseconds and without starting a process.
///
/// If `interpreter` is itself a virtualenv's, the new one is made of the same installation and
/// sees nothing of that virtualenv.
///
/// # Errors
///
/// [`Error::Occupied`] if `dir` exists and is not empty, [`Error::NotUtf8`] and [`Error::Io`]. On
/// an error `dir` is removed again.
pub fn create_bare(interpreter: &Interpreter, dir: &Path) -> Result<Created, Error> {
    let dir = claim(dir)?;
    let result = with_placement(Strategy::Copy, &|| false, |placement| {
        let skeleton = Skeleton::new(interpreter, &dir);
        skeleton.write(placement)?;
        skeleton.write_lib64(placement)
    });
    finish(&dir, interpreter, None, result)
}

/// Collects everything that an environment over `base` has.
fn fill(
    base: &Base,
    dir: &Path,
    placement: &Placement<'_>,
    on_python: &dyn Fn(&Path),
) -> Result<(), Error> {
    let interpreter = base.interpreter();
    let skeleton = Skeleton::new(interpreter, dir);
    skeleton.write(placement)?;
    on_python(&skeleton.python());
    let site_dir = interpreter.purelib_in(dir);
    let mut moves = Moves::new(interpreter, dir, &site_dir);
    if let Some(spelled) = other_spelling(interpreter) {
        moves = moves.with(spelled, dir.to_path_buf());
    }
    let scripts = Scripts::new(interpreter, &skeleton, &moves, placement);
    let mut sites = Sites::new(interpreter, (dir, &site_dir), &moves, &scripts, placement);
    match base.kind() {
        Kind::Virtualenv => {
            Tree::new(interpreter, dir, &moves, &scripts, placement)?.clone_into(dir)?;
        }
        Kind::Installation => skeleton.write_lib64(placement)?,
    }
    for folder in interpreter.site_dirs() {
        let cloned = base.kind() == Kind::Virtualenv && folder.starts_with(interpreter.prefix());
        if cloned { sites.note(folder)? } else { sites.merge(folder)? }
    }
    Ok(())
}

/// Returns the path under which a virtualenv was made, if that leads there by a link: its scripts
/// and `.pth` files name it that way.
fn other_spelling(interpreter: &Interpreter) -> Option<PathBuf> {
    let prefix = interpreter.prefix();
    let text =
        files::read_regular_text(&interpreter.executable().with_file_name("activate")).ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("VIRTUAL_ENV="))?;
    let spelled = Path::new(line.trim_matches(['"', '\'']));
    let same =
        spelled != prefix && fs::canonicalize(spelled).ok()? == fs::canonicalize(prefix).ok()?;
    same.then(|| spelled.to_path_buf())
}

/// Creates the folder, or takes an empty one.
fn claim(dir: &Path) -> Result<PathBuf, Error> {
    let dir = std::path::absolute(dir).context("resolve", dir)?;
    if dir.to_str().is_none() {
        return Err(Error::NotUtf8 { path: dir });
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).context("create", parent)?;
    }
    match fs::create_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(&dir).context("list", &dir)?;
            if entries.next().is_some() {
                return Err(Error::Occupied { dir });
            }
            Ok(dir)
        }
        other => other.context("create", &dir).map(|()| dir),
    }
}

/// Refuses a `dir` inside of what is cloned: it would be cloned into itself.
fn is_outside(base: &Base, dir: &Path) -> Result<(), Error> {
    let interpreter = base.interpreter();
    let absolute = std::path::absolute(dir).context("resolve", dir)?;
    // Most of it may not exist yet.
    let Some(real) = absolute.ancestors().find_map(|folder| fs::canonicalize(folder).ok()) else {
        return Ok(());
    };
    let cloned = (base.kind() == Kind::Virtualenv).then(|| interpreter.prefix());
    let site_dirs = interpreter.site_dirs().iter().map(PathBuf::as_path);
    let inside = cloned
        .into_iter()
        .chain(site_dirs)
        .find(|prefix| fs::canonicalize(prefix).is_ok_and(|prefix| real.starts_with(prefix)));
    match inside {
        Some(prefix) => Err(Error::InsideBase { dir: absolute, prefix: prefix.to_path_buf() }),
        None => Ok(()),
    }
}

/// Sums up, or clears away what a failed attempt left.
fn finish(
    dir: &Path,
    interpreter: &Interpreter,
    strategy: Option<Strategy>,
    result: Result<super::place::Tally, Error>,
) -> Result<Created, Error> {
    match result {
        Ok(tally) => Ok(Created {
            python: dir.join(&interpreter.layout().scripts).join("python"),
            strategy,
            files: tally.files,
            own_files: tally.own_files,
            own_bytes: tally.own_bytes,
        }),
        Err(error) => {
            if let Err(left) = files::delete(dir) {
                tracing::warn!(%left, error = %left.source, "of a half-made environment");
            }
            Err(error)
        }
    }
}
