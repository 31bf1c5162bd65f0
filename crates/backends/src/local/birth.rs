//! How a slot comes to its worker: forked from a template, or else started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use stage::PythonCode;

use super::roots::{importer_of, root_of};
use super::stage_run::StageRun;
use super::templates::{Nursery, Waited};
use crate::provision::Environment;
use crate::run::{Error, Event, PlannedStage, StartStep, Stream};
use crate::worker::wire::{Start, StartTemplate};
use crate::worker::{Launch, Process, Template};

/// How long a thread waits before it looks around.
const TICK: Duration = Duration::from_millis(100);

/// What a slot's workers come from.
pub(crate) struct Birth<'a> {
    pub(crate) stage: &'a StageRun<'a>,
    pub(crate) code: &'a PythonCode,
    pub(crate) index: usize,
    pub(crate) environment: &'a Environment,
    /// Where they are forked, or why they are not.
    pub(crate) nursery: &'a Result<Arc<Nursery>, String>,
}

/// There is no worker.
pub(crate) enum Unborn {
    /// It is not needed any more.
    Cancelled,
    Failed(Error),
}

/// Returns the nursery that forks the workers of a stage, of which there may be `most`; or why it
/// has none.
pub(crate) fn nursery_of(
    stage: &StageRun<'_>,
    stages: &[StageRun<'_>],
    most: usize,
    environment: &Environment,
) -> Result<Arc<Nursery>, String> {
    let no = |why: &str| Err(why.to_owned());
    let Some(code) = stage.planned.behaviour.as_python() else {
        return no("it has no processes");
    };
    if !cfg!(target_os = "linux") {
        return no("workers are forked on Linux alone");
    }
    if !stage.run.templates.is_on() {
        return no("templates are off");
    }
    let preload = stage.planned.settings.preload.as_ref();
    if preload.is_some_and(|preload| !preload.is_on()) {
        return no("its `preload` is off");
    }
    if environment.is_command() {
        return no("its interpreter is a command line");
    }
    let mut others = stages.iter().filter(|other| other.index != stage.index);
    // Its workers come and go as stages take turns, and no device is held while one imports.
    let is_in_turns = stage.planned.gpus() > 0.0 && stage.run.devices.count() > 0;
    // What stays for the next run is for its one worker, too.
    let is_alone = !stage.run.templates.stay()
        && most <= 1
        && !is_in_turns
        && stage.planned.settings.recycle_after.is_none()
        && !others.any(|other| may_share(stage.planned, other.planned));
    let launch = environment.launch(None).map_err(|error| error.to_string())?;
    let root = root_of(stage, stages, environment, &launch);
    if is_alone {
        return root.ok_or_else(|| "one worker is all that it has".to_owned());
    }
    let importer = importer_of(stage.planned, code, environment);
    let importer = importer.map_err(|error| error.to_string())?;
    let wanted = || environment.wanted(&launch, importer.clone());
    Ok(stage.run.templates.nursery(&launch, importer.clone(), root, wanted))
}

/// Returns whether two stages look as if they could have workers from one template.
fn may_share(one: &PlannedStage, other: &PlannedStage) -> bool {
    let codes = one.behaviour.as_python().zip(other.behaviour.as_python());
    codes.is_some_and(|(one, other)| one.source() == other.source()) && one.env == other.env
}

/// Returns the variables in which a worker differs from its template. One that stayed may have been
/// started under others that decide nothing.
fn own_vars(launch: &Launch, is_warm: bool) -> BTreeMap<String, Option<String>> {
    let text = |value: &OsString| value.to_str().map(str::to_owned);
    let idle = Launch::IDLE_VARS.into_iter().filter(|_| is_warm);
    idle.map(|name| (name.to_owned(), launch.vars.get(OsStr::new(name)).and_then(text))).collect()
}

impl Birth<'_> {
    /// Returns whether workers get their devices once they have proven their environment. A command line may
    /// hand devices on in a way of its own, when it starts.
    pub(crate) fn awaits_devices(&self) -> bool {
        self.stage.planned.gpus() > 0.0 && !self.environment.is_command()
    }

    /// Returns a new worker. `is_late` says whether others have done everything meanwhile.
    pub(crate) fn worker(
        &self,
        visible_devices: Option<String>,
        is_late: impl Fn() -> bool,
    ) -> Result<Process, Unborn> {
        let launch = self.launch(visible_devices)?;
        match self.nursery {
            Ok(nursery) => {
                if let Some(process) = self.fork(nursery, &launch, is_late)? {
                    return Ok(process);
                }
            }
            Err(why) => self.stage.not_forked(why),
        }
        let process = Process::spawn(
            &launch,
            self.start()?,
            &self.environment.leases(),
            self.stage.run.secrets.clone(),
            self.on_line(),
        );
        process.map_err(|source| self.failed("start the worker", source))
    }

    fn fork(
        &self,
        nursery: &Nursery,
        launch: &Launch,
        is_late: impl Fn() -> bool,
    ) -> Result<Option<Process>, Unborn> {
        let template = match self.template(nursery, &is_late)? {
            Ok(template) => template,
            Err(why) => {
                nursery.take_warning().into_iter().for_each(|warning| self.stage.warn(warning));
                self.stage.not_forked(&why);
                return Ok(None);
            }
        };
        let vars = own_vars(launch, template.is_warm());
        let forked = Process::born(
            |streams| template.fork(&streams, &vars),
            self.start()?,
            &self.environment.leases(),
            self.stage.run.secrets.clone(),
            self.on_line(),
        );
        match forked {
            Ok(process) => {
                self.stage.forked(template.is_warm());
                self.stage.worker_starting(self.index, StartStep::Forked);
                Ok(Some(process))
            }
            Err(error) => {
                let why = template.problem().unwrap_or_else(|| error.to_string());
                self.stage.not_forked(&format!("its template could not fork: {why}"));
                Ok(None)
            }
        }
    }

    /// Returns the process of a nursery that others are forked from, or why there is none.
    fn template(
        &self,
        nursery: &Nursery,
        is_late: &impl Fn() -> bool,
    ) -> Result<Result<Arc<Template>, String>, Unborn> {
        let verify = |proof: &_| self.environment.verify(proof);
        let is_there = nursery.is_there(verify);
        // Without its root, a template is started.
        let root = match nursery.root() {
            Some(root) if !is_there => self.template(root, is_late)?.ok(),
            _ => None,
        };
        let cancel = &self.stage.run.cancel;
        let start = || self.start_template(nursery, root.as_ref());
        let is_awaited = !nursery.is_settled();
        let tell = |step| self.stage.worker_starting(self.index, step);
        loop {
            match nursery.wait(TICK, cancel, start, verify, tell) {
                Waited::Ready(template) => {
                    if is_awaited {
                        tell(StartStep::Imported);
                    }
                    return Ok(Ok(template));
                }
                Waited::NotYet if is_late() => return Err(Unborn::Cancelled),
                Waited::NotYet => {}
                Waited::Without(why) => return Ok(Err(why)),
                Waited::Cancelled => return Err(Unborn::Cancelled),
            }
        }
    }

    /// Has the process come to be that others are forked from: forked from its root, or started.
    fn start_template(
        &self,
        nursery: &Nursery,
        root: Option<&Arc<Template>>,
    ) -> io::Result<Process> {
        let packages = self.environment.package_names();
        let bytecode = self.environment.bytecode();
        let start = |group| {
            serde_json::to_vec(&StartTemplate {
                is_template: true,
                group,
                packages: &packages,
                bytecode: bytecode.as_ref(),
                may_stay: self.stage.run.templates.stay(),
                sources: nursery.importers(),
            })
        };
        let (leases, secrets) = (self.environment.leases(), self.stage.run.secrets.clone());
        if let Some(root) = root {
            let fork = |streams| root.fork(&streams, &BTreeMap::new());
            match Process::born(fork, start, &leases, secrets.clone(), self.on_line()) {
                Ok(process) => return Ok(process),
                Err(error) => tracing::debug!(%error, "a template is started, and not forked"),
            }
        }
        Process::spawn(nursery.launch(), start, &leases, secrets, self.on_line())
    }

    fn launch(&self, visible_devices: Option<String>) -> Result<Launch, Unborn> {
        let launch = self.environment.launch(visible_devices);
        launch.map_err(|source| self.failed("write the program", source))
    }

    /// Returns a function that makes the first frame of a worker from its process group.
    fn start(&self) -> Result<impl FnOnce(i32) -> serde_json::Result<Vec<u8>>, Unborn> {
        let stage = self.stage;
        let code = self.environment.locate(self.code);
        let code = code.map_err(|source| self.failed("write the source", source))?;
        let key = self.environment.key_text();
        let packages = self.environment.package_names();
        let bytecode = self.environment.bytecode();
        let awaits_devices = self.awaits_devices();
        Ok(move |group| {
            serde_json::to_vec(&Start {
                stage: stage.name(),
                worker: stage.run.node.first_worker + self.index,
                group,
                node: &stage.run.node.name,
                environment: key.as_deref(),
                packages: &packages,
                bytecode: bytecode.as_ref(),
                code: &code,
                args: self.code.args(),
                inputs: &stage.planned.settings.inputs,
                outputs: &stage.planned.settings.outputs,
                awaits_devices,
                is_timed: stage.planned.settings.task_timeout.is_some(),
                arenas_from: stage.run.arenas_from,
            })
        })
    }

    /// Returns a function that reports each line of a worker as the stage's.
    fn on_line(&self) -> impl Fn(Stream, &str) + Send + 'static {
        let (observer, name) = (self.stage.run.observer.clone(), self.stage.name().to_owned());
        let worker = self.index;
        move |stream, line: &str| {
            let (stage, line) = (name.clone(), line.to_owned());
            observer.on_line(&Event::Log { stage, worker, stream, line });
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Unborn {
        let stage = self.stage.name().to_owned();
        Unborn::Failed(Error::Worker { action, stage, source })
    }
}
