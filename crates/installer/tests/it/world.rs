//! Shared by the tests: tools that are fetched once, and environments to install into.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use envspec::{Install, Tool};
use installer::{Ambient, Deadline, Installer, Tools};
use tempfile::TempDir;

/// Long enough for a slow index, short enough to fail a hanging test.
pub(crate) const LIMIT: Duration = Duration::from_mins(4);

/// A separate environment, with or without pip.
pub(crate) struct Environment {
    dir: TempDir,
}

impl Environment {
    /// Returns a virtualenv without pip.
    pub(crate) fn bare() -> Self {
        Self::make(&["--without-pip"])
    }

    /// Returns a virtualenv as `python3 -m venv` makes it.
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

    /// Returns what the interpreter prints for an expression.
    pub(crate) fn eval(&self, expression: &str) -> String {
        let script = format!("import importlib.metadata as m; print({expression})");
        duct::cmd(self.python(), ["-I", "-B", "-c", &script]).read().expect("it evaluates")
    }

    /// The installed version of a package, as `importlib.metadata` sees it.
    pub(crate) fn version_of(&self, package: &str) -> String {
        self.eval(&format!("m.version({package:?})"))
    }

    /// Returns every file with its bytes and every link with its target.
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

/// Returns the folder of the tools that the tests share, also with the next run.
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

/// Returns the input of a tool that asks for these requirements.
pub(crate) fn install(tool: Tool, requirements: &[&str]) -> Install {
    let requirements = requirements.iter().map(|text| text.parse().expect("a requirement"));
    Install::new(tool, requirements.collect())
}

/// Returns a source tree of the package `local`, version 1.0, with its own build backend, so that
/// its build needs no index. `body` is the backend's first code.
pub(crate) fn source_tree(body: &str) -> TempDir {
    const WHEEL: &str = r#"
import os, zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "local-1.0-py3-none-any.whl"
    info = "local-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("local.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: local\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name
"#;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let project = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
                   [project]\nname = \"local\"\nversion = \"1.0\"\n";
    fs::write(dir.path().join("pyproject.toml"), project).expect("a writable folder");
    fs::write(dir.path().join("backend.py"), format!("{body}\n{WHEEL}"))
        .expect("a writable folder");
    dir
}

/// Returns the requirement for a source tree.
pub(crate) fn requirement_of(tree: &TempDir) -> String {
    format!("local @ file://{}", tree.path().display())
}

/// Returns whether a process runs; a zombie does not.
pub(crate) fn is_running(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}

/// Waits some seconds until a condition holds.
pub(crate) fn eventually(what: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        let holds = what();
        if !holds {
            std::thread::sleep(Duration::from_millis(10));
        }
        holds
    })
}

/// Runs one of the ignored tests of this binary in a process of its own.
pub(crate) fn in_a_process(test: &str) -> duct::Expression {
    let binary = std::env::current_exe().expect("the path of the test binary");
    duct::cmd(binary, ["--exact", test, "--ignored", "--nocapture"]).stderr_to_stdout()
}

/// Writes a wheel of a package of one module into a folder.
pub(crate) fn wheel(dir: &Path, name: &str, version: &str) {
    const WRITE: &str = r#"
import sys, zipfile
dir, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info/"
with zipfile.ZipFile(f"{dir}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", f"VERSION = '{version}'\n")
    wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", f"{name}.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n")
"#;
    fs::create_dir_all(dir).expect("a writable folder");
    let words = ["-c".into(), WRITE.into(), dir.to_owned(), name.into(), version.into()];
    duct::cmd("python3", words).run().expect("a wheel is written");
}
