//! One worker process: started, talked to, and ended together with all its children.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cancel::Cancel;
use super::channel::{Channel, Incoming};
use super::child::Child;
use super::exit::Exit;
use super::logs::{LogTail, LogThread};
use super::wire::{self, Kind};
use crate::run::Secrets;
use crate::run::Stream;

/// How to start a worker: data only, so that it can be looked at without starting one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Launch {
    /// The interpreter, with arguments if it is a command line.
    pub(crate) python: Vec<OsString>,
    /// Whether the interpreter knows `-P`, as 3.11 and later do.
    pub(crate) has_safe_path: bool,
    pub(crate) shim: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) vars: BTreeMap<OsString, OsString>,
}

impl Launch {
    /// Variables that a shell changes from one command to the next, and that decide nothing.
    pub(crate) const IDLE_VARS: [&str; 3] = ["OLDPWD", "SHLVL", "_"];

    /// Returns the command line: no user site, no script folder on the path, no buffered output.
    pub(crate) fn argv(&self) -> Vec<OsString> {
        let mut argv = self.python.clone();
        argv.push("-s".into());
        if self.has_safe_path {
            argv.push("-P".into());
        }
        argv.push("-u".into());
        argv.push(self.shim.clone().into());
        argv
    }
}

/// A running worker process and the socket to it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    channel: Channel,
    logs: LogThread,
    tail: LogTail,
    /// Closing it has the kernel kill the worker's group; it closes with this program at the latest.
    lifeline: Option<PipeWriter>,
    /// The worker's end of it: as long as it is open here, the kernel knows the group, also when the
    /// worker has left others of it behind.
    _lifeline_end: PipeReader,
    exit: Option<Exit>,
}

/// What becomes the standard input, output and error of a worker.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: PipeWriter,
    pub(crate) stderr: PipeWriter,
}

impl Process {
    /// Starts a worker and sends it the start frame, with the lifeline and the leases. `start` is
    /// told the process group, and gives what the frame says.
    pub(crate) fn spawn(
        launch: &Launch,
        start: impl FnOnce(i32) -> serde_json::Result<Vec<u8>>,
        leases: &[BorrowedFd<'_>],
        secrets: Secrets,
        on_line: impl Fn(Stream, &str) + Send + 'static,
    ) -> io::Result<Self> {
        let argv = launch.argv();
        let born = |streams: Streams| {
            // The expression holds the child's ends; it is dropped at the end of this statement, or
            // the end of the worker would never be seen.
            let handle = duct::cmd(&argv[0], &argv[1..])
                .dir(&launch.dir)
                .full_env(&launch.vars)
                .stdin_file(streams.stdin)
                .stdout_file(streams.stdout)
                .stderr_file(streams.stderr)
                .unchecked()
                .before_spawn(|command| {
                    command.process_group(0);
                    Ok(())
                })
                .start()?;
            Child::spawned(handle)
        };
        Self::born(born, start, leases, secrets, on_line)
    }

    /// Takes up a process that comes to be in some way.
    pub(crate) fn born(
        born: impl FnOnce(Streams) -> io::Result<Child>,
        start: impl FnOnce(i32) -> serde_json::Result<Vec<u8>>,
        leases: &[BorrowedFd<'_>],
        secrets: Secrets,
        on_line: impl Fn(Stream, &str) + Send + 'static,
    ) -> io::Result<Self> {
        let (socket, theirs) = wire::pair()?;
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        let (lifeline_end, lifeline) = io::pipe()?;
        // From here on an early return ends the process.
        let child = born(Streams { stdin: theirs, stdout: stdout_end, stderr: stderr_end })?;
        let tail = LogTail::default();
        let logs = LogThread::spawn(stdout, stderr, tail.clone(), secrets, on_line)?;
        let mut bytes = Vec::new();
        let start = start(child.pid().as_raw_nonzero().get())?;
        wire::encode(&mut bytes, Kind::Start, 0, &start, &[]);
        let mut descriptors = vec![lifeline_end.as_fd()];
        descriptors.extend_from_slice(leases);
        // A worker that died already cannot be told anything; the wait for its proof finds out.
        let _ = wire::send_with_descriptors(&socket, &bytes, &descriptors);
        Ok(Self {
            child,
            channel: Channel::new(socket),
            logs,
            tail,
            lifeline: Some(lifeline),
            _lifeline_end: lifeline_end,
            exit: None,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.pid().as_raw_nonzero().get()
    }

    /// Returns the last lines that it printed.
    pub(crate) fn tail(&self) -> LogTail {
        self.tail.clone()
    }

    /// Returns a second handle to the socket, to write from another thread.
    pub(crate) fn writer(&self) -> io::Result<UnixStream> {
        self.channel.socket().try_clone()
    }

    /// Sends one small frame.
    pub(crate) fn send(&self, kind: Kind, meta: &[u8]) -> io::Result<()> {
        self.send_with(kind, meta, &[])
    }

    /// Sends one small frame with open files, of which the other side gets copies.
    pub(crate) fn send_with(
        &self,
        kind: Kind,
        meta: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.channel.send(kind, meta, files)
    }

    /// Returns whether its process runs, as far as can be told without waiting.
    pub(crate) fn is_running(&self) -> bool {
        !self.child.wait_for_end(Instant::now())
    }

    /// Waits for the next frame, or for whatever else happens first.
    pub(crate) fn receive(
        &mut self,
        deadline: Option<Instant>,
        cancel: Option<&Cancel>,
    ) -> Incoming {
        self.channel.receive(self.child.as_fd(), deadline, cancel)
    }

    /// Shuts down one or both directions of the socket, which also wakes threads that wait in it. A
    /// worker that reads the end tears down.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        self.channel.shut_down(how);
    }

    /// Asks the whole process group to end, waits for at most `grace`, then kills it.
    pub(crate) fn terminate(&mut self, grace: Duration) -> Exit {
        self.child.signal_group(Signal::TERM);
        self.finish(grace)
    }

    /// Waits up to `grace` for a process that is about to end, then kills what is left of its group.
    pub(crate) fn finish(&mut self, grace: Duration) -> Exit {
        self.child.wait_for_end(Instant::now() + grace);
        self.reap()
    }

    /// Kills the whole group, and only then has its leader reaped: until it is, its number cannot
    /// belong to another process.
    pub(crate) fn reap(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        // The kernel kills the group then, also where its number may be another's by now.
        drop(self.lifeline.take());
        let exit = self.child.end();
        self.logs.stop();
        self.exit = Some(exit);
        exit
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.reap();
    }
}
