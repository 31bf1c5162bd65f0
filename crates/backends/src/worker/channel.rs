//! The engine's end of a socket to a process: frames to it, and frames and its end from it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

use super::cancel::Cancel;
use super::wire::{self, Frame, FrameReader, Kind};

/// What a wait for a worker ended with.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// It said something.
    Frame(Frame),
    /// Its process is gone, or its end of the socket is; all that it said before has been read.
    Gone,
    /// It wrote what is no frame.
    Broken(io::Error),
    /// The deadline has passed.
    Deadline,
    /// The run is cancelled.
    Cancelled,
}

/// A socket to a process.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: UnixStream,
    reader: FrameReader,
}

impl Channel {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, reader: FrameReader::default() }
    }

    /// Returns the socket itself.
    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Sends one small frame with open files, of which the other side gets copies.
    pub(crate) fn send(&self, kind: Kind, meta: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        wire::encode(&mut bytes, kind, 0, meta, &[]);
        if files.is_empty() {
            return (&self.socket).write_all(&bytes);
        }
        wire::send_with_descriptors(&self.socket, &bytes, files)
    }

    /// Waits for the next frame, or for whatever else happens first. `process` is ready in a poll
    /// once the process has ended.
    pub(crate) fn receive(
        &mut self,
        process: BorrowedFd<'_>,
        deadline: Option<Instant>,
        cancel: Option<&Cancel>,
    ) -> Incoming {
        let mut has_come = false;
        loop {
            match self.reader.next() {
                Ok(Some(frame)) => return Incoming::Frame(frame),
                // Bytes that never become a frame do not put the deadline off.
                Ok(None) if has_come && deadline.is_some_and(|at| Instant::now() >= at) => {
                    return Incoming::Deadline;
                }
                Ok(None) => {}
                Err(error) => return Incoming::Broken(error),
            }
            has_come = true;
            match self.wait(process, deadline, cancel) {
                Ready::Socket => match self.reader.fill(&mut NonBlocking(&self.socket)) {
                    Ok(true) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(false) | Err(_) => return Incoming::Gone,
                },
                Ready::Exited => match self.reader.fill(&mut NonBlocking(&self.socket)) {
                    // It ended, but what it said before may still be in the socket.
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Incoming::Gone,
                },
                Ready::Cancelled => return Incoming::Cancelled,
                Ready::Deadline => return Incoming::Deadline,
            }
        }
    }

    /// Shuts down one or both directions of the socket, which also wakes threads that wait in it. A
    /// worker that reads the end tears down.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        // It fails only where there is nothing to end.
        let _ = self.socket.shutdown(how);
    }

    fn wait(
        &self,
        process: BorrowedFd<'_>,
        deadline: Option<Instant>,
        cancel: Option<&Cancel>,
    ) -> Ready {
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(process, PollFlags::IN),
        ];
        if let Some(cancel) = cancel {
            fds.push(PollFd::from_borrowed_fd(cancel.as_fd(), PollFlags::IN));
        }
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match rustix::event::poll(&mut fds, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Ready::Exited,
                Ok(0) => return Ready::Deadline,
                Ok(_) => {
                    let is_ready = |at: usize| {
                        fds.get(at).is_some_and(|fd: &PollFd<'_>| !fd.revents().is_empty())
                    };
                    return match (is_ready(2), is_ready(0), is_ready(1)) {
                        (true, ..) => Ready::Cancelled,
                        (_, true, _) => Ready::Socket,
                        _ => Ready::Exited,
                    };
                }
            }
        }
    }
}

enum Ready {
    Socket,
    Exited,
    Cancelled,
    Deadline,
}

/// Reads from the socket without waiting; writers of the same socket go on waiting.
struct NonBlocking<'a>(&'a UnixStream);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(self.0, buffer, RecvFlags::DONTWAIT)?;
        Ok(count)
    }
}
