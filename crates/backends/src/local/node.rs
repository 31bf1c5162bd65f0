//! The node that stages run on, and the hook that runs once on it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use envspec::Digest;
use rustix::fs::FlockOperation;

/// How long who waits for another's hook sleeps before it looks around.
const TICK: Duration = Duration::from_millis(50);
/// What the file of a stage whose hook has run holds.
const DONE: &[u8] = b"done\n";

/// The node that stages run on.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What hooks see as its name.
    pub(crate) name: String,
    /// Where the processes of a run that share the node note whose hook has run; none where the
    /// run has one process.
    notes: Option<PathBuf>,
}

impl Node {
    /// This machine, which runs the whole pipeline in one process.
    pub(crate) fn local() -> Self {
        Self { name: "local".to_owned(), notes: None }
    }

    /// A node of a cluster, and the folder on it that the processes of a run share.
    pub(crate) fn of_cluster(name: String, notes: PathBuf) -> Self {
        Self { name, notes: Some(notes) }
    }

    pub(crate) fn setup_of(&self, stage: &str) -> NodeSetup {
        // Names of stages may hold anything, and be long.
        let digest = Digest::of(stage.as_bytes()).to_string();
        let file = self.notes.as_ref().map(|dir| dir.join(format!("setup-{}", &digest[..16])));
        NodeSetup { file, state: Mutex::default(), changed: Condvar::new() }
    }
}

/// Sees to it that `setup_on_node` runs once on a node, before any worker's `setup`.
#[derive(Debug)]
pub(crate) struct NodeSetup {
    /// Its lock is held by the process whose worker runs the hook.
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
    /// Whether the caller is the one to run it, and must then report with `end`; if not, it has been
    /// done. `None` if `is_over` said so while waiting for another worker's.
    pub(crate) fn begin(&self, is_over: impl Fn() -> bool) -> io::Result<Option<bool>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
                                let waited = self.changed.wait_timeout(state, TICK);
                                state = waited.unwrap_or_else(PoisonError::into_inner).0;
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
                    let waited = self.changed.wait_timeout(state, TICK);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// It ran; or, if its worker died in it, it is due again.
    pub(crate) fn end(&self, is_done: bool) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Whose the hook of a stage is among the processes of a node.
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
        let node = Node::of_cluster("n".into(), dir.path().to_owned());
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
