//! Wheels, bases, tools and questions that the tests share.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use venv_cache::testing::Snapshot;
use venv_cache::{Base, Interpreter, create_bare};

/// Variables of the host that would change the programs' behaviour.
const AMBIENT: [&str; 6] = [
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PIP_FIND_LINKS",
    "UV_FIND_LINKS",
];

/// The packages of every base of the tests.
pub(crate) const BASE: [&str; 4] = ["alpha==1.0", "kept", "gone", "space_one"];

/// An installer, run from outside the environment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    Pip,
    Uv,
}

impl Tool {
    pub(crate) fn install(self, python: &Path, requirements: &[&str]) {
        let mut words = self.words("install", python);
        words.extend(["--no-index", "--find-links"].map(OsString::from));
        words.push(wheels().into());
        words.extend(requirements.iter().map(OsString::from));
        run(&words[0], &words[1..]);
    }

    pub(crate) fn uninstall(self, python: &Path, name: &str) {
        let mut words = self.words("uninstall", python);
        if matches!(self, Self::Pip) {
            words.push("--yes".into());
        }
        words.push(name.into());
        run(&words[0], &words[1..]);
    }

    fn words(self, action: &str, python: &Path) -> Vec<OsString> {
        let python = python.as_os_str().to_owned();
        match self {
            Self::Pip => {
                let host = host().executable().as_os_str().to_owned();
                let pip = ["-m", "pip", "--isolated", "--disable-pip-version-check", "--python"];
                [host]
                    .into_iter()
                    .chain(pip.map(OsString::from))
                    .chain([python, action.into()])
                    .collect()
            }
            Self::Uv => {
                let uv = uv().as_os_str().to_owned();
                vec![
                    uv,
                    "pip".into(),
                    action.into(),
                    "--no-config".into(),
                    "--python".into(),
                    python,
                ]
            }
        }
    }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn run(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> String {
    run_with(program, arguments, &[])
}

/// Runs a program like [`run`], with more variables.
pub(crate) fn run_with(
    program: impl AsRef<OsStr>,
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &Path)],
) -> String {
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    let program = program.as_ref();
    let mut command = duct::cmd(program.to_os_string(), &arguments).stdin_null();
    for name in AMBIENT {
        command = command.env_remove(name);
    }
    for (name, value) in variables {
        command = command.env(name, value);
    }
    let output = command.stdout_capture().stderr_capture().unchecked().run().expect("to start");
    assert!(
        output.status.success(),
        "`{}` {arguments:?} failed: {}\n{}{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Runs one of the ignored tests of this program as a child of `launcher` (a program and its
/// arguments), which grants it a special environment. The test finds `dir` in [`given`].
pub(crate) fn run_test(launcher: &[&str], test: &str, dir: &Path) {
    // A copy, since another user may have no access to the build folder.
    let program = dir.join("tests");
    std::fs::copy(std::env::current_exe().expect("a path"), &program).expect("to copy it");
    let words = [&launcher[1..], &[program.to_str().expect("text"), "--exact", test, "--ignored"]];
    let said = run_with(launcher[0], &words.concat(), &[("VENV_CACHE_TEST_DIR", dir)]);
    assert!(said.contains("1 passed"), "{said}");
}

/// Returns the folder that [`run_test`] was given.
pub(crate) fn given() -> PathBuf {
    std::env::var_os("VENV_CACHE_TEST_DIR").expect("this is run by another test").into()
}

/// The machine's Python, which has pip.
pub(crate) fn host() -> &'static Interpreter {
    static HOST: OnceLock<Interpreter> = OnceLock::new();
    HOST.get_or_init(|| {
        Interpreter::describe(Path::new("python3"), None).expect("a python3 on PATH")
    })
}

/// Returns a folder in the build folder, made once and kept there. A static is never dropped, so
/// each run would leave a temporary folder behind.
fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = root.join(name);
    if !folder.exists() {
        let scratch = tempfile::tempdir_in(root).expect("a folder");
        let fresh = scratch.path().join("fresh");
        std::fs::create_dir(&fresh).expect("a folder");
        make(&fresh);
        // Another process may have been faster.
        let renamed = std::fs::rename(&fresh, &folder);
        assert!(renamed.is_ok() || folder.exists(), "{renamed:?}");
    }
    folder
}

/// A folder with the tests' wheels.
pub(crate) fn wheels() -> &'static Path {
    static WHEELS: OnceLock<PathBuf> = OnceLock::new();
    WHEELS.get_or_init(|| {
        let program = include_str!("wheels.py");
        let digest = Sha256::digest(program);
        kept(&format!("wheels-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]), |folder| {
            let words = [OsStr::new("-c"), OsStr::new(program), folder.as_os_str()];
            run(host().executable(), &words);
        })
    })
}

/// uv: the one on `PATH`, or one fetched from the package index.
pub(crate) fn uv() -> &'static Path {
    static UV: OnceLock<PathBuf> = OnceLock::new();
    UV.get_or_init(|| {
        which::which("uv").unwrap_or_else(|_| {
            let fetch = |folder: &Path| {
                let pip = ["-m", "pip", "install", "--quiet", "--target"].map(OsStr::new);
                let rest = [folder.as_os_str(), OsStr::new("uv")];
                run(host().executable(), &[&pip[..], &rest].concat());
            };
            kept("uv", fetch).join("bin/uv")
        })
    })
}

/// Returns a virtualenv with [`BASE`] in it, and no pip.
pub(crate) fn virtualenv(dir: &Path) -> PathBuf {
    let python = create_bare(host(), dir).expect("a bare virtualenv").python;
    Tool::Uv.install(&python, &BASE);
    python
}

/// A virtualenv that several tests share: they prove that nothing in it changes.
pub(crate) struct Shared {
    pub(crate) base: Base,
    pub(crate) before: Snapshot,
    _folder: TempDir,
}

/// Returns the shared virtualenv; the last test that uses it removes it.
pub(crate) fn shared_base() -> Arc<Shared> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().expect("the first test to ask made the base");
    shared.upgrade().unwrap_or_else(|| {
        let folder = tempfile::tempdir().expect("a folder for the base");
        let python = create_bare(host(), &folder.path().join("base")).expect("a base").python;
        // pip compiles the packages that it installs, uv does not.
        Tool::Pip.install(&python, &BASE);
        let base = open(&python);
        let fresh = Arc::new(Shared { before: snapshot(&base), base, _folder: folder });
        *shared = Arc::downgrade(&fresh);
        fresh
    })
}

pub(crate) fn open(python: &Path) -> Base {
    Base::open(python, None).expect("a base")
}

/// Returns a snapshot of the base's folder.
pub(crate) fn snapshot(base: &Base) -> Snapshot {
    Snapshot::of(base.interpreter().prefix()).expect("to read the base")
}

/// Fails with the differences if the shared base has changed.
pub(crate) fn assert_untouched(base: &Base, before: &Snapshot) {
    let changes = before.difference(&snapshot(base));
    assert!(changes.is_empty(), "the base has changed:\n{}", changes.join("\n"));
}

/// Returns what an environment shows of some distributions: for each, a line of name, version by
/// metadata, `__version__` of the module, and the number of distributions of that name.
pub(crate) fn seen(python: &Path, modules: &[(&str, &str)]) -> BTreeMap<String, String> {
    const PROGRAM: &str = "
import importlib, importlib.metadata as metadata, sys
names = [d.metadata['Name'] for d in metadata.distributions()]
for pair in sys.argv[1:]:
    name, module = pair.split('=')
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = '-'
    try:
        found = importlib.import_module(module)
        assert found.__file__.startswith(sys.prefix), found.__file__
        found = found.__version__
    except ImportError:
        found = '-'
    print(name, version, found, names.count(name))
";
    let pairs = modules.iter().map(|(name, module)| format!("{name}={module}"));
    let words: Vec<_> = ["-c".to_owned(), PROGRAM.to_owned()].into_iter().chain(pairs).collect();
    let lines = run(python, &words);
    let line = |line: &str| {
        let (name, rest) = line.split_once(' ').expect("a name and what is seen");
        (name.to_owned(), rest.to_owned())
    };
    lines.lines().map(line).collect()
}

/// Returns whether the environment can import the module.
pub(crate) fn imports(python: &Path, module: &str) -> bool {
    let program = format!(
        "import importlib.util as u\ntry: found = u.find_spec('{module}')\nexcept ImportError: found = None\nprint(bool(found))"
    );
    run(python, &["-c", &program]).trim() == "True"
}

/// The site folder of an environment.
pub(crate) fn site(python: &Path) -> PathBuf {
    Interpreter::describe(python, None).expect("an interpreter").purelib().to_path_buf()
}
