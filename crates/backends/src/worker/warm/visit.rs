//! A connection to a template that stayed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::worker::channel::{Channel, Incoming};
use crate::worker::ended::Ended;
use crate::worker::wire::Kind;

/// How long it may take to answer: it does nothing but look at files.
const LIMIT: Duration = Duration::from_secs(10);

/// The connection, and the process at its other end.
#[derive(Debug)]
pub(crate) struct Visit {
    channel: Channel,
    ended: Ended,
    pid: Pid,
}

impl Visit {
    /// Connects to the socket at this path. Refuses a process of another user.
    #[cfg(target_os = "linux")]
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self { channel: Channel::new(socket), ended: Ended::of(peer.pid)?, pid: peer.pid })
    }

    /// There are none elsewhere.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        let _ = UnixStream::connect(path)?;
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask<T: DeserializeOwned>(
        &mut self,
        kind: Kind,
        question: &impl Serialize,
    ) -> io::Result<T> {
        let meta = serde_json::to_vec(question)?;
        self.send(kind, &meta, &[])?;
        match self.receive(Instant::now() + LIMIT) {
            Incoming::Frame(frame) if frame.kind == Kind::Done => {
                Ok(serde_json::from_slice(&frame.meta)?)
            }
            Incoming::Broken(error) => Err(error),
            Incoming::Gone => Err(io::ErrorKind::UnexpectedEof.into()),
            Incoming::Deadline => Err(io::ErrorKind::TimedOut.into()),
            other => Err(io::Error::other(format!("it said {other:?}"))),
        }
    }

    pub(crate) fn send(&self, kind: Kind, meta: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.channel.send(kind, meta, files)
    }

    pub(crate) fn receive(&mut self, deadline: Instant) -> Incoming {
        self.channel.receive(self.ended.as_fd(), Some(deadline), None)
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.ended.comes_within(Duration::ZERO)
    }

    /// Kills the process, which may not answer any more, and waits a moment for its end.
    pub(super) fn kill(&self) -> bool {
        self.ended.signal(Signal::KILL);
        self.ended.comes_within(LIMIT)
    }

    /// Waits for the end of a process that is about to end.
    pub(super) fn wait_for_end(&self) -> bool {
        self.ended.comes_within(Duration::from_secs(2))
    }
}
