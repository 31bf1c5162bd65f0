//! What a run reads and writes, held apart: no destination may be one of the files that the run
//! reads, another destination, or a file of a folder that the run keeps for itself.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::destinations::{MOST_LINKS, parent};
use crate::failure::Failure;

/// A path, and the words that tell of it.
pub(super) type Named<'a> = (&'a str, &'a Path);

/// Returns the paths that a run was given.
pub(super) fn given<'a>(
    all: impl IntoIterator<Item = (&'a str, Option<&'a Path>)>,
) -> Vec<Named<'a>> {
    all.into_iter().filter_map(|(name, path)| Some((name, path?))).collect()
}

/// Refuses a destination that would destroy what the run reads or writes elsewhere.
pub(super) fn check(
    inputs: &[Named<'_>],
    outputs: &[Named<'_>],
    folders: &[Named<'_>],
) -> Result<(), Failure> {
    let files: Vec<Named<'_>> = inputs.iter().chain(outputs).copied().collect();
    for (place, (second, other)) in files.iter().enumerate().skip(inputs.len()) {
        for (first, one) in &files[..place] {
            if is_same(one, other) {
                let problem = format!("{first} and {second} are both `{}`", other.display());
                return Err(Failure::usage(&problem));
            }
        }
        for (option, folder) in folders {
            if is_in(other, folder) {
                let problem = format!(
                    "{second} `{}` lies in the folder of {option}, which holds only its own files",
                    other.display()
                );
                return Err(Failure::usage(&problem));
            }
        }
    }
    Ok(())
}

/// Returns whether two paths are one file, or will be.
fn is_same(one: &Path, other: &Path) -> bool {
    match (Spot::of(one), Spot::of(other)) {
        (Some(one), Some(other)) => one == other,
        // What is found nowhere is refused for that.
        _ => one == other && !one.exists(),
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
    fn of(path: &Path) -> Option<Self> {
        if let Ok(found) = fs::metadata(path) {
            let (device, inode) = identity(&found);
            return found.is_file().then_some(Self::File(device, inode));
        }
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
