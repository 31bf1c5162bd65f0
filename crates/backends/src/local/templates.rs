//! The templates of a run: which stages share one, and how far each of them is.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::run::StartStep;
use crate::sync::{Mutex, MutexGuard};
use crate::worker::warm::{KeepWarm, Wanted};
use crate::worker::wire::{Importer, Kind, Preloaded, Proof, Stay};
use crate::worker::{Cancel, Incoming, Launch, Process, Template};

/// A worker or a template that has not said which environment it is in by then never will.
pub(super) const PROOF_LIMIT: Duration = Duration::from_mins(2);

/// The templates of a run, each shared by the workers that are started in the same way for the same
/// code, and the roots of several. None is made before a worker wants it.
#[derive(Debug)]
pub(crate) struct Templates {
    is_on: bool,
    /// How long they stay after the run, if they do.
    keep: Option<KeepWarm>,
    nurseries: Mutex<BTreeMap<Key, Arc<Nursery>>>,
}

/// What workers must have in common to come from one template.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    launch: Launch,
    importers: Vec<Importer>,
}

impl Templates {
    pub(crate) fn new(is_on: bool, keep: Option<KeepWarm>) -> Self {
        Self { is_on, keep, nurseries: Mutex::default() }
    }

    /// Whether any worker is to be forked.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether they stay after the run.
    pub(crate) fn stay(&self) -> bool {
        self.keep.is_some()
    }

    /// Where workers are forked that are started in this way and import this. If there is a `root`,
    /// the template itself is forked there. `wanted` tells it from others, if it is to stay.
    pub(crate) fn nursery(
        &self,
        launch: &Launch,
        importer: Importer,
        root: Option<Arc<Nursery>>,
        wanted: impl FnOnce() -> Wanted,
    ) -> Arc<Nursery> {
        let warm = || self.keep.clone().map(|keep| (keep, wanted()));
        self.nursery_of(launch, vec![importer], root, warm)
    }

    /// Where templates are forked that are started in this way and import this: its own template has
    /// imported what all begin with.
    pub(crate) fn root(&self, launch: &Launch, importers: Vec<Importer>) -> Arc<Nursery> {
        self.nursery_of(launch, importers, None, || None)
    }

    fn nursery_of(
        &self,
        launch: &Launch,
        importers: Vec<Importer>,
        root: Option<Arc<Nursery>>,
        warm: impl FnOnce() -> Option<(KeepWarm, Wanted)>,
    ) -> Arc<Nursery> {
        let mut nurseries = self.nurseries.lock();
        let key = Key { launch: launch.clone(), importers: importers.clone() };
        let new = || {
            Arc::new(Nursery {
                launch: launch.clone(),
                importers,
                root,
                warm: warm(),
                state: Mutex::default(),
                warning: Mutex::default(),
            })
        };
        nurseries.entry(key).or_insert_with(new).clone()
    }

    /// Leaves those that are ready to later runs, once this one has no workers any more.
    pub(crate) fn keep(&self) {
        let Some(keep) = &self.keep else { return };
        let nurseries = self.nurseries.lock();
        let mut is_new = false;
        for nursery in nurseries.values() {
            match nursery.keep() {
                Ok(stays) => is_new |= stays,
                Err(why) => tracing::debug!(why, "a template does not stay"),
            }
        }
        if is_new {
            keep.templates().make_room(keep.most, keep.most_bytes);
        }
    }
}

/// Where workers are forked: a template that is made when the first worker wants it.
#[derive(Debug)]
pub(crate) struct Nursery {
    launch: Launch,
    importers: Vec<Importer>,
    root: Option<Arc<Nursery>>,
    /// How long the template stays after the run, if it does, and what tells it from others.
    warm: Option<(KeepWarm, Wanted)>,
    state: Mutex<State>,
    /// What its stage is to tell of its imports.
    warning: Mutex<Option<String>>,
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

    /// What the template imports.
    pub(crate) fn importers(&self) -> &[Importer] {
        &self.importers
    }

    /// What its stage is to tell of its imports, once.
    pub(crate) fn take_warning(&self) -> Option<String> {
        self.warning.lock().take()
    }

    /// Where the template is forked itself, if that works; else it is started.
    pub(crate) fn root(&self) -> Option<&Self> {
        self.root.as_deref()
    }

    /// Whether the template has been started, or one that stayed after another run takes its place.
    pub(crate) fn is_there(&self, verify: impl Fn(&Proof) -> Result<(), String>) -> bool {
        let mut state = self.state();
        if let (State::New, Some((keep, wanted))) = (&*state, &self.warm)
            && let Some(visit) = keep.templates().find(wanted, verify)
        {
            *state = State::Ready(Template::warm(visit));
        }
        !matches!(*state, State::New)
    }

    /// Whether nothing has to be waited for: the template is ready, or there will be none.
    pub(crate) fn is_settled(&self) -> bool {
        // A thread that holds the lock for long waits for the template.
        let state = self.state.try_lock();
        state.is_some_and(|state| matches!(*state, State::Ready(_) | State::Without(_)))
    }

    /// Waits a moment for the template, which is started if it has not been. `tell` hears how far it
    /// has come meanwhile.
    pub(crate) fn wait(
        &self,
        moment: Duration,
        cancel: &Cancel,
        start: impl FnOnce() -> io::Result<Process>,
        verify: impl Fn(&Proof) -> Result<(), String>,
        tell: impl Fn(StartStep),
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
                        Ok(Preloaded { problem: None, .. }) => Ok(true),
                        Ok(Preloaded { problem: Some(problem), warning }) => {
                            *self.warning.lock() = warning;
                            Err(problem)
                        }
                        Err(error) => Err(error.to_string()),
                    }
                }
                Incoming::Gone => {
                    Err(format!("its template {}", process.finish(Duration::from_millis(500))))
                }
                other => Err(format!("its template said {other:?}")),
            };
            match next {
                Ok(false) => {
                    (*is_proven, *proof_limit) = (true, None);
                    tell(StartStep::Template);
                }
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

    /// Leaves the template to later runs; whether there is one more of those.
    fn keep(&self) -> Result<bool, String> {
        let (Some((keep, wanted)), State::Ready(template)) = (&self.warm, &*self.state()) else {
            return Ok(false);
        };
        let warm = keep.templates();
        let seconds = keep.idle.as_secs();
        let (owner, environments) = (keep.owner, &wanted.environments[..]);
        if template.is_warm() {
            let stay = Stay { seconds, owner, place: None, environments };
            return template.stay(&stay).map(|()| false);
        }
        // Another run may have left the same one meanwhile.
        if warm.find(wanted, |_| Ok(())).is_some() {
            return Ok(false);
        }
        let folder = warm.place().map_err(|error| error.to_string())?;
        let place = Some((folder, wanted.name.as_str()));
        template.stay(&Stay { seconds, owner, place, environments }).map(|()| true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
