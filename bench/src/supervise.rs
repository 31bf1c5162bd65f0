//! The run as a process of its own, and a supervisor that cleans up after it, however it ends.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use curator::venv_cache::BoxError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::processes;

/// Tells the run, and all processes that it starts, the run's folder; they are found again by it.
const VARIABLE: &str = "CURATOR_BENCH_RUN";
/// Ray's sockets lie in this folder, and a socket's path has a maximum length.
const SHORT: &str = "/tmp";
/// The number that a shell adds to a signal's number in an exit code.
const SIGNAL: i32 = 128;

/// The folders of a run. They are removed with it.
#[derive(Debug)]
pub(crate) struct Folders {
    /// For files that need short paths.
    pub(crate) short: PathBuf,
    /// Beside the programs, since a folder for temporary files may be in memory.
    pub(crate) large: PathBuf,
}

impl Folders {
    fn of(short: PathBuf) -> Result<Self, BoxError> {
        let name = short.file_name().ok_or("a run's folder has a name")?;
        let large = target()?.join(name);
        Ok(Self { short, large })
    }

    /// Returns the folders of this run, or none in the supervisor, which has yet to start a run.
    pub(crate) fn given() -> Result<Option<Self>, BoxError> {
        env::var_os(VARIABLE).map(|short| Self::of(short.into())).transpose()
    }
}

/// Returns the folder that Cargo builds into.
pub(crate) fn target() -> Result<PathBuf, BoxError> {
    let own = env::current_exe()?;
    Ok(own.ancestors().nth(2).map(Path::to_owned).ok_or("this program lies in no target folder")?)
}

fn is_pythons(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"PYTHON")
}

/// Runs this program again with folders of its own. When the run ends, or at the first signal, ends
/// all processes that it has started, and removes the folders.
pub(crate) fn run() -> Result<ExitCode, BoxError> {
    let short = tempfile::Builder::new().prefix("bench-").rand_bytes(4).tempdir_in(SHORT)?;
    let folders = Folders::of(short.path().to_owned())?;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let mut command = duct::cmd(env::current_exe()?, env::args_os().skip(1));
    // Python's own settings, such as to write no bytecode, would slow some programs more than
    // others.
    for (name, _) in env::vars_os().filter(|(name, _)| is_pythons(name)) {
        command = command.env_remove(name);
    }
    // Killed processes leave their temporary files.
    let command = command.env(VARIABLE, &folders.short).env("TMPDIR", &folders.short);
    let child = Arc::new(command.unchecked().start()?);
    let caught = Arc::new(AtomicI32::new(0));
    thread::spawn({
        let (child, caught) = (Arc::clone(&child), Arc::clone(&caught));
        move || {
            for signal in &mut signals {
                caught.store(signal, Ordering::Relaxed);
                // If the child cannot be killed, it has ended.
                drop(child.kill());
            }
        }
    });
    let code = child.wait()?.status.code();
    processes::end_started_with(&format!("{VARIABLE}={}", folders.short.display()));
    if folders.large.exists() {
        files::delete(&folders.large).map_err(|left| format!("{left}: {}", left.source))?;
    }
    short.close()?;
    let code = match caught.load(Ordering::Relaxed) {
        0 => code.unwrap_or(1),
        signal => SIGNAL + signal,
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
