//! The end of a child process as something to poll, which leaves the process to be reaped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

/// Becomes ready in a poll once the process has ended, and stays so.
#[derive(Debug)]
pub(crate) struct Ended(OwnedFd);

impl Ended {
    /// Watches a process that nothing has reaped yet.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(pid: Pid) -> io::Result<Self> {
        use rustix::process::{PidfdFlags, pidfd_open};

        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Watches a child that nothing has reaped yet.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(pid: Pid) -> io::Result<Self> {
        Self::by_thread(pid)
    }

    /// Sends a signal to the process, and never to another that has its number by now.
    #[cfg(target_os = "linux")]
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.0, signal);
    }

    /// Sends nothing, where the system has no descriptors of processes.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn signal(&self, _: Signal) {}

    /// Waits for the end for so long; whether it has come.
    pub(crate) fn comes_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match rustix::event::poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => return false,
                Ok(_) => return true,
            }
        }
    }

    /// Watches by a thread, where the system has no descriptors of processes that safe code may use.
    /// The thread ends with the process.
    #[cfg(any(test, not(target_os = "linux")))]
    fn by_thread(pid: Pid) -> io::Result<Self> {
        use rustix::io::retry_on_intr;
        use rustix::process::{WaitId, WaitIdOptions, waitid};

        let (reader, writer) = io::pipe()?;
        std::thread::Builder::new().name("curator-exit".to_owned()).spawn(move || {
            // `NOWAIT` leaves the process as it is, so its number stays its own. An error says that
            // it has been reaped meanwhile.
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), how));
            drop(writer);
        })?;
        Ok(Self(reader.into()))
    }
}

impl AsFd for Ended {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether the process ends within these seconds.
    fn is_ready(ended: &Ended, seconds: u64) -> bool {
        ended.comes_within(Duration::from_secs(seconds))
    }

    /// Either way of watching: not ready while the process runs, ready once it has ended, and its
    /// exit code is still there to be read.
    #[test]
    fn an_end_is_seen_and_left_to_be_reaped() {
        for watch in [Ended::of, Ended::by_thread] {
            let (input, writer) = io::pipe().unwrap();
            let child = duct::cmd!("sh", "-c", "read line; exit 7").stdin_file(input).unchecked();
            let child = child.start().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.pids()[0]).unwrap()).unwrap();
            let ended = watch(pid).unwrap();
            assert!(!is_ready(&ended, 0));
            drop(writer);
            assert!(is_ready(&ended, 60));
            assert!(is_ready(&ended, 0), "it stays so");
            assert_eq!(child.wait().unwrap().status.code(), Some(7));
        }
    }

    /// A process that ended before it is watched.
    #[test]
    fn an_end_that_has_been_is_seen() {
        for watch in [Ended::of, Ended::by_thread] {
            let child = duct::cmd!("true").stdout_capture().start().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.pids()[0]).unwrap()).unwrap();
            // Another watch says when it has ended, and does not reap it.
            assert!(is_ready(&Ended::of(pid).unwrap(), 60));
            assert!(is_ready(&watch(pid).unwrap(), 60));
            child.wait().unwrap();
        }
    }
}
