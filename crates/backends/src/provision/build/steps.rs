//! Building an environment: create, install, check, compile, record.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use envspec::{Install, Tool, normal_name};
use installer::{
    Begun, Installer, Limit, Outcome, Progress, Request, Settings, Step, Tools, compile_bytecode,
};
use stage::Isolation;
use venv_cache::{
    Base, BaseRecord, Built, CachedEnv, Interpreter, Sharing, Site, Strategy, create_bare,
};

use super::asks::{missing_extras, passed_over};
use super::installed::{Installed, broken_by};
use super::keep::Kept;
use super::known::{Known, Question};
use super::markers::Markers;
use super::named::{check_named, misinstalled};
use super::ray_check::check_ray;
use super::record::BuildRecord;
use super::sources::check_places;
use crate::provision::inspect::{altered, brought_bytecode};
use crate::run::{BuildPhase, Error};

/// What a build needs besides its place.
pub(crate) struct Build<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) install: &'a Install,
    /// The package manager's settings of which the key is made.
    pub(crate) settings: &'a Settings,
    pub(crate) limit: &'a Limit,
    /// The folder of what interpreters said.
    pub(crate) records: &'a Path,
    /// The strategy, if one was asked for.
    pub(crate) strategy: Option<Strategy>,
    /// Hears of each phase as it begins, and how far it has come.
    pub(crate) on_phase: &'a (dyn Fn(BuildPhase, Amount) + Sync),
}

/// How much of a phase there is, and is done, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amount {
    pub(crate) packages: Option<usize>,
    pub(crate) done: Option<usize>,
    pub(crate) bytes: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
}

/// How long each step took.
#[derive(Default)]
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    fn time<T>(&mut self, name: &'static str, step: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = step();
        self.0.push((name, begun.elapsed()));
        result
    }

    /// Times a step in a thread of its own, while others go on in this one.
    fn time_beside<A: Send, B>(
        &mut self,
        name: &'static str,
        step: impl Fn() -> A + Sync,
        others: impl FnOnce(&mut Self) -> B,
    ) -> (A, B) {
        let timed = || {
            let begun = Instant::now();
            (step(), begun.elapsed())
        };
        let (done, others) = thread::scope(|scope| {
            // Without a thread, they go on one after the other.
            let named = format!("curator-{name}");
            let thread = thread::Builder::new().name(named).spawn_scoped(scope, timed).ok();
            let others = others(self);
            let done = match thread.map(ScopedJoinHandle::join) {
                Some(Ok(done)) => done,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => timed(),
            };
            (done, others)
        });
        let (step, time) = done;
        self.0.push((name, time));
        (step, others)
    }
}

impl Build<'_> {
    /// Builds an environment over a base.
    pub(crate) fn over(
        &self,
        base: &Base,
        managed: Option<&CachedEnv>,
        isolation: Isolation,
        site: &Site<'_>,
    ) -> Result<Built, Error> {
        let dir = site.dir();
        let mut steps = Steps::default();
        let question = self.question(base.interpreter());
        let before = base_packages(base.interpreter());
        let kept = Kept::of(self.install, &before);
        kept.check(self.install)?;
        self.phase(BuildPhase::Locating);
        let tool = steps.time("tool", || self.tool(base.python()))?;
        let (strategy, reason) = self.choose_strategy(&tool, base, isolation, dir)?;
        self.phase(BuildPhase::Creating);
        let lock = shared_lock(site)?;
        let progress = |progress: Progress| self.tell(progress);
        let known = Known::read(&question, tool.tool());
        let request = |python: &Path| {
            Request::new(self.install, python)
                .with_held(kept.lines())
                .with_settings(self.settings)
                .with_lock(lock.clone())
                .with_deadline(self.limit.clone())
                .with_progress(&progress)
        };
        // The package manager starts while the base's files are brought in.
        let begun = Cell::new(None);
        let archives = known.as_ref().map(Known::archives);
        let begin = |python: &Path| {
            begun.set(tool.begin(&request(python).with_known(archives)));
        };
        let created =
            steps.time("create", || self.clone_of(base, dir, strategy, (&tool, &kept), &begin))?;
        let request = request(&created.python);
        let folder = base.interpreter().purelib_in(dir);
        self.phase(BuildPhase::Resolving);
        let outcome = steps
            .time("install", || install(&tool, known.as_ref(), &request, begun.take(), &folder))
            .map_err(|error| kept.blame(&tool, &request, self.install, error))?;
        steps.time("compare", || restore(&tool, &request, &outcome, dir, &folder))?;
        let now = Installed::read([folder.as_path()]);
        let mut record = BuildRecord::new(self.install, base.interpreter(), &outcome, &now);
        record.strategy_reason = Some(reason);
        self.phase(BuildPhase::Checking);
        let markers = markers(base.interpreter());
        self.check_requested(&mut record, &now, &outcome, &markers)?;
        let check = || {
            let (python, installed) = (&created.python, (&before, &now));
            check_ray(base, self.records, python, installed, &outcome, self.limit)?;
            self.check_conflicts(&tool, base, python)
        };
        self.compiling(&outcome);
        // What is checked only reads, and none of this needs the other.
        let (checked, beside) = steps.time_beside("check", check, |steps| {
            let compile = || {
                compile_bytecode(&created.python, &outcome.added, Some(&lock), self.limit.clone())
            };
            steps.time("compile", compile).map_err(Error::install)?;
            let mut warnings = warnings(&before, &now, &markers);
            warnings.extend(outcome.warnings.iter().cloned());
            warnings.extend(passed_over(self.install, &now, &outcome, &markers));
            warnings.extend(missing_extras(self.install, &now, &markers));
            Ok::<_, Error>(warnings)
        });
        checked?;
        record.warnings = beside?;
        record.bytecode = Some(brought_bytecode(dir, &now, &record));
        // If a program installed into the base meanwhile, the base is not the one that the key
        // names.
        if base.fingerprint_now().map_err(Error::cache)? != *base.fingerprint() {
            return Err(Error::BaseChanged { python: base.python().to_owned() });
        }
        Known::keep(&question, self.install, &outcome);
        Ok(Built::new(created.python)
            .with_strategy(strategy.to_string())
            .with_base(base_record(base, managed))
            .with_needs(managed.map(|managed| *managed.key()))
            .with_details(details(record, steps)))
    }

    /// Builds an environment of its own, to serve as a base.
    pub(crate) fn bare(&self, interpreter: &Interpreter, site: &Site<'_>) -> Result<Built, Error> {
        let dir = site.dir();
        let mut steps = Steps::default();
        let question = self.question(interpreter);
        self.phase(BuildPhase::Locating);
        let tool = steps.time("tool", || self.tool(interpreter.executable()))?;
        let created =
            steps.time("create", || create_bare(interpreter, dir)).map_err(Error::cache)?;
        let lock = shared_lock(site)?;
        let progress = |progress: Progress| self.tell(progress);
        let request = Request::new(self.install, &created.python)
            .with_settings(self.settings)
            .with_lock(lock.clone())
            .with_deadline(self.limit.clone())
            .with_progress(&progress);
        self.phase(BuildPhase::Resolving);
        let folder = interpreter.purelib_in(dir);
        let known = Known::read(&question, tool.tool());
        let outcome = steps
            .time("install", || install(&tool, known.as_ref(), &request, None, &folder))
            .map_err(Error::install)?;
        steps.time("compare", || restore(&tool, &request, &outcome, dir, &folder))?;
        let now = Installed::read([folder.as_path()]);
        let mut record = BuildRecord::new(self.install, interpreter, &outcome, &now);
        let markers = markers(interpreter);
        self.check_requested(&mut record, &now, &outcome, &markers)?;
        record.warnings.clone_from(&outcome.warnings);
        record.warnings.extend(missing_extras(self.install, &now, &markers));
        self.compiling(&outcome);
        steps
            .time("compile", || {
                compile_bytecode(&created.python, &outcome.added, Some(&lock), self.limit.clone())
            })
            .map_err(Error::install)?;
        record.bytecode = Some(brought_bytecode(dir, &now, &record));
        Known::keep(&question, self.install, &outcome);
        Ok(Built::new(created.python).with_strategy("bare").with_details(details(record, steps)))
    }

    /// Returns how the base's files get into an environment, and why so.
    fn choose_strategy(
        &self,
        tool: &Installer,
        base: &Base,
        isolation: Isolation,
        dir: &Path,
    ) -> Result<(Strategy, String), Error> {
        let sharing = match isolation {
            Isolation::Shared => Sharing::Allowed,
            Isolation::Full => Sharing::Forbidden,
        };
        match self.strategy {
            _ if !tool.replaces_files() => {
                let (name, version) = (tool.tool(), tool.version());
                let reason = format!("{name} {version} may write into files that others share");
                Ok((Strategy::Copy, reason))
            }
            // What is not to be shared is copied, whatever else is asked for.
            Some(strategy) if sharing == Sharing::Allowed => {
                Ok((strategy, "it is asked for".to_owned()))
            }
            _ => {
                let choice = Strategy::probe(base, dir, sharing).map_err(Error::cache)?;
                Ok((choice.strategy, choice.reason.to_string()))
            }
        }
    }

    fn question(&self, interpreter: &Interpreter) -> Question {
        Question::new(self.records, interpreter, self.install, self.settings)
    }

    fn phase(&self, phase: BuildPhase) {
        (self.on_phase)(phase, Amount::default());
    }

    fn compiling(&self, outcome: &Outcome) {
        let packages = Some(outcome.added.len());
        (self.on_phase)(BuildPhase::Compiling, Amount { packages, ..Amount::default() });
    }

    /// Passes on how far a package manager has come.
    fn tell(&self, progress: Progress) {
        let phase = match progress.step {
            Step::Downloading => BuildPhase::Downloading,
            _ => BuildPhase::Installing,
        };
        let Progress { packages, done, bytes, total_bytes, .. } = progress;
        let amount = Amount { packages, done: Some(done), bytes: Some(bytes), total_bytes };
        (self.on_phase)(phase, amount);
    }

    fn tool(&self, base_python: &Path) -> Result<Installer, Error> {
        let version = self.install.tool_version.as_deref();
        self.tools
            .locate(self.install.tool, version, base_python, self.limit.clone())
            .map_err(Error::install)
    }

    /// Fails if the package manager finds conflicts that the base does not have, where the spec asks
    /// for that check.
    fn check_conflicts(&self, tool: &Installer, base: &Base, python: &Path) -> Result<(), Error> {
        if !self.install.check {
            return Ok(());
        }
        let known = tool.conflicts(base.python(), self.limit.clone()).map_err(Error::install)?;
        let found = tool.conflicts(python, self.limit.clone()).map_err(Error::install)?;
        let new = found.into_iter().filter(|conflict| !known.contains(conflict));
        let conflicts: Vec<String> = new.map(|conflict| conflict.to_string()).collect();
        if conflicts.is_empty() { Ok(()) } else { Err(Error::Conflicts { conflicts }) }
    }

    /// Fails unless all requested packages are there, in versions that were requested. Records them
    /// as what a worker must see.
    ///
    /// The package manager's verdict stands: on what it says that it installed, and where an override
    /// takes the place of what is asked for.
    fn check_requested(
        &self,
        record: &mut BuildRecord,
        now: &Installed,
        outcome: &Outcome,
        markers: &Markers,
    ) -> Result<(), Error> {
        check_places(self.install, now, outcome)?;
        for requirement in &self.install.requirements {
            let Some(name) = requirement.name() else { continue };
            let name = normal_name(name);
            let Some(version) = now.version(&name) else {
                // A marker may say that it is not wanted here.
                if requirement.marker().is_some() {
                    continue;
                }
                return Err(misinstalled(requirement, "is not there"));
            };
            let is_installed =
                || outcome.added.iter().any(|it| it.name == name && it.version == version);
            if markers.hold(requirement, &BTreeSet::new())
                && !self.install.accepts(requirement, version)
                && !is_installed()
            {
                return Err(misinstalled(requirement, &format!("is there as {version}")));
            }
            record.expected.insert(name, version.to_owned());
        }
        for requirement in &self.install.requirements {
            if markers.hold(requirement, &BTreeSet::new()) {
                check_named(self.install, requirement, now, outcome)?;
            }
        }
        Ok(())
    }
}

/// Installs what is known, and else what is asked for.
fn install(
    tool: &Installer,
    known: Option<&Known>,
    request: &Request<'_>,
    begun: Option<Begun>,
    folder: &Path,
) -> Result<Outcome, installer::Error> {
    let Some(known) = known else { return tool.install_begun(request, begun) };
    let first = request.clone().with_known(Some(known.archives()));
    match known.install(tool, &first, begun, folder) {
        Some(result) => result,
        None => tool.install(request),
    }
}

/// Installs anew, past uv's cache, the packages whose files are not what their lists say.
///
/// Environments that others made share files with that cache, and so does a base that uv installed:
/// what a program edited there in place would come out of the cache as if the index had it. What is
/// still another file then was built so.
fn restore(
    tool: &Installer,
    request: &Request<'_>,
    outcome: &Outcome,
    dir: &Path,
    site: &Path,
) -> Result<(), Error> {
    if tool.tool() != Tool::Uv {
        return Ok(());
    }
    let now = Installed::read([site]);
    let lists = outcome.added.iter().filter_map(|added| {
        let name = normal_name(&added.name);
        let list = now.get(&name)?.record_file();
        Some((name, list))
    });
    let altered = altered(dir, lists)?;
    if altered.is_empty() {
        return Ok(());
    }
    tracing::info!(packages = ?altered, "the files in uv's cache are not those that were fetched");
    tool.install(&request.clone().with_again(&altered)).map_err(Error::install)?;
    Ok(())
}

/// Returns the lock of the place, for the processes that write there: one that outlives us keeps
/// the next builder waiting instead of writing into what that builds.
fn shared_lock(site: &Site<'_>) -> Result<Arc<File>, Error> {
    let lock = site.lock().try_clone();
    lock.map(Arc::new)
        .map_err(|source| Error::io("share the lock of", site.dir().display().to_string(), source))
}

fn base_record(base: &Base, managed: Option<&CachedEnv>) -> BaseRecord {
    let record = BaseRecord::new(base.python(), base.fingerprint().to_string());
    match managed {
        Some(managed) => record.with_key(*managed.key()),
        None => record,
    }
}

fn markers(interpreter: &Interpreter) -> Markers {
    Markers::new(interpreter.version(), interpreter.implementation())
}

fn warnings(before: &Installed, now: &Installed, markers: &Markers) -> Vec<String> {
    broken_by(before, now, markers)
        .into_iter()
        .map(|broken| {
            let (package, requires, found) = (broken.package, broken.requires, broken.found);
            format!("{package} of the base asks for {requires}, and this environment has {found}")
        })
        .collect()
}

fn details(mut record: BuildRecord, steps: Steps) -> serde_json::Value {
    let seconds = steps.0.into_iter().map(|(name, time)| (name.to_owned(), time.as_secs_f64()));
    record.seconds = seconds.collect();
    serde_json::to_value(record).unwrap_or_default()
}

/// Returns what the base holds, in the order of its `sys.path`.
pub(crate) fn base_packages(interpreter: &Interpreter) -> Installed {
    Installed::read(interpreter.site_dirs().iter().map(PathBuf::as_path))
}
