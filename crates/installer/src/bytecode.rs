//! Compiling installed packages, on all cores.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use serde::Serialize;

use crate::ambient::Ambient;
use crate::deadline::Limit;
use crate::error::Error;
use crate::interpreter::{Bytecode, run_script_holding};
use crate::outcome::Package;
use crate::request::absolute;

const COMPILE: &str = include_str!("../python/compile.py");
const COMPILE_APART: &str = include_str!("../python/compile_apart.py");

/// Maximum number of processes: more would only wait for the disk.
const MOST_PROCESSES: usize = 8;

/// Compiles the Python files of installed packages, and returns their number.
///
/// It compiles the files in each package's `RECORD`, as pip does in one process, and skips files
/// that do not compile (templates, syntax of another Python). Missing bytecode slows every process
/// that imports the package, such as the workers of a stage.
///
/// The processes that compile hold `lock`, an open, empty file, for as long as they run, as the
/// package manager does (see [`Request::with_lock`](crate::Request::with_lock)): they write into
/// the same folders, and may outlive this process by a moment.
///
/// # Errors
///
/// If the interpreter does not start, or the deadline passes.
pub fn compile_bytecode(
    python: &Path,
    packages: &[Package],
    lock: Option<&Arc<File>>,
    limit: impl Into<Limit>,
) -> Result<usize, Error> {
    let variables = Ambient::from_env().for_tool();
    compile_recorded(&absolute(python), None, packages, lock, &variables, &limit.into())
}

/// Sources to compile, and the folders for their bytecode.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Apart {
    /// The folders of sources, each with the one for its bytecode: of `a/b.py` it is `a/b.pyc`.
    pub folders: Vec<(PathBuf, PathBuf)>,
    /// The folder for the bytecode of the interpreter's standard library.
    pub library: PathBuf,
    /// Programs whose imports are compiled first, in that order.
    pub first: Vec<Importer>,
    /// A folder on the same file system, for incomplete files.
    pub drafts: PathBuf,
    /// The umask of the written files.
    pub umask: u32,
}

/// A program that imports modules.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Importer {
    /// A file of Python.
    File(PathBuf),
    /// The text of a program, which may be just `import module`.
    Text(String),
}

/// Compiles sources without valid bytecode beside them into other folders. Returns the number of
/// files there now, and their size in bytes.
///
/// It writes nothing beside the sources, and its processes have the lowest priority. Each file
/// appears in one step, and files that fit their sources stay. So the next call continues where the
/// limit ended this one. The files have Python's own format with the hash of the source (PEP 552),
/// and a hash of the whole at their end; a loader of this project reads them.
///
/// # Errors
///
/// Fails if the interpreter does not start or fails, or the limit passes.
pub fn compile_apart(
    python: &Path,
    apart: &Apart,
    lock: &Arc<File>,
    limit: impl Into<Limit>,
) -> Result<(u64, u64), Error> {
    #[derive(Serialize)]
    struct Wanted<'a> {
        #[serde(flatten)]
        apart: &'a Apart,
        processes: usize,
    }
    let wanted = Wanted { apart, processes: processes() };
    // Paths that are no text stay as they are: without bytecode.
    let wanted = serde_json::to_string(&wanted).unwrap_or_default();
    let printed = run_script_holding(
        Some(lock.clone()),
        python,
        Bytecode::UnwrittenAndBare,
        COMPILE_APART,
        &[wanted],
        &Ambient::from_env().for_tool(),
        &limit.into(),
    )?;
    let mut numbers = printed.split_whitespace().map(|number| number.parse().unwrap_or(0));
    Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}

fn processes() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSES)
}

/// Compiles packages of a folder, or of the interpreter's own folders.
pub(crate) fn compile_recorded(
    python: &Path,
    folder: Option<&Path>,
    packages: &[Package],
    lock: Option<&Arc<File>>,
    variables: &BTreeMap<OsString, OsString>,
    limit: &Limit,
) -> Result<usize, Error> {
    if packages.is_empty() {
        return Ok(0);
    }
    let folder = &folder.map_or_else(String::new, |folder| folder.to_string_lossy().into_owned());
    let count = processes();
    let compile = |index: usize| {
        let mut arguments = vec![index.to_string(), count.to_string(), folder.clone()];
        arguments.extend(packages.iter().map(|package| package.name.clone()));
        let printed = run_script_holding(
            lock.cloned(),
            python,
            Bytecode::Written,
            COMPILE,
            &arguments,
            variables,
            limit,
        )?;
        Ok(printed.trim().parse().unwrap_or(0))
    };
    thread::scope(|scope| {
        let start = |index| {
            thread::Builder::new()
                .name("curator-compile".to_owned())
                .spawn_scoped(scope, move || compile(index))
        };
        let parts: Vec<_> = (0..count).map(|index| (index, start(index))).collect();
        parts
            .into_iter()
            .map(|(index, part)| match part {
                Ok(part) => part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // The system gives no more threads.
                Err(_) => compile(index),
            })
            .sum()
    })
}
