//! The one place where a child process starts: in a process group that ends with it, or with us.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use duct::Handle;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::command::{Command, Finished};
use crate::deadline::Limit;
use crate::error::{Error, IoResultExt};

/// Pause between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// Name of the action that fails if a program is missing, or for another machine.
pub(crate) const START: &str = "start";

/// Interval at which the output of a running tool is read.
const LOOK: Duration = Duration::from_millis(50);

/// Maximum of a tool's output that is read back, from its end.
const OUTPUT_CAP: u64 = 16 << 20;

/// Removes a folder and kills its process group as soon as its standard input ends, which it does
/// when we die.
const WATCHDOG: &str =
    r#"trap '' TERM; read -r _; [ -z "$1" ] || /bin/rm -rf -- "$1"; kill -KILL 0"#;

/// Whether a tool's two output streams are separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Standard output is data, standard error is words.
    Apart,
    /// Both are messages, kept in one order, as `stderr`.
    Together,
}

/// Called with `Some(line)` for each line of a tool's output, and `None` at each check.
pub(crate) type Watcher<'a> = dyn FnMut(Option<&str>) + 'a;

/// Runs a command to its end or to the limit, whichever comes first.
///
/// Output goes to unnamed files, so that a grandchild that keeps a stream open cannot hold us up.
/// Whatever is left of the process group when the child ends is killed.
pub(crate) fn run(command: &Command, streams: Streams, limit: &Limit) -> Result<Finished, Error> {
    run_watched(command, streams, limit, None)
}

/// Runs a command as above, and passes each whole line of standard error to a callback soon after
/// it was written.
pub(crate) fn run_watched(
    command: &Command,
    streams: Streams,
    limit: &Limit,
    watcher: Option<&mut Watcher<'_>>,
) -> Result<Finished, Error> {
    let running = Running::start(command, streams, None)?;
    running.finish(limit, watcher)
}

/// A child process that is killed with its group when this is dropped.
struct Running {
    program: PathBuf,
    child: Handle,
    group: Option<Group>,
    stdout: File,
    stderr: File,
    started: Instant,
}

impl Running {
    /// Starts a command. With an `input`, that is its standard input, and the file for its later
    /// standard input is its standard output.
    fn start(
        command: &Command,
        streams: Streams,
        input: Option<PipeReader>,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let stdout = unnamed_file()?;
        let stderr = unnamed_file()?;
        let group = Group::start(command.doomed_dir.as_deref());
        let hold = match &command.lock {
            Some(lock) => clone(lock)?,
            None => null()?,
        };
        let output = clone(if streams == Streams::Together { &stderr } else { &stdout })?;
        let (input, output) = match input {
            Some(input) => (OwnedFd::from(input), hold),
            None => (hold.into(), output),
        };
        let expression = duct::cmd(&command.program, &command.arguments)
            .dir(&command.working_dir)
            .full_env(&command.environment)
            .stdin_file(input)
            .stderr_file(clone(&stderr)?)
            .stdout_file(output)
            .unchecked();
        let leader = group.leader();
        let child = expression
            .before_spawn(move |command| {
                command.process_group(leader);
                Ok(())
            })
            .start()
            .context(START, &command.program)?;
        let group = Some(group.with_child(&child));
        Ok(Self { program: command.program.clone(), child, group, stdout, stderr, started })
    }

    /// Waits for the end, or for the limit.
    fn finish(
        mut self,
        limit: &Limit,
        mut watcher: Option<&mut Watcher<'_>>,
    ) -> Result<Finished, Error> {
        let mut lines = Lines::default();
        let status = loop {
            // The wait ends as soon as the child does, with checks in between.
            let moment = Instant::now() + LOOK;
            let moment = limit.deadline().moment().map_or(moment, |end| end.min(moment));
            let status = self.child.wait_deadline(moment).context("wait for", &self.program)?;
            if let Some(watcher) = &mut watcher {
                lines.show(&self.stderr, watcher);
            }
            if status.is_some() || limit.is_over() {
                break status;
            }
        }
        .map(|output| output.status);
        if status.is_none() {
            if let Some(group) = &self.group {
                group.signal(Signal::TERM);
            }
            // It ends when it is killed below at the latest.
            let _ = self.child.wait_timeout(GRACE);
        }
        self.group = None;
        self.child.wait().context("wait for", &self.program)?;
        Ok(Finished {
            status,
            stdout: read_back(&mut self.stdout)?,
            stderr: read_back(&mut self.stderr)?,
            elapsed: self.started.elapsed(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.group = None;
        // So that the system forgets it.
        let _ = self.child.wait();
    }
}

/// A process that was started early and waits for a word to go on.
pub(crate) struct Waiting {
    running: Running,
    word: PipeWriter,
}

impl Waiting {
    /// Starts a program that waits for a byte on its standard input, and then uses its standard
    /// output as standard input. It ends at the end of its input.
    pub(crate) fn start(command: &Command) -> Result<Self, Error> {
        let (input, word) = io::pipe().context("make a pipe for", &command.program)?;
        let running = Running::start(command, Streams::Together, Some(input))?;
        Ok(Self { running, word })
    }

    /// Lets it continue; returns `None` if it has already ended.
    pub(crate) fn go_on(
        mut self,
        limit: &Limit,
        watcher: Option<&mut Watcher<'_>>,
    ) -> Option<Result<Finished, Error>> {
        if !matches!(self.running.child.try_wait(), Ok(None)) || self.word.write_all(b"!").is_err()
        {
            return None;
        }
        self.running.started = Instant::now();
        Some(self.running.finish(limit, watcher))
    }
}

/// The lines of a file that grows.
#[derive(Default)]
struct Lines {
    read: u64,
    rest: Vec<u8>,
}

impl Lines {
    /// Passes on the lines since the last call, then `None`. Keeps the file's position, at which
    /// the tool writes.
    fn show(&mut self, file: &File, watcher: &mut Watcher<'_>) {
        let mut buffer = [0; 8192];
        // A failure to read is ignored here: the end reads everything again.
        while let Ok(count @ 1..) = file.read_at(&mut buffer, self.read) {
            self.read += count as u64;
            self.rest.extend_from_slice(&buffer[..count]);
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            watcher(Some(&String::from_utf8_lossy(&self.rest[..end])));
            self.rest.drain(..=end);
        }
        watcher(None);
    }
}

/// A process group that is killed when this is dropped, and also when this process dies.
///
/// Its leader is a shell that waits for the end of a pipe of ours. It outlives the tool, so that
/// the group's number stays taken until the group has been killed.
struct Group {
    watchdog: Option<(Handle, PipeWriter)>,
    id: Option<Pid>,
}

impl Group {
    /// Starts the watchdog; without a shell on this machine the tool leads a group of its own, and
    /// survives us if we are killed.
    fn start(doomed_dir: Option<&Path>) -> Self {
        match Self::start_watchdog(doomed_dir) {
            Ok((handle, pipe)) => {
                let id = handle.pids().first().and_then(|&pid| as_pid(pid));
                Self { watchdog: Some((handle, pipe)), id }
            }
            Err(error) => {
                tracing::debug!(%error, "no watchdog for the process group");
                Self { watchdog: None, id: None }
            }
        }
    }

    fn start_watchdog(doomed_dir: Option<&Path>) -> io::Result<(Handle, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let script = ["-c", WATCHDOG, "watchdog"].map(OsStr::new);
        let doomed_dir = doomed_dir.map_or(OsStr::new(""), Path::as_os_str);
        let handle = duct::cmd("/bin/sh", script.into_iter().chain([doomed_dir]))
            .dir("/")
            .full_env(BTreeMap::<OsString, OsString>::new())
            .stdin_file(reader)
            .stdout_null()
            .stderr_null()
            .unchecked()
            .before_spawn(|command| {
                command.process_group(0);
                Ok(())
            })
            .start()?;
        Ok((handle, writer))
    }

    /// Returns the group that the tool joins; 0 stands for a new one.
    fn leader(&self) -> i32 {
        Pid::as_raw(self.id)
    }

    fn with_child(mut self, child: &Handle) -> Self {
        if self.id.is_none() {
            self.id = child.pids().first().and_then(|&pid| as_pid(pid));
        }
        self
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // It fails only if no process is left to signal.
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some((watchdog, _pipe)) = &self.watchdog {
            let _ = watchdog.wait();
        }
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn unnamed_file() -> Result<File, Error> {
    tempfile::tempfile().context("make an unnamed file in", std::env::temp_dir())
}

fn null() -> Result<File, Error> {
    let null = Path::new("/dev/null");
    File::open(null).context("open", null)
}

fn clone(file: &File) -> Result<File, Error> {
    file.try_clone().context("duplicate a file of", std::env::temp_dir())
}

/// Returns the last [`OUTPUT_CAP`] bytes of `file`, as text.
fn read_back(file: &mut File) -> Result<String, Error> {
    let read = |file: &mut File| {
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_CAP)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text: io::Result<String> = read(file);
    text.context("read the output of a tool in", std::env::temp_dir())
}
