//! Workers that Ray starts by a launcher.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::build::Installed;
use super::command::EnvCommand;
use super::environment::Environment;
use crate::run::Error;

/// The program that Ray's own interpreter runs instead of the worker, and that reports the reason.
const REFUSAL_PY: &str = include_str!("../../python/curator_ray_refusal.py");

/// The worker's program in Ray's package.
const WORKER_PY: &str = "ray/_private/workers/default_worker.py";

/// A command by which Ray starts a worker: `python SITE/ray/…/default_worker.py ARGUMENTS`.
///
/// Ray waits a minute for a worker that ends before it has registered, starts it again, and repeats
/// that forever. So a launcher must not simply fail.
#[derive(Debug)]
pub struct RayWorker<'c> {
    /// The program and its arguments.
    words: &'c [OsString],
    /// The folder with the packages of the worker's Ray.
    site: PathBuf,
}

impl<'c> RayWorker<'c> {
    /// Returns the worker, if this command starts one of Ray.
    #[must_use]
    pub fn of(command: &'c [OsString]) -> Option<Self> {
        let [python, worker, ..] = command else { return None };
        if !(python == "python" || python == "python3") {
            return None;
        }
        let worker = Path::new(worker);
        let site = worker.ancestors().nth(Path::new(WORKER_PY).components().count());
        let site = site.filter(|_| worker.ends_with(WORKER_PY))?.to_owned();
        Some(Self { words: &command[1..], site })
    }

    /// Fails if the environment has another Ray than the worker's, or none, or another Python.
    /// Environments outside of the cache are not checked.
    pub fn check(&self, environment: &Environment) -> Result<(), Error> {
        environment.cached().map_or(Ok(()), |cached| self.compare(cached.dir()))
    }

    fn compare(&self, environment: &Path) -> Result<(), Error> {
        let wanted = ray_of(&Installed::read([self.site.as_path()]));
        let found = ray_of(&Installed::of_environment(environment));
        if wanted.is_none() || found == wanted {
            return Ok(());
        }
        let text = |ray: Option<String>| ray.unwrap_or_else(|| "no Ray".into());
        Err(Error::WrongRay { found: text(found), wanted: text(wanted) })
    }

    /// Returns a replacement for a worker whose environment is not available. It fails its tasks
    /// with this report, and runs no code of the user's. It needs only Ray itself.
    ///
    /// Returns `None` if the interpreter of that Ray is missing.
    #[must_use]
    pub fn refusal(&self, report: &str) -> Option<EnvCommand> {
        let script = [OsString::from("-c"), REFUSAL_PY.into()];
        let message = (OsString::from("CURATOR_RAY_REFUSAL"), OsString::from(report));
        Some(EnvCommand {
            program: self.interpreter()?,
            arguments: script.into_iter().chain(self.words.iter().cloned()).collect(),
            vars: env::vars_os().chain([message]).collect(),
            dir: None,
        })
    }

    /// Returns `PREFIX/bin/python3.N` for the packages in `PREFIX/lib/python3.N/site-packages`.
    fn interpreter(&self) -> Option<PathBuf> {
        let library = self.site.parent()?;
        let name = library.file_name()?;
        let is_python = name.as_encoded_bytes().starts_with(b"python3");
        let interpreter = library.parent()?.parent()?.join("bin").join(name);
        (is_python && interpreter.exists()).then_some(interpreter)
    }
}

/// Returns the Ray among these packages, in words.
fn ray_of(packages: &Installed) -> Option<String> {
    let python = packages.python_version().unwrap_or_default();
    packages.version("ray").map(|version| format!("Ray {version} on Python {python}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use super::*;

    fn site(prefix: &Path, python: &str, distribution: &str) -> PathBuf {
        let site = prefix.join("lib").join(python).join("site-packages");
        fs::create_dir_all(site.join(distribution)).unwrap();
        site
    }

    fn command(program: &str, script: &Path) -> Vec<OsString> {
        vec![program.into(), script.into(), "--flag".into()]
    }

    #[test]
    fn only_a_worker_of_ray_is_one() {
        let worker = Path::new("/venv/lib/python3.11/site-packages").join(WORKER_PY);
        assert!(RayWorker::of(&command("python", &worker)).is_some());
        assert!(RayWorker::of(&command("bash", &worker)).is_none());
        assert!(RayWorker::of(&command("python", Path::new("/venv/worker.py"))).is_none());
        assert!(RayWorker::of(&["python".into()]).is_none());
    }

    #[test]
    fn a_refusal_is_run_by_the_interpreter_of_that_ray() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path(), "python3.11", "ray-2.60.0.dist-info");
        let command = command("python", &site.join(WORKER_PY));
        let worker = RayWorker::of(&command).unwrap();
        assert!(worker.refusal("error: no").is_none(), "there is no interpreter");

        let interpreter = dir.path().join("bin/python3.11");
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(&interpreter, "").unwrap();
        let refusal = worker.refusal("error: no").unwrap();
        assert_eq!(refusal.program, interpreter);
        assert_eq!(refusal.arguments[2..], command[1..]);
        let message = refusal.vars.get(OsStr::new("CURATOR_RAY_REFUSAL")).unwrap();
        assert_eq!(message, "error: no");
    }

    #[test]
    fn another_ray_or_another_python_will_not_do() {
        let dir = tempfile::tempdir().unwrap();
        let prefix = |name: &str| dir.path().join(name);
        let cluster = site(&prefix("cluster"), "python3.11", "ray-2.60.0.dist-info");
        site(&prefix("same"), "python3.11", "ray-2.60.0.dist-info");
        site(&prefix("newer"), "python3.11", "ray-2.61.0.dist-info");
        site(&prefix("python"), "python3.12", "ray-2.60.0.dist-info");
        site(&prefix("without"), "python3.11", "idna-3.10.dist-info");
        let command = command("python", &cluster.join(WORKER_PY));
        let worker = RayWorker::of(&command).unwrap();
        worker.compare(&prefix("same")).unwrap();
        for (name, found) in [
            ("newer", "Ray 2.61.0 on Python 3.11"),
            ("python", "Ray 2.60.0 on Python 3.12"),
            ("without", "no Ray"),
        ] {
            let error = worker.compare(&prefix(name)).unwrap_err().report();
            assert!(error.contains(found), "{error}");
            assert!(error.contains("Ray 2.60.0 on Python 3.11"), "{error}");
        }
    }
}
