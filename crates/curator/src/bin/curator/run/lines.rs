//! A file of lines, or the standard output.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::streams;

/// How long a line may wait in a buffer while others follow it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lines on their way to a file or to the standard output.
///
/// A file is made when there is a line to write, or at the end, so that a run which does not get
/// that far leaves an older one as it is.
pub(crate) struct Lines {
    target: Target,
    out: Option<BufWriter<Out>>,
    flushed: Instant,
    /// Whether a write failed: nothing follows it.
    is_broken: bool,
}

/// Where the lines go.
enum Out {
    Stdout,
    /// With how much of the file is whole lines, and how much is written.
    File(File, Length),
}

#[derive(Clone, Copy, Debug)]
struct Length {
    whole: u64,
    written: u64,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self::File(file, length) = self else {
            streams::check_stdout()?;
            return io::stdout().write(bytes);
        };
        let count = file.write(bytes)?;
        if let Some(end) = bytes[..count].iter().rposition(|byte| *byte == b'\n') {
            length.whole = length.written + end as u64 + 1;
        }
        length.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Self::Stdout = self { io::stdout().flush() } else { Ok(()) }
    }
}

impl Out {
    /// Takes back what was written of a line that could not be completed, as on a full disk.
    fn cut(&self) {
        if let Self::File(file, length) = self
            && length.whole < length.written
        {
            // What is no file, such as a pipe, cannot be cut.
            let _ = file.set_len(length.whole);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    File(PathBuf),
}

impl Lines {
    /// Returns the output that an argument names; without one, and for `-`, to the standard output.
    pub(crate) fn to(argument: Option<&Path>) -> Self {
        let target = match argument {
            Some(path) if !streams::is_stdout(path) => Target::File(path.to_owned()),
            _ => Target::Stdout,
        };
        Self { target, out: None, flushed: Instant::now(), is_broken: false }
    }

    /// Returns the file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.target {
            Target::Stdout => None,
            Target::File(path) => Some(path),
        }
    }

    /// Returns whether they are read as they come, on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.target == Target::Stdout && io::stdout().is_terminal()
    }

    fn out(&mut self) -> io::Result<&mut BufWriter<Out>> {
        if self.is_broken {
            return Err(io::Error::other("an earlier line could not be written"));
        }
        if self.out.is_none() {
            let out = match &self.target {
                Target::Stdout => Out::Stdout,
                Target::File(path) => {
                    let file = streams::create(path)?;
                    let held = file.metadata()?.len();
                    Out::File(file, Length { whole: held, written: held })
                }
            };
            self.out = Some(BufWriter::with_capacity(1 << 16, out));
        }
        self.out.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Adds a line, whole or not at all.
    pub(crate) fn add(&mut self, line: &str) -> io::Result<()> {
        let is_stdout = self.target == Target::Stdout;
        let is_late = self.flushed.elapsed() > PATIENCE;
        let out = self.out()?;
        // In one piece, which the buffer never breaks in two.
        let mut written = out.write_all(format!("{line}\n").as_bytes());
        if is_stdout || is_late {
            // The reader at the other end of a pipe may be waiting for it.
            written = written.and_then(|()| out.flush());
            self.flushed = Instant::now();
        }
        written.inspect_err(|_| self.give_up())
    }

    /// Leaves whole lines, and writes no more.
    fn give_up(&mut self) {
        self.is_broken = true;
        if let Some(out) = self.out.take() {
            out.into_parts().0.cut();
        }
    }

    /// Writes what is still in the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_some() { self.finish() } else { Ok(()) }
    }

    /// Writes what is still in the buffer, waits until it is on the disk, and makes the file if there
    /// was nothing to write.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let settled = self.out().and_then(|out| {
            out.flush()?;
            match out.get_ref() {
                Out::Stdout => streams::settle(io::stdout()),
                Out::File(file, _) => streams::settle(file),
            }
        });
        settled.map_err(|error| {
            self.give_up();
            self.failure(&error)
        })
    }

    /// Returns the failure if it cannot be written.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        match self.file() {
            None if error.kind() == io::ErrorKind::BrokenPipe => Failure::unread(),
            None => Failure::io("write to the standard output", error),
            Some(path) => Failure::io(&format!("write `{}`", path.display()), error),
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("target", &self.target).finish_non_exhaustive()
    }
}
