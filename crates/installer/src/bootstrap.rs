//! Fetching a package manager once, for all processes that share a folder.
//!
//! A tool is made in a temporary folder, under one lock, and renamed when it is complete. If the
//! process dies before that, the next holder of the lock removes the folder.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use envspec::{Install, Tool};
use files::{Access, Folder, Kind};
use pep440_rs::Version;

use crate::bytecode::compile_recorded;
use crate::command_line::Program;
use crate::error::{Error, IoResultExt};
use crate::failure::failure;
use crate::interpreter::{Bytecode, Description, run_script};
use crate::outcome::Package;
use crate::process::{self, Streams};
use crate::redact::Secrets;
use crate::scratch::Scratch;
use crate::search::{Search, pip_version, uv_in};
use crate::settings::Settings;
use crate::tools_dir::{self, STAGING_PREFIX, access_of};
use crate::transcript::tool_name;
use crate::variables::with_settings;
use crate::wanted::Wanted;

/// Pause between two tries for a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Fetching of a missing tool.
pub(crate) struct Bootstrap<'a> {
    search: &'a Search<'a>,
    wanted: &'a Wanted,
}

/// A package manager that can fetch another.
#[derive(Debug)]
enum Seed {
    Uv(PathBuf),
    /// An interpreter's own pip.
    Installed {
        python: PathBuf,
    },
    /// A wheel of pip, run without being installed.
    Wheel {
        python: PathBuf,
        wheel: PathBuf,
    },
}

impl<'a> Bootstrap<'a> {
    pub(crate) fn new(search: &'a Search<'a>, wanted: &'a Wanted) -> Self {
        Self { search, wanted }
    }

    /// Fetches uv, unless another process did while this one waited for the lock.
    pub(crate) fn uv(&self) -> Result<(Program, Version), Error> {
        let _lock = self.lock()?;
        if let Some(found) = self.search.kept_uv(self.wanted) {
            return Ok(found);
        }
        let staging = self.staging()?;
        let base = self.search.describe(&self.search.base_python);
        self.fetch(staging.path(), base.as_ref().ok())?;
        let Some(version) = self.search.uv_version(&uv_in(staging.path()))? else {
            return Err(self.missing(None));
        };
        let dir = self.publish(staging, &format!("uv-{version}"))?;
        Ok((Program::Uv(uv_in(&dir)), version))
    }

    /// Unpacks the pip that this Python ships, or fetches one, unless another process did.
    pub(crate) fn pip(&self, base: &Description) -> Result<(Program, Version), Error> {
        let _lock = self.lock()?;
        if let Some(found) = self.search.kept_pip(self.wanted, base) {
            return Ok(found);
        }
        let staging = self.staging()?;
        let shipped = base.bundled.iter().filter_map(|wheel| Some((wheel_version(wheel)?, wheel)));
        match shipped.filter(|(version, _)| self.wanted.accepts(version)).max() {
            Some((_, wheel)) => self.unpack(wheel, staging.path())?,
            None => self.fetch(staging.path(), Some(base))?,
        }
        self.compile(staging.path())?;
        let Some(version) = pip_version(&staging.path().join("pip")) else {
            return Err(self.missing(None));
        };
        self.publish(staging, &format!("pip-{version}-py{}", base.minor))?;
        // The tool now has its final name.
        self.search.kept_pip(self.wanted, base).ok_or_else(|| self.missing(None))
    }

    fn missing(&self, source: Option<Error>) -> Error {
        Error::ToolMissing {
            tool: self.wanted.tool,
            requirement: self.wanted.specifier(),
            source: source.map(Box::new),
        }
    }

    /// Waits for the lock that all processes sharing the folder take before they make a tool.
    fn lock(&self) -> Result<File, Error> {
        let access = tools_dir::claim(self.search.dir)?;
        let path = tools_dir::lock_file(self.search.dir);
        // A lock file of another user can be locked, too.
        let file = access.open_lock(&path).context("open", &path)?;
        let mut is_first = true;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error).context("lock", &path),
                Err(TryLockError::WouldBlock) if self.search.limit.is_over() => {
                    return Err(Error::Late { action: "another process had fetched the tool" });
                }
                Err(TryLockError::WouldBlock) => {
                    if std::mem::take(&mut is_first) {
                        tracing::info!(lock = %path.display(), "waiting for another process");
                    }
                    thread::sleep(self.search.limit.within(LOCK_PAUSE));
                }
            }
        }
    }

    /// Creates a folder for making a tool, after removing those of dead processes. Needs the lock.
    fn staging(&self) -> Result<files::Scratch, Error> {
        let dir = self.search.dir;
        let folder = Folder::open(dir).context("open", dir)?;
        for name in folder.names().context("list", dir)? {
            let is_staging = name.to_string_lossy().starts_with(STAGING_PREFIX);
            if is_staging && matches!(folder.kind(&name), Ok(Some(Kind::Folder))) {
                // A leftover is harmless; the next holder of the lock tries again.
                let _ = folder.delete(&name);
            }
        }
        files::Scratch::new_in(dir, STAGING_PREFIX).context("make a folder in", dir)
    }

    /// Gives the finished tool its final name, by which others find it. Needs the lock.
    fn publish(&self, staging: files::Scratch, name: &str) -> Result<PathBuf, Error> {
        let path = self.search.dir.join(name);
        // A temporary folder is private; a tool is for all users of the cache.
        let permissions = fs::metadata(self.search.dir).map(|metadata| metadata.permissions());
        permissions
            .and_then(|permissions| fs::set_permissions(staging.path(), permissions))
            .context("open to others", staging.path())?;
        let access = access_of(self.search.dir)?;
        sync_tree(staging.path(), access).context("write out", staging.path())?;
        if fs::symlink_metadata(&path).is_ok() {
            // A tool with this name that was not found usable is broken.
            tracing::warn!(path = %path.display(), "replaced");
            files::delete(&path).map_err(Into::into).context("remove", &path)?;
        }
        staging.persist(name).context("publish", &path)?;
        File::open(self.search.dir)
            .and_then(|dir| dir.sync_all())
            .context("write out", self.search.dir)?;
        Ok(path)
    }

    /// Unpacks a wheel; for pip, this is a complete installation.
    fn unpack(&self, wheel: &Path, dir: &Path) -> Result<(), Error> {
        const UNPACK: &str =
            "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        let arguments = [wheel, dir].map(|path| path.to_string_lossy().into_owned());
        let Search { base_python, variables, limit, .. } = self.search;
        run_script(base_python, Bytecode::Unwritten, UNPACK, &arguments, variables, limit).map(drop)
    }

    /// Compiles pip: without bytecode, every call takes a second longer.
    fn compile(&self, dir: &Path) -> Result<(), Error> {
        let Search { base_python, variables, limit, .. } = self.search;
        let packages = [Package::new("pip", "")];
        compile_recorded(base_python, Some(dir), &packages, None, variables, limit).map(drop)
    }

    /// Installs only the tool into a folder, with the best available seed.
    fn fetch(&self, dir: &Path, base: Option<&Description>) -> Result<(), Error> {
        let mut last = None;
        for seed in self.seeds(base)? {
            match self.fetch_with(&seed, dir, base) {
                Ok(()) => return Ok(()),
                // The next seed would fail in the same way.
                Err(
                    error @ (Error::Timeout { .. } | Error::NoSpace { .. } | Error::Late { .. }),
                ) => {
                    return Err(error);
                }
                Err(
                    error @ (Error::Network { .. }
                    | Error::NotFound { .. }
                    | Error::Unsatisfiable { .. }),
                ) => return Err(self.missing(Some(error))),
                Err(error) => {
                    tracing::debug!(?seed, %error, "passed over");
                    last = Some(error);
                }
            }
        }
        Err(self.missing(last))
    }

    fn fetch_with(&self, seed: &Seed, dir: &Path, base: Option<&Description>) -> Result<(), Error> {
        let scratch = Scratch::new()?;
        let argv = fetch_argv(seed, self.wanted, dir, base, &self.search.base_python);
        // Fetch only the tool, and only from the operator's index.
        let mut settings =
            Settings::read(&Install::new(seed.tool(), Vec::new()), None, &self.search.ambient)?;
        settings.variables.remove("PIP_REQUIREMENT");
        let mut environment = with_settings(&self.search.variables, &settings);
        scratch.write_settings(&settings, &mut environment)?;
        let command = scratch.command(argv, environment);
        tracing::info!(
            tool = tool_name(self.wanted.tool),
            versions = self.wanted.specifier(),
            "fetching"
        );
        let finished = process::run(&command, Streams::Together, &self.search.limit)?;
        if finished.is_success() {
            return Ok(());
        }
        Err(failure(seed.tool(), &command, &finished, &Secrets::default(), 1))
    }

    /// Returns the programs that can fetch the tool, best first.
    fn seeds(&self, base: Option<&Description>) -> Result<Vec<Seed>, Error> {
        let mut seeds = Vec::new();
        if self.wanted.tool == Tool::Pip {
            let any = Wanted::any(Tool::Uv);
            let uv = self.search.host_uv(&any)?.or_else(|| self.search.kept_uv(&any));
            seeds.extend(uv.map(|(program, _)| match program {
                Program::Uv(path) | Program::Pip { entry: path, .. } => Seed::Uv(path),
            }));
        }
        if let Some(base) = base {
            seeds.extend(seeds_of(&self.search.base_python, base));
        }
        for name in ["python3", "python"] {
            for python in self.search.on_path(name) {
                match self.search.describe(&python) {
                    Ok(description) => seeds.extend(seeds_of(&python, &description)),
                    // What it cannot be started by is its own; a missing place for temporary files is
                    // not, and every other one would fail of it, too.
                    Err(error @ Error::Io { action, .. })
                        if action != process::START || error.is_at_a_limit() =>
                    {
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::debug!(python = %python.display(), %error, "passed over");
                    }
                }
            }
        }
        Ok(seeds)
    }
}

impl Seed {
    const fn tool(&self) -> Tool {
        match self {
            Self::Uv(_) => Tool::Uv,
            Self::Installed { .. } | Self::Wheel { .. } => Tool::Pip,
        }
    }
}

fn seeds_of(python: &Path, description: &Description) -> impl Iterator<Item = Seed> {
    let installed =
        description.pip.is_some().then(|| Seed::Installed { python: python.to_owned() });
    let wheels = description.bundled.iter().rev();
    let wheels =
        wheels.map(|wheel| Seed::Wheel { python: python.to_owned(), wheel: wheel.clone() });
    installed.into_iter().chain(wheels).collect::<Vec<_>>().into_iter()
}

/// Returns the command line with which a seed installs only a tool into a folder.
fn fetch_argv(
    seed: &Seed,
    wanted: &Wanted,
    dir: &Path,
    base: Option<&Description>,
    base_python: &Path,
) -> Vec<OsString> {
    let mut argv: Vec<OsString> = match seed {
        Seed::Uv(uv) => vec![uv.into(), "pip".into()],
        Seed::Installed { python } => {
            let mut argv = vec![python.into()];
            argv.extend(["-I", "-B", "-u", "-X", "utf8", "-m", "pip"].map(OsString::from));
            argv
        }
        Seed::Wheel { python, wheel } => {
            Program::Pip { entry: wheel.join("pip"), bytecode_dir: None }.start(python)
        }
    };
    argv.extend(["install", "--no-deps", "--only-binary", ":all:"].map(OsString::from));
    if let Seed::Uv(_) = seed {
        argv.extend(["--python".into(), base_python.into()]);
    } else if let Some(base) = base {
        // The seed may belong to another Python than the one that will run the tool.
        argv.extend(["--python-version".into(), base.minor.clone().into()]);
    }
    argv.extend(["--target".into(), dir.into(), wanted.requirement().into()]);
    argv
}

/// The version in the name of a wheel: `pip-24.0-py3-none-any.whl`.
fn wheel_version(wheel: &Path) -> Option<Version> {
    wheel.file_name()?.to_str()?.split('-').nth(1)?.parse().ok()
}

/// Syncs every file, so that the tool is complete after a power cut, and sets the modes that the
/// folder's users need, whatever the umask is.
fn sync_tree(dir: &Path, access: Access) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        access.settle(&path, &metadata)?;
        if metadata.is_dir() {
            sync_tree(&path, access)?;
        } else if metadata.is_file() {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}
