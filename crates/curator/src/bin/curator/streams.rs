//! The standard streams, also by paths that stand for them, and those that the caller has closed
//! (`curator run … >&-`).
//!
//! Rust opens `/dev/null` in place of a closed one before `main`, where all that is written would be
//! lost without a word. So they are looked at before that.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fd::AsFd;
use rustix::fs::{FileType, fstat, fsync};
use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio::{stderr, stdin, stdout};

static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

// Such code may use no more than system calls: nothing of the standard library is ready.
ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn look() {
        let streams = [stdin(), stdout(), stderr()];
        for (stream, is_closed) in streams.into_iter().zip(&CLOSED) {
            is_closed.store(fcntl_getfd(stream).is_err(), Relaxed);
        }
    }
}

/// Fails if the standard input is closed.
pub(crate) fn check_stdin() -> io::Result<()> {
    check(0, "the standard input")
}

/// Fails if the standard output is closed.
pub(crate) fn check_stdout() -> io::Result<()> {
    check(1, "the standard output")
}

/// Fails if a path, such as `/dev/stdout`, stands for a standard stream that is closed.
pub(crate) fn check_path(path: &Path) -> io::Result<()> {
    let place = descriptor(path).and_then(|number| usize::try_from(number).ok());
    place.map_or(Ok(()), |place| check(place, &format!("`{}`", path.display())))
}

/// Returns whether an argument stands for the standard input.
pub(crate) fn is_stdin(argument: &Path) -> bool {
    argument == Path::new("-") || descriptor(argument) == Some(0)
}

/// Returns whether an argument stands for the standard output.
pub(crate) fn is_stdout(argument: &Path) -> bool {
    argument == Path::new("-") || descriptor(argument) == Some(1)
}

/// Returns whether a path leads to one of the process's own descriptors.
pub(crate) fn is_descriptor(path: &Path) -> bool {
    descriptor(path).is_some()
}

/// Opens a file to be written from its beginning. What stands behind one of the process's own
/// descriptors, such as `/dev/fd/3`, is written after what it holds: the caller chose to keep that
/// (`3>> file`), and opening such a path anew would not.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match descriptor(path) {
        Some(_) => File::options().append(true).open(path),
        None => File::create(path),
    }
}

/// Returns what the system knows of the file that is the standard input.
pub(crate) fn stdin_metadata() -> io::Result<Metadata> {
    File::from(stdin().try_clone_to_owned()?).metadata()
}

/// Returns what the system knows of the file that is the standard output.
pub(crate) fn stdout_metadata() -> io::Result<Metadata> {
    File::from(stdout().try_clone_to_owned()?).metadata()
}

/// How many links may lead to a file.
pub(crate) const MOST_LINKS: usize = 8;

/// Returns the number of the process's own descriptor that a path leads to, such as 1 for
/// `/dev/stdout` and `/proc/self/fd/1`.
fn descriptor(path: &Path) -> Option<u32> {
    let own: Vec<PathBuf> = ["/dev/fd", "/proc/self/fd"]
        .into_iter()
        .filter_map(|it| fs::canonicalize(it).ok())
        .collect();
    let mut path = path.to_owned();
    for _ in 0..=MOST_LINKS {
        let folder = path.parent()?.to_owned();
        if fs::canonicalize(&folder).is_ok_and(|folder| own.contains(&folder)) {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = folder.join(fs::read_link(&path).ok()?);
    }
    None
}

/// Waits until what was written to a file is on its disk. Only then do some disks tell that they had no
/// room for it: one on the network, or one with quotas.
pub(crate) fn settle(file: impl AsFd) -> io::Result<()> {
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Ok(()); // Of a pipe or a terminal there is nothing to wait for.
    }
    match fsync(file) {
        // Some file systems do not offer it.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        result => Ok(result?),
    }
}

fn check(place: usize, what: &str) -> io::Result<()> {
    match CLOSED.get(place) {
        Some(is_closed) if is_closed.load(Relaxed) => {
            Err(io::Error::other(format!("{what} is closed")))
        }
        _ => Ok(()),
    }
}
