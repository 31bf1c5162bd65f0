//! Locks on files: `flock`, which the kernel releases when the last descriptor closes.
//!
//! A lock file stores no data; its modification time is the environment's last use. Two handles in
//! one process exclude each other as two processes do, so threads need no lock of their own.
//!
//! A lock file is unlinked only by its exclusive holder, once its environment is gone. Another
//! process may have opened the file by then, and would end up with a lock that no one else sees. So
//! after locking, each process checks that the file still has its name, and otherwise starts over:
//! all holders of "the" lock hold the same file.
//!
//! A guard releases by closing, never by unlocking, so that a duplicate of the descriptor keeps the
//! lock.
//!
//! Lock order for blocking calls: an environment, then those it needs, then `eviction.lock`.
//! Evictors hold `eviction.lock` and only ever *try* an environment's lock.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use files::{Access, Folder, Patience};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

use crate::error::IoResultExt;
use crate::holder::Holder;
use crate::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Held while an environment is in use.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct SharedLock(File);

/// Held while an environment is built or evicted.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct ExclusiveLock {
    file: File,
}

impl SharedLock {
    /// Waits for the lock, for ever without `patience`.
    pub(crate) fn acquire(path: &Path, access: Access, patience: Option<Duration>) -> Result<Self> {
        acquire(path, access, Mode::Shared, patience).map(Self)
    }

    /// Takes the lock unless it is held exclusively.
    pub(crate) fn try_acquire(path: &Path, access: Access) -> Result<Option<Self>> {
        Ok(try_acquire(path, access, Mode::Shared)?.map(Self))
    }

    /// Records now as the environment's last use.
    ///
    /// A refusal in a read-only cache is not an error; it only affects the order of eviction.
    pub(crate) fn touch(&self, path: &Path) {
        // Both times "now" asks for write permission only; any other pair asks for ownership, which
        // a second user of a shared cache does not have.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        if let Err(error) =
            futimens(&self.0, &Timestamps { last_access: now, last_modification: now })
        {
            tracing::debug!(path = %path.display(), %error, "last use not recorded");
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

impl ExclusiveLock {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Waits for the lock, for ever without `patience`.
    pub(crate) fn acquire(path: &Path, access: Access, patience: Option<Duration>) -> Result<Self> {
        acquire(path, access, Mode::Exclusive, patience).map(|file| Self { file })
    }

    /// Takes the lock if it is free, at the second attempt at the latest.
    pub(crate) fn try_acquire(path: &Path, access: Access) -> Result<Option<Self>> {
        Patience::BRIEF.attempt(|| Self::try_once(path, access))
    }

    /// Takes the lock if it is free at this instant, for a caller that retries by itself.
    pub(crate) fn try_once(path: &Path, access: Access) -> Result<Option<Self>> {
        Ok(try_acquire(path, access, Mode::Exclusive)?.map(|file| Self { file }))
    }

    /// Unlinks the file in its open folder.
    ///
    /// An environment's lock file may be removed once the environment is.
    pub(crate) fn unlink(self, folder: &Folder, path: &Path) -> io::Result<()> {
        if is_current(&self.file, path)? {
            folder.unlink(path.file_name().unwrap_or_default())?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Shared,
    Exclusive,
}

impl Mode {
    fn attempt(self, file: &File, path: &Path) -> Result<bool> {
        let tried = match self {
            Self::Shared => file.try_lock_shared(),
            Self::Exclusive => file.try_lock(),
        };
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(refused(error, path)),
        }
    }

    /// Waits in the kernel. A signal that interrupts the wait does not end it.
    fn block(self, file: &File, path: &Path) -> Result<()> {
        loop {
            let locked = match self {
                Self::Shared => file.lock_shared(),
                Self::Exclusive => file.lock(),
            };
            match locked {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| refused(error, path)),
            }
        }
    }
}

/// Returns whether the name still stands for this file.
fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((held.dev(), held.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn try_acquire(path: &Path, access: Access, mode: Mode) -> Result<Option<File>> {
    loop {
        let file = open(path, access)?;
        if !mode.attempt(&file, path)? {
            return Ok(None);
        }
        if is_current(&file, path).context("read", path)? {
            return Ok(Some(file));
        }
    }
}

fn acquire(path: &Path, access: Access, mode: Mode, patience: Option<Duration>) -> Result<File> {
    let start = Instant::now();
    loop {
        let left = patience.map(|patience| patience.saturating_sub(start.elapsed()));
        let file = acquire_once(path, access, mode, left)?;
        if is_current(&file, path).context("read", path)? {
            return Ok(file);
        }
    }
}

/// Locks the file that has this name now.
fn acquire_once(
    path: &Path,
    access: Access,
    mode: Mode,
    patience: Option<Duration>,
) -> Result<File> {
    let file = open(path, access)?;
    if mode.attempt(&file, path)? {
        return Ok(file);
    }
    tracing::info!(lock = %path.display(), ?mode, "waiting for another process or thread");
    let Some(patience) = patience else {
        mode.block(&file, path)?;
        return Ok(file);
    };
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let left = patience.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(timeout(path, start.elapsed()));
        }
        thread::sleep(pause.min(left));
        if mode.attempt(&file, path)? {
            return Ok(file);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Opens the lock file, creating it if needed.
fn open(path: &Path, access: Access) -> Result<File> {
    match access.open_lock(path) {
        Err(source) if files::is_refusal(&source) => {
            Err(Error::ReadOnly { action: "open the lock", path: path.to_owned(), source })
        }
        opened => opened.context("open the lock", path),
    }
}

/// Returns the error for a wait for a build that took too long.
fn timeout(path: &Path, waited: Duration) -> Error {
    Error::Timeout { path: path.to_owned(), waited, holder: Holder::of(path) }
}

/// Returns the error for a lock that is held although the environment is not being built.
pub(crate) fn held(path: &Path, waited: Duration) -> Error {
    Error::Held { path: path.to_owned(), waited, holder: Holder::of(path) }
}

fn refused(source: io::Error, path: &Path) -> Error {
    use rustix::io::Errno;

    let path = path.to_owned();
    let errno = source.raw_os_error().map(Errno::from_raw_os_error);
    let unsupported = matches!(errno, Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS))
        || source.kind() == io::ErrorKind::Unsupported;
    if unsupported {
        Error::LocksUnsupported { path, source }
    } else {
        Error::Io { action: "lock", path, source }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn exclusive_excludes_and_shared_shares_within_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let one = SharedLock::acquire(&path, Access::Private, AT_ONCE).unwrap();
        let two = SharedLock::acquire(&path, Access::Private, AT_ONCE).unwrap();
        assert!(ExclusiveLock::try_acquire(&path, Access::Private).unwrap().is_none());
        drop((one, two));
        let exclusive = ExclusiveLock::acquire(&path, Access::Private, AT_ONCE).unwrap();
        assert!(SharedLock::try_acquire(&path, Access::Private).unwrap().is_none());
        let error = SharedLock::acquire(&path, Access::Private, AT_ONCE).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        drop(exclusive);
        assert!(SharedLock::try_acquire(&path, Access::Private).unwrap().is_some());
        assert!(path.exists(), "a lock file stays");
    }

    /// Law: at no moment two hold the lock exclusively, or one so and another shared, whatever comes
    /// between opening, locking and unlinking.
    #[test]
    fn who_waits_for_a_lock_that_is_swept_holds_none_that_others_do_not_see() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let (writers, readers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let swept = AtomicUsize::new(0);
        let exclusive = &|number: usize| {
            for round in 0..400 {
                let lock = if (number + round).is_multiple_of(3) {
                    let Some(lock) = ExclusiveLock::try_acquire(&path, Access::Private).unwrap()
                    else {
                        continue;
                    };
                    lock
                } else {
                    let patience = (round % 2 == 0).then_some(Duration::from_mins(1));
                    ExclusiveLock::acquire(&path, Access::Private, patience).unwrap()
                };
                assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0);
                assert_eq!(readers.load(Ordering::SeqCst), 0);
                thread::yield_now();
                assert_eq!(writers.fetch_sub(1, Ordering::SeqCst), 1);
                if round % 2 == number % 2 {
                    lock.unlink(&Folder::open(dir.path()).unwrap(), &path).unwrap();
                    swept.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let shared = &|| {
            for _ in 0..400 {
                let lock = SharedLock::acquire(&path, Access::Private, None).unwrap();
                readers.fetch_add(1, Ordering::SeqCst);
                assert_eq!(writers.load(Ordering::SeqCst), 0);
                thread::yield_now();
                readers.fetch_sub(1, Ordering::SeqCst);
                drop(lock);
            }
        };
        thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || exclusive(number));
            }
            for _ in 0..2 {
                scope.spawn(shared);
            }
        });
        assert!(swept.into_inner() > 100);
    }

    #[test]
    fn waiting_ends_when_the_holder_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        for patience in [None, Some(Duration::from_mins(1))] {
            let held = ExclusiveLock::acquire(&path, Access::Private, AT_ONCE).unwrap();
            thread::scope(|scope| {
                let waiter =
                    scope.spawn(|| SharedLock::acquire(&path, Access::Private, patience).is_ok());
                thread::sleep(Duration::from_millis(20));
                assert!(!waiter.is_finished());
                drop(held);
                assert!(waiter.join().unwrap());
            });
        }
    }

    #[test]
    fn a_touch_moves_the_last_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let lock = SharedLock::acquire(&path, Access::Private, AT_ONCE).unwrap();
        lock.file().set_modified(std::time::UNIX_EPOCH).unwrap();
        lock.touch(&path);
        let age = fs::metadata(&path).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(age < Duration::from_mins(1));
    }

    #[test]
    fn a_file_system_without_locks_is_named_with_a_hint() {
        let error = refused(io::Error::from(rustix::io::Errno::NOLCK), Path::new("/n/x.lock"));
        assert!(matches!(error, Error::LocksUnsupported { .. }));
        assert!(error.hint().is_some());
    }
}
