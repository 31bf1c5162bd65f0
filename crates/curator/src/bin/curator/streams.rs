//! The standard streams that the caller has closed (`curator run … >&-`).
//!
//! Rust opens `/dev/null` in their place before `main`, where all that is written would be lost without
//! a word. So they are looked at before that.

use std::io;
use std::path::Path;
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
    let names = [["stdin", "0"], ["stdout", "1"], ["stderr", "2"]];
    for (place, [name, number]) in names.into_iter().enumerate() {
        let folders = ["/dev/fd", "/proc/self/fd"].map(Path::new);
        if path == Path::new("/dev").join(name) || folders.iter().any(|it| path == it.join(number))
        {
            check(place, &format!("`{}`", path.display()))?;
        }
    }
    Ok(())
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
