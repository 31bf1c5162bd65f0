//! Compiling installed packages, on all cores.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crate::ambient::Ambient;
use crate::deadline::Limit;
use crate::error::Error;
use crate::interpreter::{Bytecode, run_script_holding};
use crate::outcome::Package;
use crate::request::absolute;

const COMPILE: &str = include_str!("../python/compile.py");

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
    let count = thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSES);
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
