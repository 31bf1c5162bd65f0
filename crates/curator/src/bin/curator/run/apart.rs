//! What a run reads and writes, held apart: no destination may be one of the files that the run
//! reads, another destination, or a file of a folder that the run keeps for itself. A standard stream
//! is the file that the shell has put in its place.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::destinations::parent;
use crate::failure::Failure;
use crate::streams::{self, MOST_LINKS};

/// What a run reads or writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Path(&'a Path),
    Stdin,
    Stdout,
}

/// A place, and the words that tell of it.
pub(super) type Named<'a, T> = (&'a str, T);

/// Returns what a run was given.
pub(super) fn given<'a, T>(
    all: impl IntoIterator<Item = (&'a str, Option<T>)>,
) -> Vec<Named<'a, T>> {
    all.into_iter().filter_map(|(name, given)| Some((name, given?))).collect()
}

/// Refuses a destination that would destroy what the run reads or writes elsewhere.
pub(super) fn check(
    inputs: &[Named<'_, Place<'_>>],
    outputs: &[Named<'_, Place<'_>>],
    folders: &[Named<'_, &Path>],
) -> Result<(), Failure> {
    let files = inputs.iter().chain(outputs);
    let files: Vec<_> = files.map(|(name, place)| (name, place, Spot::of(*place))).collect();
    for (at, (second, other, spot)) in files.iter().enumerate().skip(inputs.len()) {
        for (first, one, first_spot) in &files[..at] {
            let is_same = match (first_spot, spot) {
                (Some(first), Some(second)) => first == second,
                // What is found nowhere is refused for that.
                _ => is_same_name(one, other),
            };
            if is_same {
                let shown = match (one, other) {
                    (_, Place::Path(path)) | (Place::Path(path), _) => {
                        format!("`{}`", path.display())
                    }
                    _ => "one file".to_owned(),
                };
                return Err(Failure::usage(&format!("{first} and {second} are both {shown}")));
            }
        }
        let Place::Path(path) = other else { continue };
        for (option, folder) in folders {
            if is_in(path, folder) {
                let problem = format!(
                    "{second} `{}` lies in the folder of {option}, which holds only its own files",
                    path.display()
                );
                return Err(Failure::usage(&problem));
            }
        }
    }
    Ok(())
}

/// Returns whether two places are one path to what is not there.
fn is_same_name(one: &Place<'_>, other: &Place<'_>) -> bool {
    match (one, other) {
        (Place::Path(one), Place::Path(other)) => one == other && !one.exists(),
        _ => false,
    }
}

/// Returns whether a file lies in a folder, or will.
fn is_in(file: &Path, folder: &Path) -> bool {
    let (Ok(folder), Ok(file)) = (fs::metadata(folder), target(file, 0)) else { return false };
    fs::metadata(parent(&file)).is_ok_and(|above| identity(&above) == identity(&folder))
}

/// What tells a regular file from others; one that is not there yet, by its folder and its name.
#[derive(PartialEq, Eq)]
enum Spot {
    File(u64, u64),
    Unmade((u64, u64), OsString),
}

impl Spot {
    fn of(place: Place<'_>) -> Option<Self> {
        let found = match place {
            Place::Path(path) => fs::metadata(path),
            Place::Stdin => streams::stdin_metadata(),
            Place::Stdout => streams::stdout_metadata(),
        };
        if let Ok(found) = found {
            let (device, inode) = identity(&found);
            return found.is_file().then_some(Self::File(device, inode));
        }
        let Place::Path(path) = place else { return None };
        let path = target(path, 0).ok()?;
        let above = fs::metadata(parent(&path)).ok()?;
        Some(Self::Unmade(identity(&above), path.file_name()?.to_owned()))
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Returns where a path leads to, which need not be there.
fn target(path: &Path, links: usize) -> Result<PathBuf, ()> {
    match fs::read_link(path) {
        Ok(_) if links == MOST_LINKS => Err(()),
        Ok(link) => target(&parent(path).join(link), links + 1),
        Err(_) => Ok(path.to_owned()),
    }
}
