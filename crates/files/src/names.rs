//! The names in an open folder, and the flags that open what they stand for.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

/// Flags that open only a real folder: not through a link, and without side effects on other files.
pub(crate) const NO_LINK: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Flags for looking up names in a folder, even one that cannot be listed.
#[cfg(target_os = "linux")]
pub(crate) const NAMES: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(crate) const NAMES: OFlags = OFlags::RDONLY;

/// Returns the entries of an open folder, without itself and the one above.
pub(crate) fn entries(dir: &mut Dir) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in dir {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

/// Returns the name if it is a plain entry name, not a path that leads elsewhere.
pub(crate) fn entry(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        let text = format!("`{}` is no name of an entry", name.to_string_lossy());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(name)
}

pub(crate) fn c_name(name: &OsStr) -> io::Result<CString> {
    Ok(CString::new(entry(name)?.as_bytes())?)
}

pub(crate) fn os_name(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}
