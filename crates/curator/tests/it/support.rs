//! Runs of the command over one base and one cache, or a cache of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Weak};

use curator::backends::sync::Mutex;

use serde_json::Value;

/// The program under test.
pub(crate) const CURATOR: &str = env!("CARGO_BIN_EXE_curator");

/// A cache with a base in it, removed with the last test that uses it: statics are never dropped.
static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());

/// A cache, and a base: a virtualenv with `packaging` 26.0 and `idna`.
pub(crate) struct World {
    dir: tempfile::TempDir,
    base: PathBuf,
}

/// The output of a run of the command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Returns the world that tests share, which none of them empties.
pub(crate) fn shared() -> Arc<World> {
    let mut slot = SHARED.lock();
    slot.upgrade().unwrap_or_else(|| {
        let world = Arc::new(World::new());
        *slot = Arc::downgrade(&world);
        world
    })
}

impl World {
    /// A world with a cache of its own. uv is fetched once for all worlds, and kept.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cache = dir.path().join("cache");
        fs::create_dir(&cache).expect("a fresh folder");
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
        fs::create_dir_all(&tools).expect("a folder for tools");
        std::os::unix::fs::symlink(&tools, cache.join("tools")).expect("a fresh folder");
        let mut world = Self { dir, base: PathBuf::new() };
        let made = world.run(&[
            "env",
            "create",
            "--uv",
            "idna==3.10",
            "--managed-base",
            "packaging==26.0",
        ]);
        world.base = made.path();
        world
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// Returns the base's interpreter.
    pub(crate) fn base(&self) -> &str {
        self.base.to_str().expect("a path of ours")
    }

    /// Runs the command.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "", &[])
    }

    /// Runs the command with a standard input and variables.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str, vars: &[(&str, &str)]) -> Run {
        let mut command = duct::cmd(CURATOR, arguments)
            .dir(self.dir())
            .env("CURATOR_CACHE_DIR", self.cache())
            .stdin_bytes(input)
            .stdout_capture()
            .stderr_capture()
            .unchecked();
        for (name, value) in vars {
            command = command.env(name, value);
        }
        // The last setting wins, so these come last.
        for name in ["VIRTUAL_ENV", "PYTHONPATH"] {
            command = command.env_remove(name);
        }
        Run::from(command.run().expect("the command starts"))
    }

    /// Creates an environment over the base, and returns the command's JSON.
    pub(crate) fn create(&self, requirement: &str) -> Value {
        let arguments = ["env", "create", "--uv", requirement, "--base", self.base(), "--json"];
        self.run(&arguments).json()
    }

    /// Creates such an environment, and returns its key.
    pub(crate) fn key(&self, requirement: &str) -> String {
        self.create(requirement)["key"].as_str().expect("a key").to_owned()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Run {
    /// Returns the output of a run that succeeded.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// Returns the path in the output.
    #[track_caller]
    pub(crate) fn path(self) -> PathBuf {
        PathBuf::from(self.text().trim_end())
    }

    /// Returns the JSON in the output.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Checks that the run failed with this exit code and these words, and printed no result.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(words), "{}", self.err);
        assert_eq!(self.out, "");
    }
}
