//! A process that has imported what the workers of a stage need, and from which they are forked.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::Serialize;

use super::channel::Incoming;
use super::child::{Child, Parent};
use super::ended::Ended;
use super::exit::Exit;
use super::process::{Process, Streams};
use super::warm::Visit;
use super::wire::{Done, Fork, Kind, OfChild, Stay};
use crate::sync::{Mutex, MutexGuard};

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
    Ready(Body),
    /// Why there is none any more.
    Gone(String),
}

/// The process of a template.
#[derive(Debug)]
enum Body {
    /// It was started for this run.
    Started(Box<Process>),
    /// It has stayed after another run.
    Warm(Box<Visit>),
}

impl Template {
    /// Creates a template from a process that waits for orders.
    pub(crate) fn new(process: Box<Process>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Ready(Body::Started(process))) })
    }

    /// Creates a template from one that has stayed after another run.
    pub(crate) fn warm(visit: Visit) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Ready(Body::Warm(Box::new(visit)))) })
    }

    /// Returns whether it was there before this run.
    pub(crate) fn is_warm(&self) -> bool {
        matches!(&*self.state(), State::Ready(Body::Warm(_)))
    }

    /// Leaves it to later runs: nothing can be forked from it here after that. Fails with the reason
    /// if it does not stay.
    pub(crate) fn stay(&self, stay: &Stay<'_>) -> Result<(), String> {
        let mut state = self.state();
        let done = state.order(Kind::Stay, stay, &[]);
        let problem = match (done, &*state) {
            (Some(done), _) => done.problem,
            (None, State::Gone(why)) => Some(why.clone()),
            (None, State::Ready(_)) => None,
        };
        // What stays is another process, or another's to end.
        *state = State::Gone("it stays for later runs".to_owned());
        problem.map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns why workers cannot be forked from it any more, if so.
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
        vars: &BTreeMap<String, Option<String>>,
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
            State::Ready(body) if body.is_running() => {}
            _ => return Err(gone()),
        }
        let parent: Arc<dyn Parent> = self.clone();
        Ok(Child::forked(pid, ended?, parent))
    }
}

impl State {
    /// Gives the template an order. If it does not obey, it is gone from then on.
    fn order(
        &mut self,
        kind: Kind,
        order: &impl Serialize,
        files: &[BorrowedFd<'_>],
    ) -> Option<Done> {
        let Self::Ready(body) = self else { return None };
        let problem = match serde_json::to_vec(order) {
            Ok(meta) => {
                // A template that is gone cannot be told anything; the wait finds out.
                let _ = body.send(kind, &meta, files);
                match body.receive(Instant::now() + LIMIT) {
                    Incoming::Frame(frame) if frame.kind == Kind::Done => {
                        match serde_json::from_slice(&frame.meta) {
                            Ok(done) => return Some(done),
                            Err(error) => error.to_string(),
                        }
                    }
                    Incoming::Gone => format!("it {}", body.finish()),
                    Incoming::Deadline => {
                        format!("it did nothing for {} s", LIMIT.as_secs())
                    }
                    other => format!("it answered {other:?}"),
                }
            }
            Err(error) => error.to_string(),
        };
        *self = Self::Gone(problem);
        None
    }
}

impl Body {
    fn send(&self, kind: Kind, meta: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        match self {
            Self::Started(process) => process.send_with(kind, meta, files),
            Self::Warm(visit) => visit.send(kind, meta, files),
        }
    }

    fn receive(&mut self, deadline: Instant) -> Incoming {
        match self {
            Self::Started(process) => process.receive(Some(deadline), None),
            Self::Warm(visit) => visit.receive(deadline),
        }
    }

    fn is_running(&self) -> bool {
        match self {
            Self::Started(process) => process.is_running(),
            Self::Warm(visit) => visit.is_running(),
        }
    }

    /// Returns how it ended, once its socket has.
    fn finish(&mut self) -> Exit {
        match self {
            Self::Started(process) => process.finish(Duration::from_millis(500)),
            // It is no child of this program.
            Self::Warm(_) => Exit::Unknown,
        }
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
