//! A run's order to stop, which also wakes threads that wait for files.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::Mutex;

/// Once cancelled, it stays so.
#[derive(Debug)]
pub(crate) struct Cancel {
    is_cancelled: AtomicBool,
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl Cancel {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { is_cancelled: AtomicBool::new(false), reader, writer: Mutex::new(Some(writer)) })
    }

    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        // Closing the only writer makes the reader's end ready in every poll, now and later.
        drop(self.writer.lock().take());
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
