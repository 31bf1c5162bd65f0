//! Deletion that cannot leave its tree.
//!
//! The walk keeps its folders open, and deletes names relative to them: a folder that is swapped
//! for a link during the deletion leads nowhere. Of a deep tree it keeps only the innermost folders
//! open, and returns to the others through `..`, which must be the folder that it left.

use std::error;
use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, openat, unlinkat};
use rustix::io::Errno;

use crate::mount::{Mount, Place};
use crate::names::{NAMES, NO_LINK, c_name, entries, os_name};

/// Maximum passes over a tree that others change meanwhile; each pass gets further.
const ATTEMPTS: usize = 8;

/// Maximum number of open folders in one branch.
const HELD: usize = 16;

/// The entries of a tree that could not be deleted.
#[derive(Debug)]
pub struct Left {
    /// The first such entry.
    pub path: PathBuf,
    /// The number of further ones.
    pub more: usize,
    /// Why the first one could not be deleted.
    pub source: io::Error,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be deleted", self.path.display())?;
        match self.more {
            0 => Ok(()),
            more => write!(f, ", and neither can {more} more in its tree"),
        }
    }
}

impl error::Error for Left {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<Left> for io::Error {
    fn from(left: Left) -> Self {
        Self::new(left.source.kind(), format!("{left}: {}", left.source))
    }
}

/// Deletes a file, a link (not its target), or a folder and everything below it.
///
/// Links above the last name are followed, once. Below it, no link is followed and no mount is
/// entered; a mount stays and is named. Folders without permissions are given some. A missing path
/// is no error, so several processes may delete one tree at once.
pub fn delete(path: &Path) -> Result<(), Left> {
    let failed = |source| Left { path: path.to_owned(), more: 0, source };
    let Some(name) = path.file_name() else {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it ends in no name")));
    };
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    match openat(CWD, above, NAMES | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(above) => entry(above.as_fd(), name, path),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

/// Deletes an entry of an open folder; `path` is for the error.
pub(crate) fn entry(above: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), Left> {
    let failed = |source| Left { path: path.to_owned(), more: 0, source };
    let name = c_name(name).map_err(failed)?;
    let mount = Place::of(above).map_err(|error| failed(error.into()))?.mount;
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        let mut walk =
            Walk { above, mount, path, frames: Vec::new(), problems: Problems::default() };
        walk.run(&name);
        let Problems { first, count, is_passing } = walk.problems;
        let Some((path, error)) = first else { return Ok(()) };
        last = Err(Left { path, more: count - 1, source: in_words(error) });
        if !is_passing {
            break;
        }
    }
    last
}

/// Replaces some of the system's messages, which would mislead.
fn in_words(error: Errno) -> io::Error {
    let text = match error {
        Errno::XDEV => "another file system is mounted there",
        Errno::STALE => "it was moved elsewhere in the meantime",
        other => return other.into(),
    };
    io::Error::new(io::Error::from(error).kind(), text)
}

/// One pass over a tree.
struct Walk<'a> {
    above: BorrowedFd<'a>,
    mount: Mount,
    path: &'a Path,
    /// The folders that it is in, outermost first.
    frames: Vec<Frame>,
    problems: Problems,
}

/// A folder that is being emptied.
struct Frame {
    name: CString,
    place: Place,
    /// Open, unless it is far above.
    dir: Option<Dir>,
    pending: Vec<(CString, FileType)>,
    /// How often it has been listed.
    passes: usize,
    was_opened_up: bool,
    /// Something stays in it.
    has_left: bool,
}

#[derive(Default)]
struct Problems {
    first: Option<(PathBuf, Errno)>,
    count: usize,
    /// Another process may have caused one of them, so the next pass may not meet it.
    is_passing: bool,
}

/// The fate of an entry.
enum Met {
    Gone,
    Folder(OwnedFd, Place),
}

impl Walk<'_> {
    fn run(&mut self, root: &CStr) {
        self.meet(root, FileType::Unknown);
        while let Some(frame) = self.frames.last_mut() {
            match frame.pending.pop() {
                Some((name, kind)) => self.meet(&name, kind),
                None if !self.leave() => return,
                None => {}
            }
        }
    }

    /// Deletes an entry of the innermost folder, or enters it.
    fn meet(&mut self, name: &CStr, kind: FileType) {
        let done = match self.remove(name, kind) {
            Ok(Met::Gone) => Ok(()),
            Ok(Met::Folder(fd, place)) => self.enter(name, fd, place),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.note(Some(name), error);
        }
    }

    fn enter(&mut self, name: &CStr, fd: OwnedFd, place: Place) -> Result<(), Errno> {
        let mut dir = Dir::new(fd)?;
        let pending = entries(&mut dir)?;
        self.frames.push(Frame {
            name: name.to_owned(),
            place,
            dir: Some(dir),
            pending,
            passes: 1,
            was_opened_up: false,
            has_left: false,
        });
        if let Some(far) = self.frames.len().checked_sub(HELD + 1) {
            self.frames[far].dir = None;
        }
        Ok(())
    }

    /// Removes the innermost folder, now empty, from the one above. Returns false if the way back
    /// is lost.
    fn leave(&mut self) -> bool {
        if let Err(error) = self.reopen_above() {
            self.note(None, error);
            self.problems.is_passing = true;
            return false;
        }
        let Some(mut frame) = self.frames.pop() else { return false };
        if frame.has_left {
            self.mark_left();
            return true;
        }
        match self.unlink(&frame.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Another folder has its name now.
            Err(Errno::NOTDIR) => self.meet(&frame.name, FileType::Unknown),
            // macOS has one number for it, others the other.
            Err(Errno::NOTEMPTY | Errno::EXIST) if frame.passes < ATTEMPTS => {
                frame.passes += 1;
                let listed = frame.dir.as_mut().map_or(Ok(Vec::new()), |dir| {
                    dir.rewind();
                    entries(dir)
                });
                match listed {
                    Ok(pending) => {
                        frame.pending = pending;
                        self.frames.push(frame);
                    }
                    Err(error) => self.note(Some(&frame.name), error),
                }
            }
            Err(error) => self.note(Some(&frame.name), error),
        }
        true
    }

    /// Opens the folder above the innermost one.
    fn reopen_above(&mut self) -> Result<(), Errno> {
        let [.., above, inner] = &mut self.frames[..] else { return Ok(()) };
        if above.dir.is_some() {
            return Ok(());
        }
        let inner = inner.dir.as_ref().ok_or(Errno::BADF)?;
        let fd = openat(inner.fd()?, c"..", OFlags::RDONLY | NO_LINK, Mode::empty())?;
        if Place::of(fd.as_fd())? != above.place {
            // It was moved: the folder above it now is not ours.
            return Err(Errno::STALE);
        }
        above.dir = Some(Dir::new(fd)?);
        Ok(())
    }

    fn remove(&mut self, name: &CStr, kind: FileType) -> Result<Met, Errno> {
        // The entry may have changed since the listing.
        if matches!(kind, FileType::Directory | FileType::Unknown) {
            match self.open(name) {
                Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {}
                other => return other,
            }
        }
        match self.unlink(name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(Met::Gone),
            Err(error @ (Errno::ISDIR | Errno::PERM)) => match self.open(name) {
                // It is none, and stays for another reason.
                Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => Err(error),
                other => other,
            },
            Err(error) => Err(error),
        }
    }

    fn open(&mut self, name: &CStr) -> Result<Met, Errno> {
        let flags = OFlags::RDONLY | NO_LINK;
        let open = |above: BorrowedFd<'_>| openat(above, name, flags, Mode::empty());
        let opened = match open(self.innermost()?) {
            Err(Errno::ACCESS) => {
                // The folder itself cannot be read, or the one that it is in not be searched.
                let _ = self.open_up();
                open(self.innermost()?).or_else(|_| {
                    make_readable(self.innermost()?, name, self.mount)?;
                    open(self.innermost()?)
                })
            }
            other => other,
        };
        match opened {
            Ok(fd) => {
                let place = Place::of(fd.as_fd())?;
                if place.mount == self.mount {
                    Ok(Met::Folder(fd, place))
                } else {
                    Err(Errno::XDEV)
                }
            }
            Err(Errno::NOENT) => Ok(Met::Gone),
            Err(error) => Err(error),
        }
    }

    fn unlink(&mut self, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
        match unlinkat(self.innermost()?, name, flags) {
            Err(Errno::ACCESS) => {
                self.open_up()?;
                unlinkat(self.innermost()?, name, flags)
            }
            other => other,
        }
    }

    /// Gives the innermost folder the permissions that deleting its entries needs; a package may
    /// ship a folder without them.
    fn open_up(&mut self) -> Result<(), Errno> {
        let Some(frame) = self.frames.last_mut().filter(|frame| !frame.was_opened_up) else {
            // The folder above the tree is not ours to change.
            return Err(Errno::ACCESS);
        };
        frame.was_opened_up = true;
        let dir = frame.dir.as_ref().ok_or(Errno::BADF)?;
        // If its permissions cannot be changed, they are the reason it stays.
        fchmod(dir.fd()?, Mode::RWXU).map_err(|_| Errno::ACCESS)
    }

    fn innermost(&self) -> Result<BorrowedFd<'_>, Errno> {
        match self.frames.last() {
            None => Ok(self.above),
            Some(frame) => frame.dir.as_ref().ok_or(Errno::BADF)?.fd(),
        }
    }

    fn note(&mut self, name: Option<&CStr>, error: Errno) {
        self.problems.count += 1;
        self.problems.is_passing |= matches!(
            error,
            Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR
        );
        if self.problems.first.is_none() {
            let mut path = self.path.to_owned();
            // The outermost has the path's own name.
            let names = self.frames.iter().map(|frame| &*frame.name).chain(name);
            path.extend(names.skip(1).map(os_name));
            self.problems.first = Some((path, error));
        }
        self.mark_left();
    }

    fn mark_left(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.has_left = true;
        }
    }
}

/// Makes an unreadable folder readable, through a handle that needs no permission.
#[cfg(target_os = "linux")]
fn make_readable(above: BorrowedFd<'_>, name: &CStr, mount: Mount) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;

    use rustix::fs::chmod;

    let handle = openat(above, name, OFlags::PATH | NO_LINK, Mode::empty())?;
    if Place::of(handle.as_fd())?.mount != mount {
        return Err(Errno::XDEV);
    }
    // The kernel changes no permissions through such a handle, but through this name of it.
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    chmod(path, Mode::RWXU).map_err(|_| Errno::ACCESS)
}

#[cfg(not(target_os = "linux"))]
fn make_readable(above: BorrowedFd<'_>, name: &CStr, _: Mount) -> Result<(), Errno> {
    rustix::fs::chmodat(above, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|_| Errno::ACCESS)
}
