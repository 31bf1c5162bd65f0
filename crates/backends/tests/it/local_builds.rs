//! What is built and installed from this machine's own files: contents depend on the spec, what it
//! names and the base, and on nothing that was built earlier.

use std::fs;
use std::path::Path;

use backends::EnvState;
use envspec::Tool;
use stage::Isolation;

use crate::world::{World, run};

const TOOLS: [Tool; 2] = [Tool::Uv, Tool::Pip];

/// A build backend that puts all of a package's folder into the wheel, and lines of its own into a
/// module `built`.
const BACKEND: &str = r#"
import base64, hashlib, os, pathlib, tarfile, zipfile
NAME = "@NAME@"
def wheel(directory, files):
    name = NAME + "-1.0-py3-none-any.whl"
    info = NAME + "-1.0.dist-info/"
    files = dict(files)
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: " + NAME + "\nVersion: 1.0\n" + requires()
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text.encode())}\n"
    files[info + "RECORD"] = record + info + "RECORD,,\n"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
def requires():
    return ""
def package():
    paths = sorted(path for path in pathlib.Path(NAME).rglob("*") if path.is_file())
    return {str(path): path.read_text() for path in paths if "__pycache__" not in str(path)}
def built():
    return ""
def build_wheel(directory, config_settings=None, metadata_directory=None):
    return wheel(directory, {**package(), "built_" + NAME + ".py": built()})
def build_editable(directory, config_settings=None, metadata_directory=None):
    files = {NAME + ".pth": os.getcwd() + "\n", "built_" + NAME + ".py": built()}
    return wheel(directory, files)
def build_sdist(directory, config_settings=None):
    top = NAME + "-1.0"
    with tarfile.open(os.path.join(directory, top + ".tar.gz"), "w:gz") as archive:
        for path in sorted(pathlib.Path(".").rglob("*")):
            if path.is_file() and "__pycache__" not in str(path):
                archive.add(path, top + "/" + str(path))
    return top + ".tar.gz"
"#;

/// Writes a project that builds itself; `more` is what its backend does otherwise.
fn project(dir: &Path, name: &str, more: &str) {
    write(dir, &format!("{name}/__init__.py"), "VALUE = 1\n");
    write(
        dir,
        "pyproject.toml",
        &format!(
            "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
             [project]\nname = \"{name}\"\nversion = \"1.0\"\ndynamic = [\"dependencies\"]\n"
        ),
    );
    write(dir, "backend.py", &(BACKEND.replace("@NAME@", name) + more));
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// What a program prints in the environment of a spec, and how that was come by.
fn told(world: &World, env: &envspec::LoadedEnv, program: &str) -> (String, EnvState) {
    let env = world.prepare(env).unwrap_or_else(|error| panic!("{}", error.report()));
    (run(env.python(), program), env.state())
}

#[test]
fn folders_inside_a_project_are_built_whatever_their_names() {
    let world = World::new(&[], &[]);
    let dir = world.root.join("mytool");
    project(&dir, "mytool", "");
    let inside = [
        "venv/__init__.py",
        "node_modules/a.js",
        ".idea/a.xml",
        ".tox/a.txt",
        "fixture.egg-info/PKG-INFO",
        "build/lib/a.py",
        "sourceless.pyc",
    ];
    for path in inside {
        write(&dir, &format!("mytool/{path}"), "one");
    }
    let program = format!(
        "import importlib.util, pathlib\n\
         top = pathlib.Path(importlib.util.find_spec('mytool').origin).parent\n\
         print(*((top / path).read_text() for path in {inside:?}))"
    );
    for tool in TOOLS {
        let spec = || world.spec(tool, &["./mytool"]);
        let key = || world.provisioner().key(&spec(), Isolation::Shared).unwrap();
        assert_eq!(told(&world, &spec(), &program).0, ["one"; 7].join(" "), "{tool}");
        let before = key();
        for path in inside {
            write(&dir, &format!("mytool/{path}"), "two");
            assert_ne!(key(), before, "{tool}: {path}");
            write(&dir, &format!("mytool/{path}"), "one");
            assert_eq!(key(), before, "{tool}: {path}");
        }
        // A virtualenv, or a tool's cache, is none of it.
        for mark in ["env/pyvenv.cfg", ".some_cache/CACHEDIR.TAG"] {
            write(&dir, mark, "");
            assert_eq!(key(), before, "{tool}: {mark}");
        }
    }
}
