//! Frames to the client, from several threads.
//!
//! A thread of its own writes what has gathered, so that many small frames cost one system call, and
//! their reader wakes once for all. The first frame after a pause goes at once.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use curator::backends::sync::{Condvar, Mutex, MutexGuard};
use curator::backends::worker::{Kind, encode};

/// Written without waiting for more.
const ENOUGH: usize = 1 << 16;
/// How long frames wait for company, where others have just been written.
const PAUSE: Duration = Duration::from_millis(1);
/// What may wait for a client that is slow to read; those who have more to say wait then, too.
const MOST: usize = 1 << 20;

/// Writes frames for several threads.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or enough of it.
    filled: Condvar,
    /// Something has been written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    is_writing: bool,
    /// The socket takes nothing more.
    is_broken: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Writes what gathers, until the socket ends.
    fn write(&self, mut socket: UnixStream) {
        let mut buffer = Vec::new();
        let mut last = None;
        let mut state = self.lock();
        while !state.is_broken {
            if state.buffer.is_empty() {
                state = self.filled.wait(state);
                continue;
            }
            let pause =
                last.map_or(Duration::ZERO, |last: Instant| PAUSE.saturating_sub(last.elapsed()));
            if state.buffer.len() < ENOUGH && !pause.is_zero() {
                state = self.filled.wait_timeout(state, pause).0;
                continue;
            }
            std::mem::swap(&mut buffer, &mut state.buffer);
            state.is_writing = true;
            drop(state);
            let result = socket.write_all(&buffer);
            buffer.clear();
            if buffer.capacity() > 2 * MOST {
                buffer = Vec::new();
            }
            last = Some(Instant::now());
            state = self.lock();
            state.is_writing = false;
            state.is_broken |= result.is_err();
            self.written.notify_all();
        }
    }
}

impl Writer {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let writer = shared.clone();
        let thread = thread::Builder::new().name("curator-writer".to_owned());
        thread.spawn(move || writer.write(socket))?;
        Ok(Self(shared))
    }

    /// Has a frame written; waits where much waits already. An error if the client is gone.
    pub(super) fn send(&self, kind: Kind, meta: &[u8], body: &[&[u8]]) -> io::Result<()> {
        let mut state = self.0.lock();
        while state.buffer.len() >= MOST && !state.is_broken {
            state = self.0.written.wait(state);
        }
        if state.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = state.buffer.len();
        encode(&mut state.buffer, kind, 0, meta, body);
        // In between, the one who writes looks again by itself.
        if before == 0 || (before < ENOUGH && state.buffer.len() >= ENOUGH) {
            self.0.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until all is written, or the client is gone.
    pub(super) fn finish(&self) {
        let mut state = self.0.lock();
        while (state.is_writing || !state.buffer.is_empty()) && !state.is_broken {
            state = self.0.written.wait(state);
        }
    }
}
