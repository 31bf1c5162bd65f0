//! A process that has imported what the workers of a stage need, and from which they are forked.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::Serialize;

use super::child::{Child, Parent};
use super::ended::Ended;
use super::exit::Exit;
use super::process::{Incoming, Process, Streams};
use super::wire::{Done, Fork, Kind, OfChild};

/// How long it may take to do what it is told, which is nothing but system calls: by then a hook of
/// some library hangs in a fork.
const LIMIT: Duration = Duration::from_secs(30);

/// A template that is ready, or that has been.
#[derive(Debug)]
pub(crate) struct Template {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Ready(Box<Process>),
    /// Why there is none any more.
    Gone(String),
}

impl Template {
    /// One that waits for orders.
    pub(crate) fn new(process: Box<Process>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Ready(process)) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why workers cannot be forked from it any more, if so.
    pub(crate) fn problem(&self) -> Option<String> {
        match &*self.state() {
            State::Ready(_) => None,
            State::Gone(why) => Some(why.clone()),
        }
    }

    /// Forks a process with these streams, which has these variables besides.
    pub(crate) fn fork(
        self: &Arc<Self>,
        streams: &Streams,
        vars: &BTreeMap<String, String>,
    ) -> io::Result<Child> {
        let mut state = self.state();
        let files = [streams.stdin.as_fd(), streams.stdout.as_fd(), streams.stderr.as_fd()];
        let done = state.order(Kind::Fork, &Fork { vars }, &files);
        let gone = || io::Error::other("the template is gone");
        let Done { pid, problem, .. } = done.ok_or_else(gone)?;
        let no_fork = || io::Error::other(problem.unwrap_or_default());
        let pid = pid.and_then(Pid::from_raw).ok_or_else(no_fork)?;
        let ended = Ended::of(pid);
        // While the template is there, nothing but an order of ours has a child of it reaped: what
        // was opened is that child. Else it may be anyone's, and the child ends by its socket.
        match &*state {
            State::Ready(process) if process.is_running() => {}
            _ => return Err(gone()),
        }
        let parent: Arc<dyn Parent> = self.clone();
        Ok(Child::forked(pid, ended?, parent))
    }
}

impl State {
    /// Has the template do something. If it does not, it is gone from then on.
    fn order(
        &mut self,
        kind: Kind,
        order: &impl Serialize,
        files: &[BorrowedFd<'_>],
    ) -> Option<Done> {
        let Self::Ready(process) = self else { return None };
        let problem = match serde_json::to_vec(order) {
            Ok(meta) => {
                // A template that is gone cannot be told anything; the wait finds out.
                let _ = process.send_with(kind, &meta, files);
                match process.receive(Some(Instant::now() + LIMIT), None) {
                    Incoming::Frame(frame) if frame.kind == Kind::Done => {
                        match serde_json::from_slice(&frame.meta) {
                            Ok(done) => return Some(done),
                            Err(error) => error.to_string(),
                        }
                    }
                    Incoming::Gone => format!("it {}", process.finish(Duration::from_millis(500))),
                    Incoming::Deadline => {
                        format!("it did nothing for {} s", LIMIT.as_secs())
                    }
                    other => format!("it answered {other:?}"),
                }
            }
            Err(error) => error.to_string(),
        };
        process.reap();
        *self = Self::Gone(problem);
        None
    }
}

impl Parent for Template {
    fn signal(&self, pid: Pid, signal: Signal) -> bool {
        let order = OfChild { pid: pid.as_raw_nonzero().get(), signal: signal.as_raw() };
        self.state().order(Kind::Signal, &order, &[]).is_some()
    }

    fn reap(&self, pid: Pid) -> Option<Exit> {
        let order = OfChild { pid: pid.as_raw_nonzero().get(), signal: 0 };
        let done = self.state().order(Kind::Reap, &order, &[])?;
        done.status.map(|status| Exit::of(ExitStatus::from_raw(status)))
    }
}
