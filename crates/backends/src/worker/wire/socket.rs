//! The control socket, and open files that travel over it.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// The two ends of a control socket: ours, and the one that becomes the worker's standard input.
pub(crate) fn pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    // There a worker's end is an error of the socket and no signal, whatever the program has set for
    // `SIGPIPE`. Elsewhere each message says so.
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(&ours, true)?;
    Ok((ours, theirs.into()))
}

/// How a message is sent: an end that has closed is an error, and no signal to this program.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Sends bytes, and with the first of them the descriptors; the other side gets copies.
pub(crate) fn send_with_descriptors(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    // Eight descriptors are more than a lifeline and an environment with its base need.
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
