//! Frames to the client, from several threads.
//!
//! A thread of its own writes what has gathered, so that many small frames cost one system call, and
//! their reader wakes once for all. The first frame after a pause goes at once. A large frame is written
//! by the thread that has it, since a copy of it would cost as much as the way to the client.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use curator::backends::sync::{Condvar, Mutex, MutexGuard};
use curator::backends::worker::{Kind, encode, encode_head};

/// Written without waiting for more.
const ENOUGH: usize = 1 << 16;
/// How long frames wait for company, where others have just been written.
const PAUSE: Duration = Duration::from_millis(1);
/// What may wait for a client that is slow to read; those who have more to say wait then, too.
const MOST: usize = 1 << 20;
/// From this many bytes on, a frame is not copied.
const LARGE: usize = 1 << 20;

/// Writes frames for several threads.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: UnixStream,
    state: Mutex<State>,
    /// There is something to write, or enough of it.
    filled: Condvar,
    /// Something has been written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// A thread writes to the socket.
    is_writing: bool,
    /// How many threads wait to write a large frame.
    large: usize,
    /// The socket takes nothing more.
    is_broken: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Writes what gathers, until the socket ends.
    fn write(&self) {
        let mut buffer = Vec::new();
        let mut last = None;
        let mut state = self.lock();
        while !state.is_broken {
            if state.buffer.is_empty() || state.is_writing {
                state = self.filled.wait(state);
                continue;
            }
            let pause =
                last.map_or(Duration::ZERO, |last: Instant| PAUSE.saturating_sub(last.elapsed()));
            if state.buffer.len() < ENOUGH && !pause.is_zero() && state.large == 0 {
                state = self.filled.wait_timeout(state, pause).0;
                continue;
            }
            std::mem::swap(&mut buffer, &mut state.buffer);
            state.is_writing = true;
            drop(state);
            let result = (&self.socket).write_all(&buffer);
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

    /// Writes a large frame after all that came before it.
    fn write_large(
        &self,
        mut state: MutexGuard<'_, State>,
        kind: Kind,
        meta: &[u8],
        (body, length): (&[&[u8]], usize),
    ) -> io::Result<()> {
        state.large += 1;
        self.filled.notify_one();
        while (state.is_writing || !state.buffer.is_empty()) && !state.is_broken {
            state = self.written.wait(state);
        }
        state.large -= 1;
        if state.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.is_writing = true;
        drop(state);
        let mut head = Vec::new();
        encode_head(&mut head, kind, 0, meta, length);
        let mut socket = &self.socket;
        let result = [&*head].iter().chain(body).try_for_each(|part| socket.write_all(part));
        let mut state = self.lock();
        state.is_writing = false;
        state.is_broken |= result.is_err();
        self.written.notify_all();
        self.filled.notify_one();
        result
    }
}

impl Writer {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            socket,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let writer = shared.clone();
        let thread = thread::Builder::new().name("curator-writer".to_owned());
        thread.spawn(move || writer.write())?;
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
        let length = body.iter().map(|part| part.len()).sum();
        if length >= LARGE {
            return self.0.write_large(state, kind, meta, (body, length));
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

#[cfg(test)]
mod tests {
    use curator::backends::worker::FrameReader;

    use super::*;

    /// Frames of several threads come out whole, and those of one thread in their order, whether they
    /// are small or large.
    #[test]
    fn frames_of_any_size_keep_their_order() {
        const THREADS: u8 = 4;
        const FRAMES: u8 = 100;
        let (socket, mut client) = UnixStream::pair().unwrap();
        let writer = Writer::new(socket).unwrap();
        let size = |number: u8| if number % 7 == 3 { LARGE + usize::from(number) } else { 1000 };
        let mut seen = vec![Vec::new(); usize::from(THREADS)];
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let writer = writer.clone();
                scope.spawn(move || {
                    for number in 0..FRAMES {
                        let body = vec![number; size(number)];
                        let (left, right) = body.split_at(body.len() / 3);
                        writer.send(Kind::Output, &[thread, number], &[left, right]).unwrap();
                    }
                });
            }
            let mut reader = FrameReader::default();
            while seen.iter().map(Vec::len).sum::<usize>()
                < usize::from(THREADS) * usize::from(FRAMES)
            {
                assert!(reader.fill(&mut client).unwrap());
                while let Some(frame) = reader.next().unwrap() {
                    let [thread, number] = frame.meta[..] else { panic!("{:?}", frame.meta) };
                    assert_eq!(frame.body.len(), size(number));
                    assert!(frame.body.iter().all(|byte| *byte == number));
                    seen[usize::from(thread)].push(number);
                }
            }
        });
        assert!(seen.iter().all(|numbers| numbers.iter().copied().eq(0..FRAMES)));
        writer.finish();
        drop(client);
        let large = vec![0; LARGE];
        assert!((0..3).any(|_| writer.send(Kind::Output, &[], &[&large]).is_err()));
    }
}
