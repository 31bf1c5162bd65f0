//! A worker's process, started here or forked from a template: watched, signalled and reaped in one way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::ended::Ended;
use super::exit::Exit;

/// How long a killed process may take to end before it is given up: the kernel may be at a disk's
/// mercy.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A process that forks others, and does for them what only a parent can.
pub(crate) trait Parent: std::fmt::Debug + Send + Sync {
    /// Sends a signal to the group of a child; false if this process is gone.
    fn signal(&self, pid: Pid, signal: Signal) -> bool;

    /// Reaps a child that has ended; none if this process is gone.
    fn reap(&self, pid: Pid) -> Option<Exit>;
}

/// A process that leads a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    ended: Ended,
    parentage: Parentage,
    exit: Option<Exit>,
}

#[derive(Debug)]
enum Parentage {
    /// This program is its parent.
    Spawned(Box<duct::Handle>),
    Forked(Arc<dyn Parent>),
}

impl Child {
    /// Takes up a process that this program has started.
    pub(crate) fn spawned(handle: duct::Handle) -> io::Result<Self> {
        let pid = handle
            .pids()
            .first()
            .and_then(|pid| i32::try_from(*pid).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("a started process has no process id"))?;
        match Ended::of(pid) {
            Ok(ended) => {
                Ok(Self { pid, ended, parentage: Parentage::Spawned(Box::new(handle)), exit: None })
            }
            Err(error) => {
                kill_group(pid, Signal::KILL);
                let _ = handle.wait();
                Err(error)
            }
        }
    }

    /// Takes up a process that another has forked, with the descriptor that shows its end.
    pub(crate) fn forked(pid: Pid, ended: Ended, parent: Arc<dyn Parent>) -> Self {
        Self { pid, ended, parentage: Parentage::Forked(parent), exit: None }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process has ended, without reaping it; false at the deadline.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> bool {
        self.ended.comes_within(deadline.saturating_duration_since(Instant::now()))
    }

    /// Sends a signal to the whole group; to the process alone where the number of its group may be
    /// another's, since it may have been reaped.
    pub(crate) fn signal_group(&self, signal: Signal) {
        match &self.parentage {
            Parentage::Spawned(_) => kill_group(self.pid, signal),
            Parentage::Forked(parent) => {
                if !parent.signal(self.pid, signal) {
                    self.ended.signal(signal);
                }
            }
        }
    }

    /// Kills the whole group, and only then has its leader reaped.
    pub(crate) fn end(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        self.signal_group(Signal::KILL);
        let exit = match &self.parentage {
            Parentage::Spawned(handle) => match handle.wait() {
                Ok(output) => Exit::of(output.status),
                Err(_) => Exit::Signal(Signal::KILL.as_raw()),
            },
            Parentage::Forked(parent) => {
                // A parent that waits for what does not end could serve no one else.
                let has_ended = self.wait_for_end(Instant::now() + KILL_LIMIT);
                has_ended.then(|| parent.reap(self.pid)).flatten().unwrap_or(Exit::Unknown)
            }
        };
        self.exit = Some(exit);
        self.wait_for_group();
        exit
    }

    /// Waits for the rest of the killed group: the kernel takes a moment to end a process. Where
    /// no process reaps orphans, some members stay as zombies, so the wait is short.
    fn wait_for_group(&self) {
        for _ in 0..100 {
            if rustix::process::test_kill_process_group(self.pid).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl AsFd for Child {
    /// Returns a descriptor that is ready in a poll once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a signal to the group of a process that has not been reaped.
fn kill_group(pid: Pid, signal: Signal) {
    let _ = rustix::process::kill_process_group(pid, signal);
}
