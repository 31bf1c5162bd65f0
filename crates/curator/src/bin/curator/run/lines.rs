//! A file of lines, or the standard output.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How long a line may wait in a buffer while others follow it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lines on their way to a file or to the standard output.
///
/// A file is made when there is a line to write, or at the end, so that a run which does not get
/// that far leaves an older one as it is.
pub(crate) struct Lines {
    target: Target,
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    flushed: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    File(PathBuf),
}

impl Lines {
    /// To what an argument names; without one, and for `-`, to the standard output.
    pub(crate) fn to(argument: Option<&Path>) -> Self {
        let target = match argument {
            Some(path) if path != Path::new("-") => Target::File(path.to_owned()),
            _ => Target::Stdout,
        };
        Self { target, out: None, flushed: Instant::now() }
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.target {
            Target::Stdout => None,
            Target::File(path) => Some(path),
        }
    }

    /// Whether they are read as they come, on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.target == Target::Stdout && io::stdout().is_terminal()
    }

    fn out(&mut self) -> io::Result<&mut BufWriter<Box<dyn Write + Send>>> {
        if self.out.is_none() {
            let out: Box<dyn Write + Send> = match &self.target {
                Target::Stdout => Box::new(io::stdout()),
                Target::File(path) => Box::new(File::create(path)?),
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
        out.write_all(format!("{line}\n").as_bytes())?;
        if is_stdout || is_late {
            // Whoever reads the other end of a pipe may be waiting for it.
            out.flush()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    /// Writes what is still in the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_some() { self.finish() } else { Ok(()) }
    }

    /// Writes what is still in the buffer, and makes the file if there was nothing to write.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let flushed = self.out().and_then(Write::flush);
        flushed.map_err(|error| self.failure(&error))
    }

    /// What is told when it cannot be written.
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
