//! The node that stages run on, and the hook that runs once on it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use envspec::Digest;
use rustix::fs::FlockOperation;

use crate::sync::{Condvar, Mutex};

/// Poll interval while another worker runs `setup_on_node`.
const TICK: Duration = Duration::from_millis(50);
/// The contents of the file of a stage whose hook has run.
const DONE: &[u8] = b"done\n";

/// The node that stages run on.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name for hooks.
    pub(crate) name: String,
    /// The number of the first worker of a stage in this process: on a cluster, each has one.
    pub(crate) first_worker: usize,
    /// The folder in which the processes of a run on the node note the hooks that have run; none if
    /// the run has one process.
    notes: Option<PathBuf>,
}

impl Node {
    /// Returns this machine, which runs the whole pipeline in one process.
    pub(crate) fn local() -> Self {
        Self { name: "local".to_owned(), first_worker: 0, notes: None }
    }

    /// Returns a node of a cluster, with a folder that the processes of a run share.
    pub(crate) fn of_cluster(name: String, first_worker: usize, notes: PathBuf) -> Self {
        Self { name, first_worker, notes: Some(notes) }
    }

    pub(crate) fn setup_of(&self, stage: &str) -> NodeSetup {
        // Names of stages may be long and contain any character.
        let digest = Digest::of(stage.as_bytes()).to_string();
        let file = self.notes.as_ref().map(|dir| dir.join(format!("setup-{}", &digest[..16])));
        NodeSetup { file, state: Mutex::default(), changed: Condvar::new() }
    }
}

/// Makes sure that `setup_on_node` runs once on a node, before any worker's `setup`.
#[derive(Debug)]
pub(crate) struct NodeSetup {
    /// The process whose worker runs the hook holds its lock.
    file: Option<PathBuf>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Due,
    Running(Option<File>),
    Done,
}

impl NodeSetup {
    /// Returns whether the caller must run the hook, and then report with `end`; false if it has
    /// already run. `None` if `is_over` became true while another worker ran it.
    pub(crate) fn begin(&self, is_over: impl Fn() -> bool) -> io::Result<Option<bool>> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                State::Due => {
                    let file = match &self.file {
                        None => None,
                        Some(path) => match lock(path)? {
                            Locked::Done => {
                                *state = State::Done;
                                continue;
                            }
                            Locked::Mine(file) => Some(file),
                            Locked::Others if is_over() => return Ok(None),
                            Locked::Others => {
                                state = self.changed.wait_timeout(state, TICK).0;
                                continue;
                            }
                        },
                    };
                    *state = State::Running(file);
                    return Ok(Some(true));
                }
                State::Done => return Ok(Some(false)),
                State::Running(_) if is_over() => return Ok(None),
                State::Running(_) => {
                    state = self.changed.wait_timeout(state, TICK).0;
                }
            }
        }
    }

    /// Notes that the hook has run, or, if its worker died, that it must run again.
    pub(crate) fn end(&self, is_done: bool) -> io::Result<()> {
        let mut state = self.state.lock();
        let old = std::mem::replace(&mut *state, if is_done { State::Done } else { State::Due });
        drop(state);
        self.changed.notify_all();
        match old {
            // Closing the file gives the lock to the next process.
            State::Running(Some(mut file)) if is_done => file.write_all(DONE),
            _ => Ok(()),
        }
    }
}

/// The holder of a stage's hook among the processes of a node.
enum Locked {
    Done,
    Mine(File),
    Others,
}

fn lock(path: &Path) -> io::Result<Locked> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Locked::Others),
        Err(error) => return Err(error.into()),
    }
    let mut noted = Vec::new();
    file.read_to_end(&mut noted)?;
    Ok(if noted == DONE { Locked::Done } else { Locked::Mine(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_share_a_node_run_the_hook_once() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::of_cluster("n".into(), 0, dir.path().to_owned());
        let (one, other) = (node.setup_of("stage"), node.setup_of("stage"));
        assert_eq!(one.begin(|| false).unwrap(), Some(true));
        assert_eq!(other.begin(|| true).unwrap(), None, "another process runs it");
        one.end(false).unwrap();
        assert_eq!(other.begin(|| true).unwrap(), Some(true), "it died there");
        other.end(true).unwrap();
        assert_eq!(one.begin(|| true).unwrap(), Some(false));
        assert_eq!(node.setup_of("stage").begin(|| true).unwrap(), Some(false));
        assert_eq!(node.setup_of("another").begin(|| true).unwrap(), Some(true));
    }
}
