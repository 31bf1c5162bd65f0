//! Builds and installations from this machine's own files: the contents depend on the spec, the
//! files that it names, and the base, and never on earlier builds.

use std::fs;
use std::path::{Path, PathBuf};

use backends::EnvState;
use envspec::Tool;
use serde_json::json;
use stage::Isolation;

use crate::world::{World, run};

pub(crate) const TOOLS: [Tool; 2] = [Tool::Uv, Tool::Pip];

/// A build backend that packs the package's whole folder into the wheel, and its own lines into a
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

/// Writes a project that builds itself; `more` changes its backend.
pub(crate) fn project(dir: &Path, name: &str, more: &str) {
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

pub(crate) fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// Returns what a program prints in the environment of a spec, and whether the environment was
/// built.
pub(crate) fn told(world: &World, env: &envspec::LoadedEnv, program: &str) -> (String, EnvState) {
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
        // A virtualenv or a tool's cache is no part of the project.
        for mark in ["env/pyvenv.cfg", ".some_cache/CACHEDIR.TAG"] {
            write(&dir, mark, "");
            assert_eq!(key(), before, "{tool}: {mark}");
        }
    }
}

/// Writes a wheel `alpha` 1.0 whose module has this value.
fn alpha(world: &World, value: &str) {
    let files = json!({ "alpha.py": format!("VALUE = {value:?}\n") });
    world.write_wheels(&json!([{ "name": "alpha", "version": "1.0", "files": files }]));
}

const ALPHA: &str = "import alpha; print(alpha.VALUE)";

#[test]
fn a_local_wheel_that_is_built_anew_takes_the_place_of_the_bases_in_the_same_version() {
    let world = World::new(&[], &[]);
    for tool in TOOLS {
        alpha(&world, "base");
        world.install_into_base(&[("alpha", "1.0", &[])]);
        let path = world.wheel("alpha", "1.0").display().to_string();
        for line in [path.clone(), format!("alpha @ file://{path}")] {
            for value in ["one", "two", "one"] {
                let value = format!("{value} {tool} {}", line.len());
                alpha(&world, &value);
                let found = told(&world, &world.spec(tool, &[&line]), ALPHA).0;
                assert_eq!(found, value, "{tool}: {line}");
            }
        }
        fs::remove_dir_all(world.base_site().join("alpha-1.0.dist-info")).unwrap();
        fs::remove_file(world.base_site().join("alpha.py")).unwrap();
    }
}

/// For every way to name the folder.
#[test]
fn a_wheel_under_find_links_that_is_built_anew_is_the_one_that_is_installed() {
    let world = World::new(&[], &[]);
    let links = world.wheels().display().to_string();
    write(&world.root, "uv.toml", &format!("no-index = true\nfind-links = [{links:?}]\n"));
    let name = |tool: Tool| tool.as_str().to_uppercase();
    for tool in TOOLS {
        let options = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        let variables = json!({
            format!("{}_FIND_LINKS", name(tool)): links,
            format!("{}_NO_INDEX", name(tool)): "1",
        });
        let line = format!("--find-links {links}");
        let mut specs = vec![
            json!({ tool.as_str(): {
                "packages": ["alpha"], options: ["--no-index", "--find-links", links],
            }}),
            json!({ tool.as_str(): ["--no-index", line, "alpha"] }),
            json!({ tool.as_str(): ["alpha"], "env_vars": variables }),
        ];
        if tool == Tool::Uv {
            specs.push(json!({ "uv": ["alpha"], "env_vars": { "UV_CONFIG_FILE": "uv.toml" } }));
        }
        for (number, spec) in specs.iter().enumerate() {
            for value in ["one", "two"] {
                let value = format!("{value} {number}");
                alpha(&world, &value);
                let found = told(&world, &world.load(spec), ALPHA).0;
                assert_eq!(found, value, "{tool}: {spec}");
            }
        }
    }
}

/// Writes the sdist of a project into the folder of wheels.
pub(crate) fn sdist(world: &World, dir: &Path) -> PathBuf {
    let code = "import sys, backend; print(backend.build_sdist(sys.argv[1]))";
    let words = [Path::new("-B"), Path::new("-c"), Path::new(code), &world.wheels()];
    let name = duct::cmd(crate::world::host(), words).dir(dir).read().expect("an sdist");
    world.wheels().join(name)
}

#[test]
fn an_sdist_that_is_made_anew_is_built_anew() {
    let world = World::new(&[], &[]);
    let dir = world.root.join("source");
    project(&dir, "alpha", "");
    let path = sdist(&world, &dir).display().to_string();
    for tool in TOOLS {
        for line in [&*path, "alpha"] {
            for value in ["one", "two"] {
                let value = format!("{value} {tool} {}", line.len());
                write(&dir, "alpha/__init__.py", &format!("VALUE = {value:?}\n"));
                sdist(&world, &dir);
                let found = told(&world, &world.spec(tool, &[line]), ALPHA).0;
                assert_eq!(found, value, "{tool}: {line}");
            }
        }
    }
}

/// A build that sees the environment finds its current packages, not those of an earlier one.
#[test]
fn what_is_built_without_isolation_is_built_against_its_own_environment() {
    let sees = "\ndef built():\n    import header\n    return 'HEADER = %r' % header.__version__\n";
    let program = "import built_alpha; print(built_alpha.HEADER)";
    for tool in TOOLS {
        let world = World::new(&[("header", "1.0", &[])], &[("header", "2.0", &[])]);
        let dir = world.root.join("source");
        project(&dir, "alpha", sees);
        sdist(&world, &dir);
        let name = tool.as_str().to_uppercase();
        let options = match tool {
            Tool::Pip => "pip_install_options",
            Tool::Uv => "uv_pip_install_options",
        };
        let (links, option) = (world.wheels(), "--no-build-isolation");
        let by_option = json!({ tool.as_str(): {
            "packages": ["alpha"], options: ["--no-index", "--find-links", links, option],
        }});
        let by_variable = json!({
            tool.as_str(): { "packages": ["alpha"], options: ["--no-index", "--find-links", links] },
            "env_vars": { format!("{name}_NO_BUILD_ISOLATION"): "1" },
        });
        // pip reads the variable with the opposite meaning.
        let specs = if tool == Tool::Uv { vec![by_option, by_variable] } else { vec![by_option] };
        for version in ["1.0", "2.0"] {
            for spec in &specs {
                assert_eq!(told(&world, &world.load(spec), program).0, version, "{tool}: {spec}");
            }
            fs::remove_dir_all(world.base_site().join("header-1.0.dist-info")).ok();
            world.install_into_base(&[("header", "2.0", &[])]);
        }
    }
}
