//! The templates of a run: which stages share one, and how far each of them is.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::worker::wire::{Kind, Preloaded, Proof};
use crate::worker::{Cancel, Incoming, Launch, Process, Template};

/// A worker or a template that has not said which environment it is in by then never will.
pub(super) const PROOF_LIMIT: Duration = Duration::from_mins(2);

/// The templates of a run, each shared by the workers that are started in the same way for the same
/// file. None is made before a worker wants it.
#[derive(Debug)]
pub(crate) struct Templates {
    is_on: bool,
    nurseries: Mutex<BTreeMap<Key, Arc<Nursery>>>,
}

/// What workers must have in common to come from one template.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    launch: Launch,
    file: String,
    preload: Vec<String>,
}

impl Templates {
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on, nurseries: Mutex::default() }
    }

    /// Whether any worker is to be forked.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Where workers are forked that are started in this way, and have this file as their code.
    pub(crate) fn nursery(
        &self,
        launch: &Launch,
        file: String,
        preload: Vec<String>,
    ) -> Arc<Nursery> {
        let mut nurseries = self.nurseries.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Nursery { launch: launch.clone(), state: Mutex::default() });
        nurseries.entry(Key { launch: launch.clone(), file, preload }).or_insert_with(new).clone()
    }
}

/// Where workers are forked: a template that is made when the first worker wants it.
#[derive(Debug)]
pub(crate) struct Nursery {
    launch: Launch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    /// Whether it has proved its environment, and by when it must.
    Starting(Box<Process>, bool, Option<Instant>),
    Ready(Arc<Template>),
    /// Why there is none.
    Without(String),
}

/// What a wait for a template ended with.
pub(crate) enum Waited {
    Ready(Arc<Template>),
    NotYet,
    Without(String),
    Cancelled,
}

impl Nursery {
    /// How the template is started, which has no devices.
    pub(crate) fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Waits a moment for the template, which is started if it has not been.
    pub(crate) fn wait(
        &self,
        moment: Duration,
        cancel: &Cancel,
        start: impl FnOnce() -> io::Result<Process>,
        verify: impl Fn(&Proof) -> Result<(), String>,
    ) -> Waited {
        let mut state = self.state();
        if matches!(*state, State::New) {
            *state = match start() {
                Ok(process) => {
                    State::Starting(Box::new(process), false, Some(Instant::now() + PROOF_LIMIT))
                }
                Err(error) => State::Without(format!("no template could be started: {error}")),
            };
        }
        let until = Instant::now() + moment;
        while let State::Starting(process, is_proven, proof_limit) = &mut *state {
            let next = match process.receive(Some(until), Some(cancel)) {
                Incoming::Cancelled => return Waited::Cancelled,
                Incoming::Deadline if proof_limit.is_none_or(|at| Instant::now() < at) => {
                    return Waited::NotYet;
                }
                Incoming::Deadline => Err("its template did not prove its environment".to_owned()),
                Incoming::Frame(frame) if frame.kind == Kind::Proof && !*is_proven => {
                    let proof = serde_json::from_slice(&frame.meta);
                    let proof = proof.map_err(|error| error.to_string());
                    proof.and_then(|proof| verify(&proof)).map(|()| false)
                }
                Incoming::Frame(frame) if frame.kind == Kind::Ready && *is_proven => {
                    match serde_json::from_slice::<Preloaded>(&frame.meta) {
                        Ok(Preloaded { problem: None }) => Ok(true),
                        Ok(Preloaded { problem: Some(problem) }) => Err(problem),
                        Err(error) => Err(error.to_string()),
                    }
                }
                Incoming::Gone => {
                    Err(format!("its template {}", process.finish(Duration::from_millis(500))))
                }
                other => Err(format!("its template said {other:?}")),
            };
            match next {
                Ok(false) => (*is_proven, *proof_limit) = (true, None),
                Ok(true) => {
                    if let State::Starting(process, ..) = std::mem::take(&mut *state) {
                        *state = State::Ready(Template::new(process));
                    }
                }
                Err(why) => *state = State::Without(why),
            }
        }
        match &*state {
            State::Ready(template) => match template.problem() {
                None => Waited::Ready(template.clone()),
                Some(why) => Waited::Without(format!("its template is gone: {why}")),
            },
            State::Without(why) => Waited::Without(why.clone()),
            State::New | State::Starting(..) => Waited::NotYet,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
