//! The tasks that a run begins with: JSON lines, read as there is room for them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use curator::Task;
use curator::backends::sync::Mutex;

use super::malformed::{self, Malformed};
use crate::failure::Failure;
use crate::streams;

/// Poll interval for the end of the run while no input comes.
const LOOK: Duration = Duration::from_millis(50);
/// How long a line may be, in bytes: a device has none that ends.
const LONGEST_LINE: u64 = 1 << 28;
/// How many tasks are read ahead.
const AHEAD: usize = 64;

/// Where tasks come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// One empty task, for a pipeline that makes its own.
    None,
    /// The standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// What is shared with those who watch or stop the reading.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Set to have no more tasks handed in.
    pub(crate) stop: AtomicBool,
    /// Tasks handed in.
    pub(crate) tasks: AtomicU64,
    /// Bytes of the input that these are made of.
    pub(crate) bytes: AtomicU64,
    /// Lines that are no tasks, and were passed over.
    pub(crate) malformed: AtomicU64,
    /// Set once all has been handed in.
    pub(crate) is_over: AtomicBool,
    /// What was wrong with the input.
    problem: Mutex<Option<String>>,
}

impl Reading {
    /// Returns what was wrong with the input, if that is why it ended.
    pub(crate) fn take_problem(&self) -> Option<String> {
        self.problem.lock().take()
    }

    pub(crate) fn has_problem(&self) -> bool {
        self.problem.lock().is_some()
    }

    /// Ends the input, for this reason.
    pub(crate) fn fail(&self, problem: String) {
        *self.problem.lock() = Some(problem);
    }
}

impl Input {
    /// Returns the input that an argument names; without one, the standard input if there is
    /// something to read.
    pub(crate) fn of(argument: Option<&Path>) -> Self {
        match argument {
            Some(path) if streams::is_stdin(path) => Self::Stdin,
            Some(path) => Self::File(path.to_owned()),
            None if is_readable() => Self::Stdin,
            None => Self::None,
        }
    }

    /// Returns its length in bytes, where it has one.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::File(path) => {
                let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file);
                metadata.map(|metadata| metadata.len())
            }
            Self::None | Self::Stdin => None,
        }
    }

    /// Opens it, and begins to read.
    pub(crate) fn open(&self, reading: &Arc<Reading>) -> Result<Tasks, Failure> {
        if let Self::File(path) = self {
            #[cfg(feature = "arrow")]
            if super::arrow::is_arrow(path) {
                return Ok(Tasks { feed: tables(path)?, reading: reading.clone() });
            }
            #[cfg(not(feature = "arrow"))]
            refuse_arrow(path)?;
        }
        let (name, reader): (String, Box<dyn BufRead + Send>) = match self {
            Self::None => return Ok(Tasks { feed: Feed::One, reading: reading.clone() }),
            Self::Stdin => {
                streams::check_stdin().map_err(|error| Failure::usage(&error.to_string()))?;
                ("<stdin>".to_owned(), Box::new(BufReader::new(io::stdin())))
            }
            Self::File(path) => {
                let file = open_file(path)?;
                (path.display().to_string(), Box::new(BufReader::with_capacity(1 << 16, file)))
            }
        };
        let (sender, lines) = sync_channel(AHEAD);
        // It may be blocked in a read when the program ends, so no thread waits for it.
        let read = move || {
            let numbers = (1..).filter_map(NonZeroUsize::new);
            for (number, line) in numbers.zip(Lines { reader, longest: LONGEST_LINE }) {
                let line = match line {
                    Ok(line) => line,
                    Err(error) => {
                        let problem = format!("cannot read the input `{name}`: {error}");
                        let _ = sender.send(Err(problem));
                        return;
                    }
                };
                let bytes = line.len() as u64 + 1;
                let line = unmarked(&line);
                let read = match read_task(&name, number, line) {
                    Ok(task) => task.map(|task| Read::Task(Box::new(task))),
                    Err(problem) => {
                        let text = malformed::of_line(line).unwrap_or_else(|| line.to_owned());
                        Some(Read::Malformed(Malformed { number, text, problem }))
                    }
                };
                if sender.send(Ok((bytes, read))).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("curator-input".to_owned())
            .spawn(read)
            .map_err(|error| Failure::thread(&error))?;
        Ok(Tasks { feed: Feed::Lines(lines), reading: reading.clone() })
    }
}

fn open_file(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        Failure::usage(&format!("cannot read the input `{}`: {error}", path.display()))
    })
}

/// Begins to read a file of Arrow tables.
#[cfg(feature = "arrow")]
fn tables(path: &Path) -> Result<Feed, Failure> {
    let file = open_file(path)?;
    let name = path.display().to_string();
    // They may be large, unlike lines.
    let (sender, tasks) = sync_channel(1);
    let read = move || {
        let read = super::arrow::read(file, |bytes, task| {
            sender.send(Ok((bytes, Some(Read::Task(Box::new(task)))))).is_ok()
        });
        if let Err(problem) = read {
            let _ = sender.send(Err(format!("{name}: {problem}")));
        }
    };
    thread::Builder::new()
        .name("curator-input".to_owned())
        .spawn(read)
        .map_err(|error| Failure::thread(&error))?;
    Ok(Feed::Lines(tasks))
}

/// Refuses a file of Arrow tables, which this build cannot read or write.
#[cfg(not(feature = "arrow"))]
pub(super) fn refuse_arrow(path: &Path) -> Result<(), Failure> {
    if super::destinations::extension(path).is_some_and(|extension| extension == "arrow") {
        let problem = format!(
            "`{}` is for Arrow tables, and this `curator` was built without the feature `arrow`",
            path.display()
        );
        return Err(Failure::usage(&problem));
    }
    Ok(())
}

/// Returns a line without the byte order mark that some programs begin a file with, which is
/// invisible. Where files were joined, it stands in any line.
fn unmarked(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix("\u{feff}".as_bytes()) {
        line = rest;
    }
    line
}

/// Returns a task, or none for a blank line.
fn read_task(name: &str, number: NonZeroUsize, line: &[u8]) -> Result<Option<Task>, String> {
    let wrong = |problem: &str| format!("{name}, line {number}: {problem}");
    let kept = malformed::of_line(line);
    let line = kept.as_deref().map_or(line, unmarked);
    let text = std::str::from_utf8(line).map_err(|_| wrong("it is not UTF-8"))?;
    // Other spaces than JSON's are no blank.
    if text.trim_matches([' ', '\t', '\r']).is_empty() {
        return Ok(None);
    }
    Task::from_json_line(text).map(Some).map_err(|error| {
        // It is a text of one line.
        let problem = error.to_string().replace(" at line 1 column ", ", column ");
        wrong(&format!(
            "no task: {problem}\n\nhint: each line of the input is one value as JSON, which is the \
             data of a task"
        ))
    })
}

/// The lines of a reader, without their ends.
struct Lines<R> {
    reader: R,
    longest: u64,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match (&mut self.reader).take(self.longest + 1).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(length) if length as u64 > self.longest && line.last() != Some(&b'\n') => {
                let problem = format!("a line is longer than {} MiB", self.longest >> 20);
                Some(Err(io::Error::new(io::ErrorKind::FileTooLarge, problem)))
            }
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The tasks of an input.
#[derive(Debug)]
pub(crate) struct Tasks {
    feed: Feed,
    reading: Arc<Reading>,
}

/// What a line is.
#[derive(Debug)]
pub(crate) enum Read {
    /// A task.
    Task(Box<Task>),
    /// None, though it is not blank.
    Malformed(Malformed),
}

/// Its length, and what it is unless it is blank; or why nothing more can be read.
type Line = Result<(u64, Option<Read>), String>;

#[derive(Debug)]
enum Feed {
    One,
    Lines(Receiver<Line>),
    Nothing,
}

impl Tasks {
    fn read(&mut self) -> Option<Read> {
        let lines = match std::mem::replace(&mut self.feed, Feed::Nothing) {
            Feed::Nothing => return None,
            Feed::One => return Some(Read::Task(Box::new(Task::empty()))),
            Feed::Lines(lines) => lines,
        };
        loop {
            if self.reading.stop.load(Ordering::Relaxed) {
                return None;
            }
            match lines.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
                Ok(Err(problem)) => {
                    self.reading.fail(problem);
                    return None;
                }
                Ok(Ok((bytes, read))) => {
                    self.reading.bytes.fetch_add(bytes, Ordering::Relaxed);
                    if read.is_some() {
                        self.feed = Feed::Lines(lines);
                        return read;
                    }
                }
            }
        }
    }
}

impl Iterator for Tasks {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        let read = if self.reading.stop.load(Ordering::Relaxed) { None } else { self.read() };
        if read.is_some() {
            self.reading.tasks.fetch_add(1, Ordering::Relaxed);
        } else {
            self.reading.is_over.store(true, Ordering::Relaxed);
        }
        read
    }
}

/// Returns whether the standard input is a pipe, a socket or a file: a terminal is a person who
/// does not know that something is asked for, and a device is nothing.
fn is_readable() -> bool {
    if io::stdin().is_terminal() {
        return false;
    }
    streams::stdin_metadata().is_ok_and(|metadata| {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        kind.is_file() || kind.is_fifo() || kind.is_socket()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_or_is_refused() {
        let lines = |longest| Lines { reader: &b"ab\nabc\nabcd\n"[..], longest };
        assert!(lines(4).all(|line| line.is_ok()));
        let read: Vec<_> = lines(3).map_while(Result::ok).collect();
        assert_eq!(read, [b"ab".to_vec(), b"abc".to_vec()]);
        let reader = BufReader::new(io::repeat(b'x'));
        let error = Lines { reader, longest: 1 << 20 }.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "a line is longer than 1 MiB");
    }
}
