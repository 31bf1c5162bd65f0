//! The holder of a lock.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The holder of a lock, as far as the system reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process and its user, by number.
    Process {
        /// The process.
        process: u32,
        /// Its user.
        user: u32,
    },
    /// An invisible process: on another machine, in another container, or gone by now.
    Unseen,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { process, user } => write!(f, "process {process} of user {user}"),
            Self::Unseen => f.write_str("a process that is not seen from here"),
        }
    }
}

impl Holder {
    /// Looks a lock file up in the system's list of locks, where Linux has one.
    pub(crate) fn of(path: &Path) -> Self {
        let find = || {
            let number = format!(":{}", fs::symlink_metadata(path).ok()?.ino());
            // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF`; a waiter's line has an arrow.
            let locks = fs::read_to_string("/proc/locks").ok()?;
            locks.lines().find_map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [_, "FLOCK", _, _, process, file, ..] = words[..] else { return None };
                let process = process.parse().ok().filter(|_| file.ends_with(&number))?;
                let user = fs::metadata(format!("/proc/{process}")).ok()?.uid();
                Some(Self::Process { process, user })
            })
        };
        find().unwrap_or(Self::Unseen)
    }
}
