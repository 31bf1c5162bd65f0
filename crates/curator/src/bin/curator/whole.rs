//! Files that are written at once, by names that the caller gives.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use files::Draft;

use crate::streams;

/// Writes a file whole or not at all, and leaves an older one as it is where that fails.
///
/// An older file keeps its owner, its mode, and the links that lead to it. One that may only be
/// written, and not replaced, is written where it is; so is what is no file, such as a pipe.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(older) if older.is_file() && !streams::is_descriptor(path) => {
            // First of all: what may not be written is not replaced either.
            let mut file = File::options().write(true).open(path)?;
            match replace(path, &older, bytes) {
                Err(error) if is_in_the_way(&error) => {
                    file.set_len(0)?;
                    file.write_all(bytes)
                }
                replaced => replaced,
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
            Draft::default().with_mode(0o666).write(path, bytes)
        }
        _ => streams::create(path)?.write_all(bytes),
    }
}

fn replace(path: &Path, older: &Metadata, bytes: &[u8]) -> io::Result<()> {
    let keep = |draft: &File| {
        let new = draft.metadata()?;
        if (new.uid(), new.gid()) != (older.uid(), older.gid()) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        draft.set_permissions(older.permissions())
    };
    Draft::default().before(&keep).write(&fs::canonicalize(path)?, bytes)
}

/// Returns whether the folder, and not the disk, is why a file cannot be replaced: it may not be
/// written, or the file is a mount of its own.
fn is_in_the_way(error: &io::Error) -> bool {
    files::is_refusal(error)
        || matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices)
}
