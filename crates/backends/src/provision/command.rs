//! Commands that are started in an environment.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::vars::joined;

/// A command in an environment, ready to be started: plain data, nothing runs yet.
///
/// The caller that starts it keeps the [`Environment`], or gives the process a duplicate of each of
/// [`Environment::leases`], so that the environment stays for the lifetime of the process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EnvCommand {
    /// The program; a bare name if neither the environment nor `PATH` has it.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All variables of the process. Values may be secret.
    pub vars: BTreeMap<OsString, OsString>,
    /// The folder to run in, if the spec names one; otherwise the current folder.
    pub dir: Option<PathBuf>,
}

impl Environment {
    /// Returns a command of the user's own in the environment, as after an activation.
    ///
    /// `python` and `python3` are the environment's interpreter, and every other name is searched
    /// for among the environment's programs first. A `PYTHONPATH` of this process is kept, after
    /// the spec's, since Ray finds its own modules by it. (Workers of a pipeline do not get it.)
    #[must_use]
    pub fn command(&self, program: &OsStr, arguments: &[OsString]) -> EnvCommand {
        let mut vars = self.vars().clone();
        let inherited = env::var_os("PYTHONPATH").filter(|paths| !paths.is_empty());
        if let Some(inherited) = inherited {
            let own = vars.remove(OsStr::new("PYTHONPATH"));
            let all = own.as_deref().into_iter().chain([inherited.as_os_str()]);
            vars.insert("PYTHONPATH".into(), joined(all));
        }
        let mut words: Vec<OsString> = if program == "python" || program == "python3" {
            self.interpreter_words().to_vec()
        } else {
            vec![find(program, vars.get(OsStr::new("PATH")).map(OsString::as_os_str))]
        };
        words.extend_from_slice(arguments);
        let mut words = words.into_iter();
        EnvCommand {
            program: words.next().map(PathBuf::from).unwrap_or_default(),
            arguments: words.collect(),
            vars,
            dir: self.working_dir().map(Path::to_owned),
        }
    }

    /// Returns the locks that a process holds for its lifetime in the environment.
    ///
    /// A process keeps one by a duplicate of the descriptor without the close-on-exec flag.
    #[must_use]
    pub fn leases(&self) -> Vec<BorrowedFd<'_>> {
        self.cached().into_iter().map(|cached| cached.lease().as_fd()).collect()
    }
}

/// Returns the program of this name on a search path, or the name itself.
fn find(program: &OsStr, path: Option<&OsStr>) -> OsString {
    // A name with a folder in it is a path already.
    if Path::new(program).components().count() == 1 && !program.as_encoded_bytes().contains(&b'/') {
        let folders = path.map(env::split_paths).into_iter().flatten();
        for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
            let candidate = folder.join(program);
            let is_program = fs::metadata(&candidate)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
            if is_program {
                return candidate.into();
            }
        }
    }
    program.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_order_of_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let program = |folder: &str, mode: u32| {
            let folder = dir.path().join(folder);
            fs::create_dir(&folder).unwrap();
            let file = folder.join("tool");
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            folder
        };
        let folders = [program("unfit", 0o644), program("first", 0o755), program("second", 0o755)];
        let path = env::join_paths(&folders).unwrap();
        let find = |name: &str| PathBuf::from(super::find(OsStr::new(name), Some(&path)));
        assert_eq!(find("tool"), folders[1].join("tool"));
        assert_eq!(find("./tool"), Path::new("./tool"));
        assert_eq!(find("other"), Path::new("other"));
    }
}
