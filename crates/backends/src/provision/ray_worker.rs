//! Workers that Ray starts by a launcher, where there is no environment for them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::command::EnvCommand;

/// What Ray's own interpreter runs instead of the worker, and why.
const REFUSAL_PY: &str = include_str!("../../python/curator_ray_refusal.py");

/// Where the worker's program is in Ray's package.
const WORKER_PY: &str = "ray/_private/workers/default_worker.py";

impl EnvCommand {
    /// In place of a worker of Ray (`python …/default_worker.py ARGUMENTS`) whose environment
    /// cannot be had: a worker that fails what it is sent with this report, and runs no code of the
    /// user's. It needs nothing but Ray itself.
    ///
    /// A launcher that just fails would be started again once a minute, for ever, while the task
    /// that needs it waits. `None` if this is not how Ray starts a worker, or if there is no
    /// interpreter where the one of that Ray should be.
    #[must_use]
    pub fn refusing_ray_worker(command: &[OsString], report: &str) -> Option<Self> {
        let [python, worker, ..] = command else { return None };
        if !(python == "python" || python == "python3") {
            return None;
        }
        let program = interpreter_of(Path::new(worker))?;
        let script = [OsString::from("-c"), REFUSAL_PY.into()];
        let arguments = script.into_iter().chain(command[1..].iter().cloned()).collect();
        let message = (OsString::from("CURATOR_RAY_REFUSAL"), OsString::from(report));
        Some(Self {
            program,
            arguments,
            vars: env::vars_os().chain([message]).collect(),
            dir: None,
        })
    }
}

/// The interpreter that has the Ray whose worker this is: `PREFIX/bin/python3.N` for
/// `PREFIX/lib/python3.N/site-packages/ray/…`.
fn interpreter_of(worker: &Path) -> Option<PathBuf> {
    if !worker.ends_with(WORKER_PY) {
        return None;
    }
    let site = worker.ancestors().nth(Path::new(WORKER_PY).components().count())?;
    let library = site.parent()?;
    let name = library.file_name().filter(|name| is_python(name))?;
    let interpreter = library.parent()?.parent()?.join("bin").join(name);
    interpreter.exists().then_some(interpreter)
}

fn is_python(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"python3")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_worker_of_a_ray_that_is_there_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let worker = dir.path().join("lib/python3.11/site-packages").join(WORKER_PY);
        let command = |words: [&OsStr; 3]| {
            EnvCommand::refusing_ray_worker(&words.map(OsStr::to_owned), "error: no")
        };
        let words = [OsStr::new("python"), worker.as_os_str(), OsStr::new("--flag")];
        assert!(command(words).is_none(), "there is no interpreter");

        let interpreter = dir.path().join("bin/python3.11");
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(&interpreter, "").unwrap();
        let refusal = command(words).unwrap();
        assert_eq!(refusal.program, interpreter);
        assert_eq!(refusal.arguments[2..], words.map(OsStr::to_owned)[1..]);
        let message = refusal.vars.get(OsStr::new("CURATOR_RAY_REFUSAL")).unwrap();
        assert_eq!(message, "error: no");

        let script = dir.path().join("lib/python3.11/site-packages/script.py");
        assert!(command([words[0], script.as_os_str(), words[2]]).is_none());
        assert!(command([OsStr::new("bash"), words[1], words[2]]).is_none());
    }
}
