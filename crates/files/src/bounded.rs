//! Reading whole files, up to a limit: a name may stand for an endless device, or for a pipe that
//! blocks.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Limit in bytes for files that people write: 16 MiB. A larger one is a mistake.
pub const MOST_TEXT: u64 = 16 << 20;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
///
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge), naming the limit, if the file is larger; nothing
/// beyond the limit is read.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, limit)
}

/// Reads a file like [`read`], but refuses a pipe: for files that are read more than once, or that
/// others may have put there.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a pipe, on which [`read`] would wait.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_at_once(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe, and no file"));
    }
    read_from(file, limit)
}

/// Reads a regular file of any length: one that another program has put there, under a name by which
/// there might as well be a pipe, which would block, or a device, which would never end.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no regular file.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_at_once(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file as [`read_regular`] does, as text.
pub fn read_regular_text(path: &Path) -> io::Result<String> {
    text(read_regular(path)?)
}

/// Reads a file as [`read_file`] does, as text.
pub fn read_file_text(path: &Path, limit: u64) -> io::Result<String> {
    text(read_file(path, limit)?)
}

/// Reads a file as [`read`] does, as text.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    text(read(path, limit)?)
}

/// Opens what may be a pipe, which would block for ever without a writer.
fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads the rest of a reader, if it is at most `limit` bytes.
pub fn read_from(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, TooLarge { limit }));
    }
    Ok(bytes)
}

/// Reads the rest of a reader as [`read_from`] does, as text.
pub fn read_text_from(reader: impl Read, limit: u64) -> io::Result<String> {
    text(read_from(reader, limit)?)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Returns the error for input beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooLarge {
    limit: u64,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit } = self;
        match limit >> 20 {
            0 => write!(f, "it is larger than {limit} bytes, and no more is read"),
            mebibytes => write!(f, "it is larger than {mebibytes} MiB, and no more is read"),
        }
    }
}

impl std::error::Error for TooLarge {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let dir = crate::Scratch::new("bounded-").unwrap();
        let path = dir.path().join("file");
        for length in [0_usize, 9, 10] {
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            assert_eq!(read_text(&path, 10).unwrap().len(), length);
        }
        std::fs::write(&path, [b'x'; 11]).unwrap();
        let error = read(&path, 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than 10 bytes, and no more is read");
    }

    #[test]
    fn a_pipe_is_no_file_and_is_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = crate::Scratch::new("bounded-").unwrap();
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(read_file(&path, 10).unwrap_err().to_string(), "it is a pipe, and no file");
        for path in [&*path, Path::new("/dev/zero"), dir.path()] {
            let error = read_regular_text(path).unwrap_err();
            assert_eq!(error.to_string(), "it is no regular file");
        }
        assert_eq!(read_file_text(Path::new("/dev/null"), 10).unwrap(), "");
        let error = read_file(Path::new("/dev/zero"), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let error = read(Path::new("/dev/zero"), MOST_TEXT).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 16 MiB, and no more is read");
        assert_eq!(
            read_text_from(io::repeat(b'x'), 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }
}
