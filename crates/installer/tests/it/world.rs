//! What the tests share: tools that were fetched once, and environments to install into.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envspec::{Install, Tool};
use installer::{Ambient, Deadline, Installer, Tools};
use tempfile::TempDir;

/// Long enough for a slow index, short enough to fail a hanging test.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

/// An environment of its own, with or without pip.
pub(crate) struct Environment {
    dir: TempDir,
}

impl Environment {
    /// A virtualenv without pip.
    pub(crate) fn bare() -> Self {
        Self::make(&["--without-pip"])
    }

    /// A virtualenv as `python3 -m venv` makes it.
    pub(crate) fn with_pip() -> Self {
        Self::make(&[])
    }

    fn make(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let arguments = ["-m", "venv"].iter().chain(options).map(PathBuf::from);
        duct::cmd("python3", arguments.chain([dir.path().to_owned()]))
            .run()
            .expect("`python3 -m venv` makes a virtualenv");
        Self { dir }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.dir.path().join("bin/python")
    }

    /// What the interpreter prints for an expression.
    pub(crate) fn eval(&self, expression: &str) -> String {
        let script = format!("import importlib.metadata as m; print({expression})");
        duct::cmd(self.python(), ["-I", "-B", "-c", &script]).read().expect("it evaluates")
    }

    /// The installed version of a package, as `importlib.metadata` sees it.
    pub(crate) fn version_of(&self, package: &str) -> String {
        self.eval(&format!("m.version({package:?})"))
    }

    /// Every file with its bytes and every link with its target.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let (path, kind) = (entry.path(), entry.file_type().expect("a file type"));
                if kind.is_dir() {
                    files.insert(path.clone(), Vec::new());
                    folders.push(path);
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).expect("a link");
                    files.insert(path, target.into_os_string().into_encoded_bytes());
                } else {
                    files.insert(path.clone(), fs::read(path).expect("a readable file"));
                }
            }
        }
        files
    }
}

/// The folder of the tools that the tests share, also with the next run.
pub(crate) fn tools_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/tools"))
}

/// This process's environment, without a uv on its PATH.
pub(crate) fn without_uv() -> Ambient {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| !folder.join("uv").exists());
    let path = std::env::join_paths(folders).expect("a PATH");
    Ambient::from_env().without_variable("CURATOR_UV").with_variable("PATH", path)
}

/// uv, fetched by the first test that needs it.
pub(crate) fn uv(python: &Path) -> Installer {
    let tools = Tools::new(tools_dir()).with_ambient(without_uv());
    tools.locate(Tool::Uv, None, python, Deadline::after(LIMIT)).expect("uv is fetched")
}

/// pip for the environment of this interpreter.
pub(crate) fn pip(python: &Path) -> Installer {
    let tools = Tools::new(tools_dir()).with_ambient(without_uv());
    tools.locate(Tool::Pip, None, python, Deadline::after(LIMIT)).expect("pip is found")
}

/// Either tool.
pub(crate) fn installer(tool: Tool, python: &Path) -> Installer {
    match tool {
        Tool::Pip => pip(python),
        Tool::Uv => uv(python),
    }
}

/// What asks a tool for requirements.
pub(crate) fn install(tool: Tool, requirements: &[&str]) -> Install {
    let requirements = requirements.iter().map(|text| text.parse().expect("a requirement"));
    Install::new(tool, requirements.collect())
}
