//! Frames that are written together: small ones in one write, large payloads from their own memory.

use std::io::{self, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::frame::{Kind, encode_head};
use super::socket::send_with_descriptors;

/// The least size of a payload that is not copied into the buffer.
const LARGE: usize = 1 << 16;
/// Maximum size of the buffer that is kept for the next frames.
const KEPT: usize = 1 << 20;

/// Frames that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    /// The inserts between bytes of the buffer, and their places.
    inserts: Vec<(usize, Insert)>,
}

/// Bytes that may be shared.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    Raw(Arc<Vec<u8>>),
    Text(Arc<String>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Raw(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

#[derive(Debug)]
enum Insert {
    Payload(Bytes),
    /// They are sent with the first byte after them.
    Descriptors(Vec<OwnedFd>),
}

impl Outbox {
    /// Adds a frame; the parts of the body follow each other.
    pub(crate) fn frame(&mut self, kind: Kind, sequence: u64, meta: &[u8], body: Vec<Bytes>) {
        let length = body.iter().map(|part| part.len()).sum();
        encode_head(&mut self.buffer, kind, sequence, meta, length);
        for part in body {
            if part.len() < LARGE {
                self.buffer.extend_from_slice(&part);
            } else {
                self.inserts.push((self.buffer.len(), Insert::Payload(part)));
            }
        }
    }

    /// Adds a frame that carries open files.
    pub(crate) fn frame_with(&mut self, kind: Kind, meta: &[u8], descriptors: Vec<OwnedFd>) {
        self.inserts.push((self.buffer.len(), Insert::Descriptors(descriptors)));
        encode_head(&mut self.buffer, kind, 0, meta, 0);
    }

    /// Returns the waiting bytes, without large payloads.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Writes all waiting frames.
    pub(crate) fn flush(&mut self, mut socket: &UnixStream) -> io::Result<()> {
        let mut at = 0;
        let mut inserts = self.inserts.drain(..).peekable();
        // Descriptors go with the bytes up to the next insert, which always include a header.
        let mut descriptors = Vec::new();
        loop {
            let end = inserts.peek().map_or(self.buffer.len(), |(position, _)| *position);
            let bytes = &self.buffer[at..end];
            if descriptors.is_empty() {
                socket.write_all(bytes)?;
            } else {
                let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
                send_with_descriptors(socket, bytes, &borrowed)?;
                descriptors.clear();
            }
            at = end;
            match inserts.next() {
                None => break,
                Some((_, Insert::Payload(payload))) => socket.write_all(&payload)?,
                Some((_, Insert::Descriptors(more))) => descriptors = more,
            }
        }
        drop(inserts);
        self.clear();
        Ok(())
    }

    /// Drops all waiting frames.
    pub(crate) fn clear(&mut self) {
        self.inserts.clear();
        self.buffer.clear();
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }
}
