//! A worker's output: lines for observers, and the last lines for error reports.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use crate::run::{Secrets, Stream};
use crate::sync::{Mutex, MutexGuard};

/// Maximum number of lines kept for an error report, and their bytes together.
const KEPT_LINES: usize = 40;
const KEPT_BYTES: usize = 16 << 10;
/// Maximum length of a line, in bytes: a worker may print megabytes without a line break.
const LONGEST_LINE: usize = 4096;
/// Maximum number of chunks read from one output in a row: the capacity of a pipe, 1 MiB at most by
/// default.
const MOST_CHUNKS: usize = 64;

/// How long a reader of the last lines waits for an observer of lines that is slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last lines that a worker printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogTail(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<VecDeque<String>>,
    /// The way to the thread that reads the output; none without it.
    thread: Mutex<Option<Asks>>,
}

/// Asks the thread to read what was printed until now.
#[derive(Debug)]
struct Asks {
    wake: PipeWriter,
    /// Each hears when it is done.
    waiting: Vec<SyncSender<()>>,
}

impl LogTail {
    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lines.lock()
    }

    fn push(&self, line: String) {
        let mut lines = self.lock();
        lines.push_back(line);
        let mut bytes: usize = lines.iter().map(String::len).sum();
        while lines.len() > KEPT_LINES || bytes > KEPT_BYTES {
            bytes -= lines.pop_front().map_or(bytes, |line| line.len());
        }
    }

    /// Returns the last lines of what was printed before this call: a worker's message may be here
    /// before the lines that it printed earlier.
    pub(crate) fn lines(&self) -> Vec<String> {
        if let Some(is_read) = self.ask() {
            // It is read, or the thread has ended.
            let _ = is_read.recv_timeout(PATIENCE);
        }
        self.lock().iter().cloned().collect()
    }

    fn ask(&self) -> Option<Receiver<()>> {
        let mut thread = self.0.thread.lock();
        let asks = thread.as_mut()?;
        let (sender, is_read) = sync_channel(1);
        asks.waiting.push(sender);
        asks.wake.write_all(&[0]).ok()?;
        Some(is_read)
    }

    /// Returns all that have asked until now.
    fn asked(&self) -> Vec<SyncSender<()>> {
        let mut thread = self.0.thread.lock();
        thread.as_mut().map(|asks| std::mem::take(&mut asks.waiting)).unwrap_or_default()
    }

    /// Ends the thread, and its being asked.
    fn close(&self) {
        drop(self.0.thread.lock().take());
    }
}

/// A thread that reads a worker's output until `stop` is called.
#[derive(Debug)]
pub(crate) struct LogThread {
    tail: LogTail,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    /// Starts reading; each line goes to `tail` and to `on_line`, without `secrets`.
    pub(crate) fn spawn(
        stdout: PipeReader,
        stderr: PipeReader,
        tail: LogTail,
        secrets: Secrets,
        on_line: impl Fn(Stream, &str) + Send + 'static,
    ) -> io::Result<Self> {
        let (mut woken, wake) = io::pipe()?;
        for pipe in [&stdout, &stderr] {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        *tail.0.thread.lock() = Some(Asks { wake, waiting: Vec::new() });
        let of_thread = tail.clone();
        let body = move || {
            let tail = of_thread;
            let mut lines = [Lines::new(Stream::Stdout), Lines::new(Stream::Stderr)];
            let mut pipes = [Some(stdout), Some(stderr)];
            let mut emit = |stream: Stream, line: String| {
                let line = secrets.text(line);
                on_line(stream, &line);
                tail.push(line);
            };
            loop {
                // An end of the pipe is the end.
                let is_stopped =
                    wait(&pipes, &woken) && woken.read(&mut [0; 64]).is_ok_and(|count| count == 0);
                // What they wait for is printed, and read next.
                let waiting = tail.asked();
                for (pipe, lines) in pipes.iter_mut().zip(&mut lines) {
                    if let Some(reader) = pipe
                        && !lines.drain(reader, &mut emit)
                    {
                        *pipe = None;
                    }
                }
                for one in waiting {
                    let _ = one.send(());
                }
                if is_stopped || pipes.iter().all(Option::is_none) {
                    break;
                }
            }
            for lines in &mut lines {
                lines.finish(&mut emit);
            }
            tail.close();
        };
        let thread = std::thread::Builder::new().name("curator-logs".to_owned()).spawn(body)?;
        Ok(Self { tail, thread: Some(thread) })
    }

    /// Reads the rest of the output and ends, even if other processes still hold the pipes.
    pub(crate) fn stop(&mut self) {
        self.tail.close();
        if let Some(thread) = self.thread.take() {
            // A panic there is the observer's, and has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for output, and returns whether the thread is woken for another reason.
fn wait(pipes: &[Option<PipeReader>; 2], woken: &PipeReader) -> bool {
    let mut fds: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN)];
    for pipe in pipes.iter().flatten() {
        fds.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
    }
    // After an interrupted wait, the caller only looks once more.
    let _ = rustix::event::poll(&mut fds, None);
    !fds[0].revents().is_empty()
}

/// One output, cut into lines.
struct Lines {
    stream: Stream,
    line: Vec<u8>,
    dropped: usize,
    /// Whether the last byte is a carriage return, which ends a line together with a line feed.
    is_drawn: bool,
}

impl Lines {
    fn new(stream: Stream) -> Self {
        Self { stream, line: Vec::new(), dropped: 0, is_drawn: false }
    }

    /// Reads the available output, and little more if a process writes endlessly; returns false at
    /// the end of the output.
    fn drain(&mut self, pipe: &mut PipeReader, emit: &mut impl FnMut(Stream, String)) -> bool {
        let mut chunk = [0; 1 << 14];
        for _ in 0..MOST_CHUNKS {
            match pipe.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => self.add(&chunk[..count], emit),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn add(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(Stream, String)) {
        // Programs that redraw a line, such as progress bars, end it with a carriage return.
        while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.keep(&bytes[..at]);
            let is_end = bytes[at] == b'\n' && !self.is_drawn;
            if is_end || !self.line.is_empty() {
                self.flush(emit);
            }
            self.is_drawn = bytes[at] == b'\r';
            bytes = &bytes[at + 1..];
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.is_drawn &= bytes.is_empty();
        self.dropped += bytes.len() - room;
    }

    fn flush(&mut self, emit: &mut impl FnMut(Stream, String)) {
        let mut line = String::from_utf8_lossy(&self.line).into_owned();
        if self.dropped > 0 {
            let _ = write!(line, " ({} bytes more)", self.dropped);
        }
        self.line.clear();
        self.dropped = 0;
        emit(self.stream, line);
    }

    fn finish(&mut self, emit: &mut impl FnMut(Stream, String)) {
        if !self.line.is_empty() {
            self.flush(emit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_are_tagged_cut_and_kept_to_the_end() {
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, mut err) = io::pipe().unwrap();
        let tail = LogTail::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let mut thread = LogThread::spawn(
            stdout,
            stderr,
            tail.clone(),
            Secrets::default(),
            move |stream, line| sink.lock().push((stream, line.to_owned())),
        )
        .unwrap();
        out.write_all(b"one\ntwo").unwrap();
        err.write_all(&[vec![b'x'; LONGEST_LINE + 5], b"\n".to_vec()].concat()).unwrap();
        // The writers stay open, like those of a child that outlived its parent.
        thread.stop();
        let seen = seen.lock();
        assert!(seen.contains(&(Stream::Stdout, "one".to_owned())));
        assert!(seen.contains(&(Stream::Stdout, "two".to_owned())));
        assert!(seen.iter().any(|(stream, line)| *stream == Stream::Stderr
            && line.ends_with("(5 bytes more)")));
        assert_eq!(tail.lines().len(), 3);
    }

    #[test]
    fn what_was_printed_before_is_there() {
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, mut err) = io::pipe().unwrap();
        let tail = LogTail::default();
        let mut thread =
            LogThread::spawn(stdout, stderr, tail.clone(), Secrets::default(), |_, _| {}).unwrap();
        let last = || tail.lines().pop();
        for number in 0..1000 {
            let to: &mut dyn Write = if number % 2 == 0 { &mut out } else { &mut err };
            writeln!(to, "{number}").unwrap();
            assert_eq!(last(), Some(number.to_string()));
        }
        out.write_all(b"the last\n").unwrap();
        thread.stop();
        assert_eq!(last().as_deref(), Some("the last"));
    }

    #[test]
    fn the_end_of_the_output_holds_up_no_reader() {
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, err) = io::pipe().unwrap();
        let tail = LogTail::default();
        let _thread =
            LogThread::spawn(stdout, stderr, tail.clone(), Secrets::default(), |_, _| {}).unwrap();
        out.write_all(b"the last\n").unwrap();
        drop((out, err));
        while tail.0.thread.lock().is_some() {
            std::thread::yield_now();
        }
        assert_eq!(tail.lines(), ["the last"]);
    }

    #[test]
    fn a_line_that_is_drawn_again_is_a_line_each_time() {
        let mut lines = Lines::new(Stream::Stderr);
        let mut seen = Vec::new();
        for piece in ["\r 0 %\r", "50 %", "\r100 %\r", "\nend\r\n\n", "\r\n"] {
            lines.add(piece.as_bytes(), &mut |_, line| seen.push(line));
        }
        lines.add(b"last", &mut |_, line| seen.push(line));
        lines.finish(&mut |_, line| seen.push(line));
        assert_eq!(seen, [" 0 %", "50 %", "100 %", "end", "", "last"]);
    }

    #[test]
    fn who_never_stops_printing_does_not_hold_up_the_end() {
        let (stdout, mut out) = io::pipe().unwrap();
        let (stderr, _err) = io::pipe().unwrap();
        let tail = LogTail::default();
        let mut logs =
            LogThread::spawn(stdout, stderr, tail, Secrets::default(), |_, _| {}).unwrap();
        // Until the other end of the pipe is closed.
        let writer = std::thread::spawn(move || while out.write_all(&[b'\n'; 1 << 12]).is_ok() {});
        logs.stop();
        writer.join().unwrap();
    }
}
