//! Questions to a Python interpreter, answered by short scripts that it runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::command::Command;
use crate::deadline::Limit;
use crate::error::Error;
use crate::outcome::Package;
use crate::process::{self, Streams};
use crate::redact::Secrets;
use crate::transcript::Transcript;

const DESCRIBE: &str = include_str!("../python/describe.py");
const DISTRIBUTIONS: &str = include_str!("../python/distributions.py");

/// An interpreter's means of starting pip.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// `3.11`.
    pub(crate) minor: String,
    /// The folder of the package `pip`, if it is installed.
    pub(crate) pip: Option<PathBuf>,
    /// The wheels from which `ensurepip` would install pip.
    pub(crate) bundled: Vec<PathBuf>,
}

/// Asks an interpreter for its means of starting pip.
pub(crate) fn describe(
    python: &Path,
    variables: &BTreeMap<OsString, OsString>,
    limit: &Limit,
) -> Result<Description, Error> {
    let answer = run_script(python, Bytecode::Unwritten, DESCRIBE, &[], variables, limit)?;
    let mut answers = answer.split('\0');
    let minor = answers.next().unwrap_or_default().to_owned();
    let pip = answers.next().filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(Description { minor, pip, bundled: answers.map(PathBuf::from).collect() })
}

/// Asks an interpreter which distributions it sees.
pub(crate) fn distributions(
    python: &Path,
    variables: &BTreeMap<OsString, OsString>,
    limit: &Limit,
) -> Result<Vec<Package>, Error> {
    #[derive(Deserialize)]
    struct Distribution {
        name: String,
        version: String,
    }
    let answer = run_script(python, Bytecode::Unwritten, DISTRIBUTIONS, &[], variables, limit)?;
    let found: Vec<Distribution> = serde_json::from_str(&answer)
        .map_err(|source| Error::Answer { python: python.to_owned(), source })?;
    let mut packages = Vec::<Package>::with_capacity(found.len());
    for Distribution { name, version } in found {
        let package = Package::new(&name, version);
        // The first distribution of a name on the path is the one that is imported.
        if !packages.iter().any(|seen| seen.name == package.name) {
            packages.push(package);
        }
    }
    Ok(packages)
}

/// Whether a script may write bytecode for its imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytecode {
    Written,
    Unwritten,
    /// No bytecode, and the interpreter does not run the start-up code of its site folders.
    UnwrittenAndBare,
}

/// Runs a script, isolated, and returns its output.
pub(crate) fn run_script(
    python: &Path,
    bytecode: Bytecode,
    script: &str,
    arguments: &[String],
    variables: &BTreeMap<OsString, OsString>,
    limit: &Limit,
) -> Result<String, Error> {
    run_script_holding(None, python, bytecode, script, arguments, variables, limit)
}

/// Runs a script whose process holds a lock for as long as it runs.
pub(crate) fn run_script_holding(
    lock: Option<Arc<File>>,
    python: &Path,
    bytecode: Bytecode,
    script: &str,
    arguments: &[String],
    variables: &BTreeMap<OsString, OsString>,
    limit: &Limit,
) -> Result<String, Error> {
    let mut argv: Vec<OsString> = ["-I", "-X", "utf8", "-c", script].map(OsString::from).into();
    match bytecode {
        Bytecode::Written => {}
        Bytecode::Unwritten => argv.insert(0, "-B".into()),
        Bytecode::UnwrittenAndBare => argv.insert(0, "-BS".into()),
    }
    argv.extend(arguments.iter().map(OsString::from));
    let command = Command {
        program: python.to_owned(),
        arguments: argv,
        environment: variables.clone(),
        working_dir: PathBuf::from("/"),
        doomed_dir: None,
        lock,
    };
    let finished = process::run(&command, Streams::Apart, limit)?;
    if finished.is_success() {
        return Ok(finished.stdout);
    }
    if finished.status.is_none() {
        return Err(Error::Late { action: "the interpreter answered" });
    }
    let source = Box::new(Transcript::new(&command, &finished, &Secrets::default()));
    Err(Error::Interpreter { python: python.to_owned(), source })
}
