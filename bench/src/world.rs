//! The folders of the measurements, and the programs under measurement.

use std::fs;
use std::path::{Path, PathBuf};

use curator::LocalExecutor;
use curator::backends::Provisioner;
use curator::backends::provision::ProvisionerBuilder;
use curator::stage::BaseSpec;
use curator::venv_cache::{self, BoxError, Interpreter};

use crate::calm::Calm;
use crate::progress::progress;
use crate::supervise::{Folders, target};

/// The profile that this is built by, and its folder. The programs under measurement have it, too.
const PROFILE: (&str, &str) =
    if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };

/// A folder with caches, and the programs under measurement.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
    short: PathBuf,
    curator: PathBuf,
    example: PathBuf,
    calm: Calm,
}

impl World {
    /// Builds the programs, and makes the folder.
    pub(crate) fn new(keep: Option<&Path>) -> Result<Self, BoxError> {
        let target = target()?;
        build_programs(&target)?;
        let Folders { short, large } = Folders::given()?.ok_or("a run has folders")?;
        let root = match keep {
            Some(dir) => std::path::absolute(dir)?,
            None => large,
        };
        fs::create_dir_all(root.join("runs"))?;
        let programs = target.join(PROFILE.1);
        Ok(Self {
            root,
            short,
            curator: programs.join("curator"),
            example: programs.join("examples/multi_version"),
            calm: Calm::default(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a folder for files that need short paths.
    pub(crate) fn short(&self) -> &Path {
        &self.short
    }

    /// Returns the cache that holds the bases and the package managers.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Returns the folder of the package managers, which every cache here shares.
    pub(crate) fn tools_dir(&self) -> PathBuf {
        self.cache_dir().join("tools")
    }

    /// Returns a cache without environments, but with the package managers at hand.
    ///
    /// The cache stays until the end: on some file systems, writing takes several times as long for
    /// minutes after a large deletion.
    pub(crate) fn fresh_cache(&self) -> Result<PathBuf, BoxError> {
        let dir = tempfile::tempdir_in(self.root.join("runs"))?.keep();
        std::os::unix::fs::symlink(self.tools_dir(), dir.join("tools"))?;
        Ok(dir)
    }

    /// Returns the interpreter that bases are made from.
    pub(crate) fn python(&self) -> Result<Interpreter, BoxError> {
        let records = self.cache_dir().join("interpreters");
        let base = venv_cache::Base::discover(Some(&records))?;
        Ok(Interpreter::describe(base.interpreter().base_executable(), Some(&records))?)
    }

    /// Returns the program uv, found on `PATH` or among the tools of the cache.
    pub(crate) fn uv(&self) -> Result<PathBuf, BoxError> {
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
        if let Ok(tools) = fs::read_dir(self.tools_dir()) {
            places.extend(tools.flatten().map(|entry| entry.path().join("bin")));
        }
        let found = places.into_iter().map(|dir| dir.join("uv")).find(|file| file.is_file());
        Ok(found.ok_or("uv is neither on PATH nor among the tools of the cache")?)
    }

    /// Returns a local executor over a base and a cache that evicts nothing on its own.
    pub(crate) fn executor(base: &BaseSpec, cache: &Path) -> LocalExecutor {
        LocalExecutor::default().with_base(base.clone()).with_cache_dir(cache).with_budget(None)
    }

    /// Returns a provisioner over a base and a cache that evicts nothing on its own.
    pub(crate) fn provisioner(base: &BaseSpec, cache: &Path) -> Result<Provisioner, BoxError> {
        Ok(Self::builder(base, cache).open()?)
    }

    /// Returns the builder of the provisioner.
    pub(crate) fn builder(base: &BaseSpec, cache: &Path) -> ProvisionerBuilder {
        Provisioner::builder().base(base.clone()).cache_dir(cache).budget(None)
    }

    /// Returns the path of the command `curator`.
    pub(crate) fn program(&self) -> &Path {
        &self.curator
    }

    /// Returns the command `curator` over a cache.
    pub(crate) fn curator(&self, arguments: &[&str], cache: &Path) -> duct::Expression {
        command(&self.curator, arguments, cache)
    }

    /// Returns the example with three stages, over a cache.
    pub(crate) fn example(&self, arguments: &[&str], cache: &Path) -> duct::Expression {
        command(&self.example, arguments, cache)
    }

    /// Flushes all writes to the disk and waits for a calm moment, before a measurement.
    pub(crate) fn settle(&self) -> Result<(), BoxError> {
        self.sync()?;
        self.calm.wait()
    }

    /// Flushes all writes to the disk; until then, a file system may not know a file's size.
    pub(crate) fn sync(&self) -> Result<(), BoxError> {
        duct::cmd!("sync", "-f", &self.root).run()?;
        Ok(())
    }

    /// Returns how many measurements began on a busy machine since the last call, and their total.
    pub(crate) fn take_busy(&self) -> (usize, usize) {
        self.calm.take_busy()
    }
}

fn command(program: &Path, arguments: &[&str], cache: &Path) -> duct::Expression {
    // The last setting wins, so the removals come last.
    duct::cmd(program, arguments)
        .stdin_null()
        .env("CURATOR_CACHE_DIR", cache)
        .env_remove("VIRTUAL_ENV")
        .env_remove("PYTHONPATH")
}

fn build_programs(target: &Path) -> Result<(), BoxError> {
    progress("building the command and the example");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    duct::cmd!(
        cargo,
        "build",
        "--quiet",
        "--profile",
        PROFILE.0,
        "--package",
        "curator",
        "--features",
        "cli,arrow",
        "--bin",
        "curator",
        "--example",
        "multi_version",
        "--target-dir",
        target
    )
    .dir(env!("CARGO_MANIFEST_DIR"))
    .run()
    .map_err(|error| format!("the programs to be measured cannot be built: {error}"))?;
    Ok(())
}
