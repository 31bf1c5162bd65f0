//! Folders with a pipeline in them, for the tests of `run` and related commands.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::support::{CURATOR, Run, World, shared};

/// Stages for all tests.
const STAGES: &str = r#"
import time


class Version:
    """Notes the version of `packaging` under a key."""

    def __init__(self, key="version"):
        self.key = key

    def process(self, task):
        import packaging

        task.data[self.key] = packaging.__version__
        return task


class Picky:
    """Fails on every n-th number, and takes its time."""

    def __init__(self, bad=None, seconds=0.0):
        self.bad, self.seconds = bad, seconds

    def process(self, task):
        time.sleep(self.seconds)
        if self.bad and task.data["n"] % self.bad == self.bad - 1:
            print("about to fail")
            raise ValueError(f"{task.data['n']} is bad")
        return task


def size(task):
    return {"size": len(task.data), "meta": task.metadata, "set": task.dataset_name}


def give_back(task):
    return task


def look_at(task):
    task.data
    return task


def make(task):
    return [{"made": n, "from": task.data} for n in range(3)]
"#;

/// Builds wheels and editable installs, with nothing to download.
const BACKEND: &str = r#"
import os
import zipfile


def _build(directory, files):
    info = "own-1.0.dist-info/"
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n"
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "RECORD"] = "".join(path + ",,\n" for path in [*files, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(directory, "own-1.0-py3-none-any.whl"), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return "own-1.0-py3-none-any.whl"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    return _build(directory, {"own.py": open("own.py").read()})


def build_editable(directory, config_settings=None, metadata_directory=None):
    return _build(directory, {"own.pth": os.getcwd() + "\n"})
"#;

/// A project in the folder `own`.
pub(crate) fn own_project(folder: &Folder) {
    fs::create_dir_all(folder.path("own")).expect("a folder");
    folder.write(
        "own/pyproject.toml",
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"own\"\nversion = \"1.0\"\n",
    );
    folder.write("own/backend.py", BACKEND);
    folder.write("own/own.py", "WHOSE = 'private'\n");
}

/// A folder with `stages.py` and a pipeline.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    pub(crate) world: Arc<World>,
}

impl Folder {
    /// A folder with `pipeline.toml`: a name, the shared base, and this text.
    pub(crate) fn new(pipeline: &str) -> Self {
        let folder = Self { dir: tempfile::tempdir().expect("a folder"), world: shared() };
        let base = folder.world.base();
        let text = format!("name = \"test\"\nbase = \"{base}\"\n{pipeline}");
        folder.write("pipeline.toml", &text);
        folder.write("stages.py", STAGES);
        folder
    }

    /// A folder with the numbers below `count` in `tasks.jsonl`, and a stage that works on them.
    pub(crate) fn numbers(count: usize, args: &str) -> Self {
        let folder =
            Self::new(&format!("[[stage]]\npython = \"stages.py:Picky\"\nargs = {args}\n"));
        let lines: Vec<String> = (0..count).map(|n| format!("{{\"n\":{n}}}")).collect();
        folder.write("tasks.jsonl", &lines.join("\n"));
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of ours").to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file of ours");
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file that the command wrote")
    }

    /// Returns the lines of a file, as JSON.
    #[track_caller]
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        lines(&self.read(name))
    }

    /// Runs the command in the folder, with an empty standard input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "")
    }

    /// Runs the command with a standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        let output = self
            .expression(&duct::cmd(CURATOR, arguments))
            .stdin_bytes(input)
            .stdout_capture()
            .stderr_capture()
            .run();
        output.expect("the command starts").into()
    }

    /// Returns a command in the folder, with the shared cache.
    pub(crate) fn expression(&self, command: &duct::Expression) -> duct::Expression {
        command
            .dir(self.dir.path())
            .env("CURATOR_CACHE_DIR", self.world.cache())
            .env_remove("VIRTUAL_ENV")
            .env_remove("PYTHONPATH")
            .env_remove("RUST_LOG")
            .unchecked()
    }
}

/// Returns the lines of a text, as JSON.
#[track_caller]
pub(crate) fn lines(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|it| panic!("{it}: {line}"));
    text.lines().map(line).collect()
}

/// Returns the whole numbers under a key, sorted.
#[track_caller]
pub(crate) fn sorted(values: &[Value], key: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        values.iter().map(|value| value[key].as_u64().expect("a whole number")).collect();
    numbers.sort_unstable();
    numbers
}
