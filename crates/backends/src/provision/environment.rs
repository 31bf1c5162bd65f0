//! A prepared environment: starting an interpreter in it, and checking that the interpreter is in
//! it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use envspec::{Install, LoadedEnv, Requirement};
use serde_json::{Value, json};
use stage::{EnvView, PythonCode, PythonSource};
use venv_cache::{CachedEnv, Fingerprint, Interpreter, Key, State};

use super::build::BuildRecord;
use super::bytecode::BytecodeOffer;
use super::inspect::EnvDetails;
use super::vars;
use crate::run::{EnvReport, EnvState, Error};
use crate::worker::warm::Wanted;
use crate::worker::wire::{Importer, Proof};
use crate::worker::{Launch, Shims};

/// The parts of an environment that all its stages share.
#[derive(Debug)]
pub(crate) struct Core {
    /// The interpreter, with arguments if the spec gives a command line.
    pub(crate) python: Vec<OsString>,
    pub(crate) prefix: Option<PathBuf>,
    pub(crate) scripts: Option<PathBuf>,
    pub(crate) is_virtualenv: bool,
    /// Whether the interpreter is known to have `-P` (3.11).
    pub(crate) has_safe_path: bool,
    pub(crate) state: EnvState,
    /// Time spent looking up, waiting and building.
    pub(crate) duration: Duration,
    /// The environment in the cache: this one, or the managed base.
    pub(crate) cached: Option<CachedEnv>,
    pub(crate) record: Option<BuildRecord>,
    /// The packages that a prebuilt interpreter must have, if a spec names some.
    pub(crate) wanted: Vec<Requirement>,
    /// Bytecode of the base that is kept outside of it.
    pub(crate) bytecode: Option<BytecodeOffer>,
    /// What tells a base from what it was before a change; none where a key does.
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Core {
    /// Returns the base environment itself.
    pub(crate) fn base(
        interpreter: &Interpreter,
        cached: Option<CachedEnv>,
        duration: Duration,
    ) -> Self {
        Self {
            python: vec![interpreter.executable().into()],
            prefix: Some(interpreter.prefix().to_owned()),
            scripts: Some(interpreter.scripts().to_owned()),
            is_virtualenv: interpreter.is_virtualenv(),
            has_safe_path: has_safe_path(interpreter.version()),
            state: EnvState::Base,
            duration,
            cached,
            record: None,
            wanted: Vec::new(),
            bytecode: None,
            fingerprint: None,
        }
    }

    /// Returns an environment of the cache. Its base is not checked here;
    /// [`Provisioner::find`](super::provisioner::Provisioner::find) does so for an environment made
    /// of links that is found by its key alone.
    pub(crate) fn cached(env: CachedEnv, duration: Duration) -> Self {
        let state = match env.state() {
            State::Hit => EnvState::Hit,
            State::Built => EnvState::Built,
        };
        let record = BuildRecord::of(env.manifest());
        Self {
            python: vec![env.python().into()],
            prefix: Some(env.dir().to_owned()),
            scripts: env.python().parent().map(Path::to_owned),
            is_virtualenv: true,
            has_safe_path: record.as_ref().is_some_and(|record| has_safe_path(&record.python)),
            state,
            duration,
            record,
            wanted: Vec::new(),
            bytecode: None,
            fingerprint: None,
            cached: Some(env),
        }
    }

    /// Adds bytecode that is kept outside of the base.
    pub(crate) fn with_bytecode(self, offer: BytecodeOffer) -> Self {
        Self { bytecode: Some(offer), ..self }
    }

    /// Adds what tells the base from what it was before a change.
    pub(crate) fn with_fingerprint(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint: Some(fingerprint), ..self }
    }

    /// Returns a prebuilt interpreter, described, and the packages that it must have.
    pub(crate) fn prebuilt(interpreter: &Interpreter, install: Option<&Install>) -> Self {
        let base = Self::base(interpreter, None, Duration::ZERO);
        let wanted = install.map_or(&[][..], |install| &install.requirements);
        // Only that interpreter could decide whether a marker holds, and an override replaces a
        // requirement.
        let overrides = install.map_or(&[][..], |install| &install.overrides);
        let is_overridden = |name: &str| overrides.iter().any(|it| it.name() == Some(name));
        let is_wanted = |it: &&Requirement| {
            it.marker().is_none() && it.name().is_some_and(|name| !is_overridden(name))
        };
        let wanted = wanted.iter().filter(is_wanted).cloned();
        Self { state: EnvState::Prebuilt, wanted: wanted.collect(), ..base }
    }

    /// Returns a command line that starts an interpreter.
    pub(crate) fn command(command: Vec<String>) -> Self {
        Self {
            python: command.into_iter().map(Into::into).collect(),
            prefix: None,
            scripts: None,
            is_virtualenv: false,
            has_safe_path: false,
            state: EnvState::Prebuilt,
            duration: Duration::ZERO,
            cached: None,
            record: None,
            wanted: Vec::new(),
            bytecode: None,
            fingerprint: None,
        }
    }

    /// Returns the key of the environment; none for the base and for prebuilt ones.
    fn key(&self) -> Option<&Key> {
        match self.state {
            EnvState::Hit | EnvState::Built => self.cached.as_ref().map(CachedEnv::key),
            EnvState::Base | EnvState::Prebuilt => None,
        }
    }

    pub(crate) fn report(&self, stages: Vec<String>) -> EnvReport {
        let manifest =
            self.cached.as_ref().filter(|_| self.key().is_some()).map(CachedEnv::manifest);
        let record = self.record.as_ref();
        EnvReport {
            stages,
            key: self.key().map(ToString::to_string),
            state: self.state,
            duration: self.duration,
            own_bytes: manifest.map_or(0, |manifest| manifest.own_bytes),
            strategy: manifest.map(|manifest| manifest.strategy.clone()),
            python: self.python.first().map(PathBuf::from).unwrap_or_default(),
            added: record.map_or_else(Vec::new, |record| {
                record.added.iter().map(|it| format!("{}=={}", it.name, it.version)).collect()
            }),
            replaced: record.map_or_else(Vec::new, |record| {
                record.replaced.iter().map(|it| format!("{}=={}", it.name, it.version)).collect()
            }),
            warnings: record.map_or_else(Vec::new, |record| record.warnings.clone()),
        }
    }
}

/// Returns whether a Python of this version has `-P`.
fn has_safe_path(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (3, 11)
}

/// An environment that is ready, with the variables and folders of one stage.
///
/// As long as this value or a worker in the environment lives, it is not evicted.
#[derive(Clone, Debug)]
pub struct Environment {
    core: Arc<Core>,
    vars: Arc<BTreeMap<OsString, OsString>>,
    own_vars: Arc<BTreeMap<String, String>>,
    dir: PathBuf,
    working_dir: Option<PathBuf>,
    shims: Arc<Shims>,
}

/// Fails if what an environment names on this machine besides its packages is not there.
pub(crate) fn check_folders(env: &LoadedEnv) -> Result<(), Error> {
    let no_folder =
        |field, path: &Path, found| Err(Error::NoFolder { field, path: path.to_owned(), found });
    if let Some(module) = env.py_modules.iter().find(|module| !module.exists()) {
        return no_folder("py_modules", module, "not there");
    }
    if let Some(dir) = env.working_dir.as_deref().filter(|dir| !dir.is_dir()) {
        let found = if dir.exists() { "no folder" } else { "not there" };
        return no_folder("working_dir", dir, found);
    }
    Ok(())
}

impl Environment {
    pub(crate) fn new(core: Arc<Core>, env: &LoadedEnv, shims: &Arc<Shims>) -> Result<Self, Error> {
        let io = |action, path: &Path| {
            let path = path.display().to_string();
            move |source| Error::io(action, path, source)
        };
        check_folders(env)?;
        let mut modules = Vec::new();
        for module in &env.py_modules {
            modules
                .push(vars::module_entry(shims, module).map_err(io("offer the module", module))?);
        }
        let prefix = core.prefix.as_deref().filter(|_| core.is_virtualenv);
        let scripts = core.scripts.as_deref();
        let vars = vars::for_process(std::env::vars_os(), prefix, scripts, env, &modules);
        let own = env.env_vars.keys().map(String::as_str).chain([
            "PATH",
            "PYTHONNOUSERSITE",
            "PYTHONPATH",
        ]);
        let own_vars = own
            .filter_map(|name| {
                Some((name.to_owned(), vars.get(&OsString::from(name))?.to_str()?.to_owned()))
            })
            .collect();
        let dir = match &env.working_dir {
            Some(dir) => dir.clone(),
            None => std::env::current_dir().map_err(io("find", Path::new("the current folder")))?,
        };
        Ok(Self {
            core,
            vars: Arc::new(vars),
            own_vars: Arc::new(own_vars),
            dir,
            working_dir: env.working_dir.clone(),
            shims: shims.clone(),
        })
    }

    /// Returns its origin.
    #[must_use]
    pub fn state(&self) -> EnvState {
        self.core.state
    }

    /// Returns its key; none for the base and for prebuilt environments.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.core.key()
    }

    /// Returns the interpreter; if the spec gives a command line, its program.
    #[must_use]
    pub fn python(&self) -> &Path {
        self.core.python.first().map_or(Path::new(""), Path::new)
    }

    /// Returns all variables of a process in it. Values may be secret.
    #[must_use]
    pub fn vars(&self) -> &BTreeMap<OsString, OsString> {
        &self.vars
    }

    /// Returns how it was made, and its contents; none for the base and for prebuilt environments.
    #[must_use]
    pub fn details(&self) -> Option<EnvDetails> {
        self.key()?;
        self.core.cached.as_ref().and_then(EnvDetails::of)
    }

    /// Returns the environment in the cache: this one, or the managed base that it uses. None if
    /// nothing of the cache is in use. Its lease keeps it from being evicted.
    #[must_use]
    pub fn cached(&self) -> Option<&CachedEnv> {
        self.core.cached.as_ref()
    }

    /// Returns a summary for a run report.
    #[must_use]
    pub fn report(&self) -> EnvReport {
        self.core.report(Vec::new())
    }

    /// Returns the view of it for a Rust stage.
    pub(crate) fn view(&self) -> EnvView {
        EnvView::new(self.python(), self.own_vars.as_ref().clone())
    }

    /// Returns where a worker in it finds bytecode of the base.
    pub(crate) fn bytecode(&self) -> Option<Value> {
        self.core.bytecode.as_ref().and_then(BytecodeOffer::told)
    }

    pub(crate) fn key_text(&self) -> Option<String> {
        self.key().map(ToString::to_string)
    }

    /// Returns a digest of the variables and the folder that are its own.
    pub(crate) fn own_digest(&self) -> String {
        let own = self.own_vars.iter().filter(|(name, _)| *name != "PATH");
        let text = format!("{:?}{:?}", own.collect::<Vec<_>>(), self.working_dir);
        envspec::Digest::of(text.as_bytes()).to_string()
    }

    /// Whether its workers see the devices that the run gives them. A spec that sets the variable decides
    /// itself, as on NeMo Curator.
    pub(crate) fn has_devices_of_run(&self) -> bool {
        !self.own_vars.contains_key("CUDA_VISIBLE_DEVICES")
    }

    /// Returns the start of a worker in it.
    pub(crate) fn launch(&self, visible_devices: Option<String>) -> io::Result<Launch> {
        let mut vars = self.vars.as_ref().clone();
        if let Some(devices) = visible_devices.filter(|_| self.has_devices_of_run()) {
            vars.insert("CUDA_VISIBLE_DEVICES".into(), devices.into());
        }
        Ok(Launch {
            python: self.core.python.clone(),
            has_safe_path: self.core.has_safe_path,
            shim: self.shims.shim()?,
            dir: self.dir.clone(),
            vars,
        })
    }

    /// Returns the template that workers in it are forked from, as one that stayed is found.
    pub(crate) fn wanted(&self, launch: &Launch, importer: Importer) -> Wanted {
        // The key names a question: what is there may have been built anew.
        let cached = self.cached().map(|cached| (cached.key(), &cached.manifest().build));
        let identity = format!("{cached:?} {:?} {:?}", self.core.prefix, self.core.fingerprint);
        let all = self.cached().into_iter().flat_map(|it| [it].into_iter().chain(it.needs()));
        let keys: Vec<String> = all.map(|it| it.key().to_string()).collect();
        let packages = self.package_names();
        Wanted::new(launch, &identity, packages, importer, keys)
    }

    /// Returns where a worker finds a stage's code.
    pub(crate) fn locate(&self, code: &PythonCode) -> io::Result<Value> {
        Ok(match code.source() {
            PythonSource::File(file) => json!({ "file": file, "name": code.name() }),
            PythonSource::Module(module) => json!({ "module": module, "name": code.name() }),
            PythonSource::Inline(text) => {
                json!({ "file": self.shims.source(text)?, "name": code.name() })
            }
        })
    }

    /// Returns the interpreter, with arguments if the spec gives a command line.
    pub(crate) fn interpreter_words(&self) -> &[OsString] {
        &self.core.python
    }

    /// Returns whether the spec gives a command line, of which nothing is known but that it ends in
    /// an interpreter.
    pub(crate) fn is_command(&self) -> bool {
        self.core.prefix.is_none()
    }

    /// Returns the folder that the spec names for its processes.
    pub(crate) fn working_dir(&self) -> Option<&Path> {
        self.working_dir.as_deref()
    }

    /// Returns the distributions whose versions a worker must report.
    pub(crate) fn package_names(&self) -> Vec<String> {
        let expected = self.expected().into_iter().flatten().map(|(name, _)| name.as_str());
        let wanted = self.core.wanted.iter().filter_map(Requirement::name);
        expected.chain(wanted).map(str::to_owned).collect()
    }

    pub(crate) fn record(&self) -> Option<&BuildRecord> {
        self.core.record.as_ref()
    }

    fn expected(&self) -> Option<&BTreeMap<String, String>> {
        self.core.record.as_ref().map(|record| &record.expected)
    }

    /// Checks that a worker is in the right environment; the error is the difference.
    pub(crate) fn verify(&self, proof: &Proof) -> Result<(), String> {
        if proof.version < [3, 9, 0] {
            let [major, minor, _] = proof.version;
            return Err(format!("its interpreter is Python {major}.{minor}, and 3.9 is the least"));
        }
        if let Some(prefix) = &self.core.prefix {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            if real(prefix) != real(Path::new(&proof.prefix)) {
                return Err(format!(
                    "it runs `{}` of `{}` instead of `{}`",
                    proof.python,
                    proof.prefix,
                    prefix.display()
                ));
            }
        }
        let key = self.core.cached.as_ref().map(|cached| cached.key().to_string());
        if self.core.prefix.is_some() && key.is_some() && key != proof.environment {
            let found = proof.environment.as_deref().unwrap_or("none");
            return Err(format!(
                "its environment's key is {found} instead of {}",
                key.as_deref().unwrap_or("none")
            ));
        }
        let seen = |name: &str| match proof.packages.get(name).map_or(&[][..], Vec::as_slice) {
            [only] => Ok(only.as_str()),
            [] => Err(format!("it does not see `{name}`")),
            found => Err(format!("it sees `{name}` {}", found.join(" and "))),
        };
        for (name, version) in self.expected().into_iter().flatten() {
            match seen(name) {
                Ok(only) if only == version => {}
                Ok(other) => return Err(format!("it sees `{name}` {other} instead of {version}")),
                Err(problem) => return Err(format!("{problem}, which should be {version}")),
            }
        }
        for requirement in &self.core.wanted {
            let Some(name) = requirement.name() else { continue };
            let version =
                seen(name).map_err(|it| format!("{it}, and `{requirement}` is asked for"))?;
            if !requirement.accepts(version) {
                return Err(format!(
                    "it sees `{name}` {version}, and `{requirement}` is asked for"
                ));
            }
        }
        Ok(())
    }
}
