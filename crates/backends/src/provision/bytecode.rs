//! The bytecode of a base that came without it: compiled beside the first run that needs
//! environments over the base, kept in the cache, and offered to every worker.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use installer::{Apart, Deadline, Importer, Limit, compile_apart};
use serde::Serialize;
use serde_json::Value;
use stage::PythonSource;
use venv_cache::{Base, Bytecode, Cache, Interpreter};

use crate::run::Plan;

/// How long a run goes on before anything is compiled beside it. A base that is worth compiling
/// takes longer to import alone; a shorter run is left alone.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a run goes on before anything is compiled beside a build, which it slows down: most end
/// sooner.
const PATIENCE_WITH_BUILDS: Duration = Duration::from_millis(500);

/// Poll interval for the end of the run.
const LOOK: Duration = Duration::from_millis(20);

/// The kept bytecode of one base, if any.
#[derive(Debug, Default)]
pub(crate) struct BaseBytecode {
    kept: OnceLock<Arc<Bytecode>>,
    /// Whether a thread compiles it, or waits to.
    has_begun: AtomicBool,
}

/// The folders of an environment with modules of the base, and their kept bytecode.
#[derive(Debug)]
pub(crate) struct BytecodeOffer {
    base: Arc<BaseBytecode>,
    /// Each with the number of the base's folder that its modules come from.
    folders: Vec<(PathBuf, usize)>,
}

/// An offer in the form for a worker.
#[derive(Serialize)]
struct Told<'a> {
    /// Each with the folder of its modules' kept bytecode.
    folders: Vec<(&'a Path, PathBuf)>,
    library: PathBuf,
}

/// Ends background compilation soon after this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Compiling(Arc<RunState>);

/// What background compilation looks at.
#[derive(Debug, Default)]
struct RunState {
    /// Whether the run is over.
    is_over: Arc<AtomicBool>,
    /// The number of builds under way.
    builds: AtomicUsize,
}

/// A build under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Building<'a>(&'a RunState);

impl BaseBytecode {
    /// Returns the bytecode that exists now.
    pub(crate) fn of(cache: &Cache, base: &Base) -> Self {
        let found = Self::default();
        match cache.bytecode(base) {
            Ok(Some(kept)) => drop(found.kept.set(Arc::new(kept))),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the base's bytecode is not used"),
        }
        found
    }

    /// Compiles missing bytecode in the background, if the run goes on for long enough. Nothing
    /// depends on it, so a failure only costs time.
    pub(crate) fn begin(
        self: &Arc<Self>,
        cache: &Cache,
        base: &Base,
        first: &[Importer],
        compiling: &Compiling,
    ) {
        let is_complete = self.kept.get().is_some_and(|kept| kept.is_complete());
        if is_complete || self.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (bytecode, cache, base) = (self.clone(), cache.clone(), base.clone());
        let (first, run) = (first.to_vec(), compiling.0.clone());
        let compile = move || {
            if !run.goes_on() {
                return;
            }
            let over = run.is_over.clone();
            if let Err(error) = bytecode.compile(&cache, &base, first, over) {
                tracing::debug!(error, "the base's bytecode is not all there");
            }
        };
        if let Err(error) = Builder::new().name("curator-bytecode".to_owned()).spawn(compile) {
            tracing::debug!(%error, "the base's bytecode is not compiled");
        }
    }

    fn compile(
        &self,
        cache: &Cache,
        base: &Base,
        first: Vec<Importer>,
        over: Arc<AtomicBool>,
    ) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        if self.kept.get().is_none() {
            match cache.make_bytecode(base).map_err(|error| text(&error))? {
                Some(kept) => drop(self.kept.set(Arc::new(kept))),
                None => return Ok(()),
            }
        }
        let Some(kept) = self.kept.get().filter(|kept| !kept.is_complete()) else { return Ok(()) };
        let Some(writer) = kept.writer().map_err(|error| text(&error))? else { return Ok(()) };
        let lock = writer.lock().try_clone().map_err(|error| text(&error))?;
        let sites = base.interpreter().site_dirs().iter().enumerate();
        let apart = Apart {
            folders: sites.map(|(number, site)| (site.clone(), kept.folder(number))).collect(),
            library: kept.library(),
            first,
            drafts: kept.dir().to_owned(),
            umask: kept.umask(),
        };
        let limit = Limit::from(Deadline::NEVER).with_stop(over);
        let (files, bytes) = compile_apart(base.python(), &apart, &Arc::new(lock), limit)
            .map_err(|error| text(&error))?;
        kept.complete(&writer, files, bytes).map_err(|error| text(&error))
    }
}

impl RunState {
    /// Waits, and returns whether the run still goes on.
    fn goes_on(&self) -> bool {
        let begun = Instant::now();
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            let has_builds = self.builds.load(Ordering::Relaxed) > 0;
            if begun.elapsed() >= if has_builds { PATIENCE_WITH_BUILDS } else { PATIENCE } {
                return true;
            }
            thread::sleep(LOOK);
        }
    }
}

impl BytecodeOffer {
    /// Returns the offer to the base itself.
    pub(crate) fn to_base(base: &Arc<BaseBytecode>, interpreter: &Interpreter) -> Self {
        let folders = interpreter.site_dirs().iter().cloned().zip(0..).collect();
        Self { base: base.clone(), folders }
    }

    /// Returns the offer to an environment over the base. The packages of base folders outside of
    /// the base's own folder are in the environment's one folder for packages.
    pub(crate) fn to_environment(
        base: &Arc<BaseBytecode>,
        interpreter: &Interpreter,
        dir: &Path,
    ) -> Self {
        let site = interpreter.purelib_in(dir);
        let place = |folder: &PathBuf| match folder.strip_prefix(interpreter.prefix()) {
            Ok(below) if interpreter.is_virtualenv() => dir.join(below),
            _ => site.clone(),
        };
        let folders = interpreter.site_dirs().iter().map(place).zip(0..).collect();
        Self { base: base.clone(), folders }
    }

    /// Returns the form for a worker; none if nothing is kept.
    pub(crate) fn told(&self) -> Option<Value> {
        let kept = self.base.kept.get().filter(|kept| !kept.is_empty())?;
        let folders = self.folders.iter();
        let folders =
            folders.map(|(folder, number)| (folder.as_path(), kept.folder(*number))).collect();
        serde_json::to_value(Told { folders, library: kept.library() }).ok()
    }
}

impl Compiling {
    /// Ends it now.
    pub(crate) fn end(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }

    /// Notes a build.
    pub(crate) fn building(&self) -> Building<'_> {
        self.0.builds.fetch_add(1, Ordering::Relaxed);
        Building(&self.0)
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.0.builds.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the imports of a plan's stages, in their order.
pub(crate) fn importers(plan: &Plan) -> Vec<Importer> {
    let codes = plan.stages().iter().filter_map(|stage| stage.behaviour.as_python());
    let importer = |source: &PythonSource| match source {
        PythonSource::File(file) => Importer::File(file.clone()),
        PythonSource::Inline(text) => Importer::Text(text.clone()),
        PythonSource::Module(module) => Importer::Text(format!("import {module}")),
    };
    codes.map(|code| importer(code.source())).collect()
}
