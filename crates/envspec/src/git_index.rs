//! git's index: the tracked files of a work tree, and their kinds.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, PathBuf};

/// A file that git tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tracked {
    /// Its path in the work tree.
    pub path: PathBuf,
    /// Its kind, and whether it is executable, in git's format.
    pub mode: u32,
    /// The id of its contents.
    pub id: Vec<u8>,
}

impl Tracked {
    /// Returns whether it is a file, not a link or another repository.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Returns whether it is a symbolic link.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

/// Returns the entries of an index (versions 2 to 4) whose ids have `id_length` bytes.
///
/// Leaves out paths that lead out of the work tree. git writes none.
pub(crate) fn tracked(bytes: &[u8], id_length: usize) -> Result<Vec<Tracked>, String> {
    let mut rest = Reader { bytes, at: 0 };
    if rest.take(4) != Some(b"DIRC") {
        return Err("its index is none".to_owned());
    }
    let version = rest.number().unwrap_or_default();
    if !(2..=4).contains(&version) {
        return Err(format!("its index has the version {version}, and 2 to 4 are known here"));
    }
    let count = rest.number().unwrap_or_default();
    let mut tracked = Vec::new();
    let mut path = Vec::new();
    for _ in 0..count {
        let entry = rest.entry(version, id_length, &mut path).ok_or("its index is cut short")?;
        let is_inside = entry.path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_inside && entry.path.components().all(|part| part.as_os_str() != ".git") {
            tracked.push(entry);
        }
    }
    while let Some((name, _)) = rest.extension(id_length) {
        if name == b"link" {
            return Err("its index is split in two (`git update-index --no-split-index` joins it)"
                .to_owned());
        }
    }
    Ok(tracked)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn entry(&mut self, version: u32, id_length: usize, path: &mut Vec<u8>) -> Option<Tracked> {
        let start = self.at;
        // Times, device and inode.
        self.take(24)?;
        let mode = self.number()?;
        // Owner, group and size.
        self.take(12)?;
        let id = self.take(id_length)?.to_vec();
        let flags = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        if version >= 3 && flags & 0x4000 != 0 {
            self.take(2)?;
        }
        if version == 4 {
            // The number of bytes that the previous path has at its end, and that this one lacks.
            let mut less = 0_usize;
            let mut byte = *self.take(1)?.first()?;
            less |= usize::from(byte & 0x7f);
            while byte & 0x80 != 0 {
                byte = *self.take(1)?.first()?;
                less = less.checked_add(1)?.checked_mul(128)? | usize::from(byte & 0x7f);
            }
            path.truncate(path.len().checked_sub(less)?);
        } else {
            path.clear();
        }
        let length = self.bytes.get(self.at..)?.iter().position(|byte| *byte == 0)?;
        path.extend(self.take(length)?);
        self.take(1)?;
        if version < 4 {
            // One to eight zeros end an entry, so that its length is a multiple of eight.
            let length = self.at - start;
            self.take(length.next_multiple_of(8) - length)?;
        }
        Some(Tracked { path: PathBuf::from(OsString::from_vec(path.clone())), mode, id })
    }

    /// Returns the name and the contents of the next extension. The index ends with its own digest.
    fn extension(&mut self, id_length: usize) -> Option<(&'b [u8], &'b [u8])> {
        if self.bytes.len().checked_sub(self.at)? < id_length + 8 {
            return None;
        }
        let name = self.take(4)?;
        let length = self.number()?;
        Some((name, self.take(length as usize)?))
    }
}
