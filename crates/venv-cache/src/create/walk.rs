//! Walking a part of the base and handing its files over for placement.

use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::path::PathBuf;

use super::place::{Batch, Placement};
use super::repoint::{Moves, normalized};
use super::way::Way;
use crate::error::{Error, IoResultExt};

/// A folder on its way from the base to the environment.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    /// What links in `to` to the files in `from` say.
    pub(super) way: Way,
    /// Whether it is in a site folder, where installers write.
    pub(super) in_site: bool,
}

impl Folder {
    /// Returns the folder `from`, to become `to`, whose files are linked to by their full names.
    pub(super) fn new(from: PathBuf, to: PathBuf) -> Self {
        Self { way: Way::Direct, from, to, in_site: false }
    }

    fn child(&self, name: &OsStr) -> Self {
        Self {
            from: self.from.join(name),
            to: self.to.join(name),
            way: self.way.child(name),
            in_site: self.in_site,
        }
    }
}

/// What is done with a file, a link or a folder that the walk comes upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It becomes a part of the environment.
    Take,
    /// It does not, or it has been taken care of.
    Leave,
}

/// Decisions during a walk.
pub(super) trait Visitor {
    /// Prepares for a folder before it is listed; may choose another way for its links.
    fn enter(&self, folder: &mut Folder) -> Result<(), Error>;

    /// Takes each entry of a folder.
    fn visit(&self, folder: &Folder, name: &OsStr, kind: FileType) -> Result<Verdict, Error>;
}

/// Makes the folders below `root` and hands over their files, as `visitor` decides.
///
/// Files travel by folder, and so the threads resolve each folder's path once. That is also why
/// this reads folders itself: `walkdir` yields files of several folders mixed.
pub(super) fn walk(
    placement: &Placement<'_>,
    moves: &Moves,
    root: Folder,
    visitor: &impl Visitor,
) -> Result<(), Error> {
    let mut folders = vec![root];
    while let Some(mut folder) = folders.pop() {
        if placement.is_stopped() {
            return Ok(());
        }
        placement.folder(&folder.to)?;
        visitor.enter(&mut folder)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder.from).context("list", &folder.from)? {
            let entry = entry.context("list", &folder.from)?;
            let (name, kind) =
                (entry.file_name(), entry.file_type().context("examine", &folder.from)?);
            if visitor.visit(&folder, &name, kind)? == Verdict::Leave {
                continue;
            }
            if kind.is_dir() {
                folders.push(folder.child(&name));
            } else if kind.is_symlink() {
                folders.extend(link(placement, moves, &folder, &name)?);
            } else if kind.is_file() {
                names.push(name);
            }
            // A socket or a pipe belongs to a process, not to the environment.
        }
        let target = match folder.way.clone() {
            Way::Direct => folder.from.clone(),
            way @ Way::Alias { .. } => way.shortened(placement, &names)?.text(),
        };
        placement.files(Batch { from: folder.from, to: folder.to, target, names });
    }
    Ok(())
}

/// Makes a link anew, or returns the real folder that takes its place.
pub(super) fn link(
    placement: &Placement<'_>,
    moves: &Moves,
    folder: &Folder,
    name: &OsStr,
) -> Result<Option<Folder>, Error> {
    let link = folder.child(name);
    let target = fs::read_link(&link.from).context("read the link", &link.from)?;
    let named = normalized(&folder.from.join(&target));
    let there = moves.path(&named);
    if there.is_none() && folder.in_site && named.is_dir() {
        // An installer would write through it. Links inside are not followed again.
        let real = fs::canonicalize(&named).context("resolve", &named)?;
        return Ok(Some(Folder::new(real, link.to)));
    }
    let there = there.unwrap_or(named);
    let still_leads_there = target.is_relative() && normalized(&folder.to.join(&target)) == there;
    placement.own_link(if still_leads_there { &target } else { &there }, &link.to)?;
    Ok(None)
}
