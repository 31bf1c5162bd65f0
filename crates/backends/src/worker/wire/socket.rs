//! The control socket, and open files that travel over it.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Returns the two ends of a control socket: ours, and the worker's standard input.
pub(crate) fn pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    // There, a closed worker's end is an error of the socket and no signal, whatever the program
    // has set for `SIGPIPE`. Elsewhere, a flag of each message does this.
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(&ours, true)?;
    Ok((ours, theirs.into()))
}

/// A flag for sending: a closed end is an error, and no signal to this program.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Sends bytes, with the descriptors at the first byte; the other side gets copies.
pub(crate) fn send_with_descriptors(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    // A lifeline and an environment with its base need fewer than eight descriptors.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("more than eight descriptors in one message"));
    }
    let sent = rustix::io::retry_on_intr(|| {
        let parts = [IoSlice::new(bytes)];
        rustix::net::sendmsg(socket.as_fd(), &parts, &mut ancillary, NO_SIGNAL)
    })?;
    (&*socket).write_all(&bytes[sent..])
}
