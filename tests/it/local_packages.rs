//! Folders and wheels as requirements: their contents count, not their names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use curator::{ExecutorExt, RuntimeEnv};
use serde_json::json;

use crate::support::{folder, local, one_task, output, pipeline, python3, state, versions};

/// A package that builds itself, with nothing to download.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    name: String,
    version: String,
    text: String,
    pause: Option<PathBuf>,
}

impl Package {
    /// The longest pause of a build.
    pub(crate) const PAUSE: Duration = Duration::from_secs(6);

    pub(crate) fn new(name: &str, version: &str) -> Self {
        let text = format!("__version__ = {version:?}\n");
        Self { name: name.to_owned(), version: version.to_owned(), text, pause: None }
    }

    /// Adds this line at the end of its module.
    pub(crate) fn with_line(self, line: &str) -> Self {
        Self { text: format!("{}{line}\n", self.text), ..self }
    }

    /// Gives the package a build that writes a file `paused` into a folder and then pauses, unless
    /// a file `go` exists.
    pub(crate) fn with_pause(self, dir: &Path) -> Self {
        Self { pause: Some(dir.to_owned()), ..self }
    }

    /// Writes the package's sources; returns their folder.
    pub(crate) fn write_to(&self, parent: &Path) -> PathBuf {
        let dir = parent.join(&self.name);
        std::fs::create_dir_all(&dir).expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).expect("a writable folder");
        };
        write(&format!("{}.py", self.name), &self.text);
        write(
            "pyproject.toml",
            &format!(
                "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = \
                 [\".\"]\n[project]\nname = {:?}\nversion = {:?}\n",
                self.name, self.version
            ),
        );
        let pause = self.pause.as_ref().map(|dir| dir.display().to_string());
        let settings = json!({
            "name": self.name,
            "version": self.version,
            "pause": pause,
            "seconds": Self::PAUSE.as_secs(),
        });
        write("backend.py", &format!("SETTINGS = {:?}\n{BACKEND}", settings.to_string()));
        dir
    }

    /// Writes the package's wheel into a folder; returns the file.
    pub(crate) fn wheel(&self, parent: &Path) -> PathBuf {
        let sources = folder();
        let dir = self.write_to(sources.path());
        let code = "import sys, backend; print(backend.build_wheel(sys.argv[1]))";
        let name = duct::cmd(python3(), [Path::new("-c"), Path::new(code), parent])
            .dir(dir)
            .read()
            .expect("a wheel");
        parent.join(name)
    }
}

/// The smallest backend that makes a wheel (PEP 517 and 427).
const BACKEND: &str = r#"
import json, os, signal, time, zipfile

SETTINGS = json.loads(SETTINGS)


def _pause(folder):
    if folder is None or os.path.exists(os.path.join(folder, "go")):
        return
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    open(os.path.join(folder, "paused"), "w").close()
    time.sleep(SETTINGS["seconds"])


def build_wheel(directory, config_settings=None, metadata_directory=None):
    _pause(SETTINGS["pause"])
    name, version = SETTINGS["name"], SETTINGS["version"]
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": open(f"{name}.py").read(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
"#;

/// Returns the line that a stage sees in the module, and whether its environment was built.
fn run(spec: RuntimeEnv) -> (serde_json::Value, serde_json::Value) {
    let stage = versions("stage", &["localpkg"]).with_runtime_env(spec);
    let report = local().run(&pipeline([stage]), one_task());
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    (output(&report)["stage"]["localpkg"]["module"].clone(), state(&report, "stage"))
}

#[test]
fn a_folder_is_installed_again_when_its_contents_change() {
    for tool in ["pip", "uv"] {
        let place = folder();
        let package = Package::new("localpkg", "1.0");
        let dir = package.write_to(place.path());
        let text = format!("{{\"{tool}\": [\"localpkg @ file://{}\"]}}", dir.display());
        let spec = || RuntimeEnv::from_json(&text).unwrap();
        assert_eq!(run(spec()), (json!("1.0"), json!("built")), "{tool}");
        assert_eq!(run(spec()), (json!("1.0"), json!("hit")), "{tool}");
        // The version is the same but the text differs: the new text is installed.
        package.with_line("__version__ = 'edited'").write_to(place.path());
        assert_eq!(run(spec()), (json!("edited"), json!("built")), "{tool}");
    }
}

#[test]
fn a_wheel_is_installed_again_when_it_changes() {
    for tool in ["pip", "uv"] {
        let place = folder();
        let wheel = Package::new("localpkg", "2.0").wheel(place.path());
        let text = format!("{{\"{tool}\": [\"{}\"]}}", wheel.display());
        let spec = || RuntimeEnv::from_json(&text).unwrap();
        assert_eq!(run(spec()), (json!("2.0"), json!("built")), "{tool}");
        assert_eq!(run(spec()), (json!("2.0"), json!("hit")), "{tool}");
        let edited = Package::new("localpkg", "2.0").with_line("__version__ = 'edited'");
        assert_eq!(edited.wheel(place.path()), wheel);
        assert_eq!(run(spec()), (json!("edited"), json!("built")), "{tool}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let spec = RuntimeEnv::uv(["localpkg @ file:///no/such/folder"]);
    let stage = versions("stage", &[]).with_runtime_env(spec);
    let error = local().run(&pipeline([stage]), one_task()).unwrap_err().report();
    assert!(error.contains("/no/such/folder") && error.contains("`stage`"), "{error}");
}
