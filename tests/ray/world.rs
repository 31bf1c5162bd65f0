//! The base with Ray, clusters one at a time, and Python scripts that may start them.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use curator::RuntimeEnv;
use curator::backends::sync::{Mutex, MutexGuard};
use curator::backends::{Environment, Provisioner};
use curator::envspec::LoadedEnv;
use tempfile::TempDir;

/// The packages of a base for all three engines; Ray's own way to make environments needs `pip` and
/// `virtualenv`.
const REQUIREMENTS: [&str; 8] = [
    "ray[data,default]==2.60.0",
    "cosmos-xenna==0.2.0",
    "pandas",
    "pyarrow",
    "tqdm",
    "loguru",
    "virtualenv",
    "pip",
];

/// Time limit of a script, far longer than needed, so that a hang ends.
const PATIENCE: Duration = Duration::from_mins(25);
/// Time limit until killed processes of a cluster are gone.
const REAPING: Duration = Duration::from_secs(30);
/// Maximum bytes of a script's standard error that a failure shows.
const TAIL: usize = 16 * 1024;

/// The base lives as long as this process.
static BASE: LazyLock<Environment> = LazyLock::new(|| managed(RuntimeEnv::uv(REQUIREMENTS)));

/// The turn to have a cluster.
static TURN: Mutex<()> = Mutex::new(());

/// Returns the cache of these tests, which stays for their next run, since a base with Ray is
/// large.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("ray/cache")
}

/// Returns whether tests with a quick version run whole, which takes about ten minutes more.
pub(crate) fn tests_all() -> bool {
    std::env::var_os("CURATOR_TEST_ALL").is_some_and(|value| value == "1")
}

/// Returns the interpreter of a base with Ray, which no test changes.
pub(crate) fn base() -> &'static Path {
    BASE.python()
}

/// Returns the command `curator`, built by Cargo beside these tests.
pub(crate) fn curator() -> &'static Path {
    static CURATOR: LazyLock<PathBuf> = LazyLock::new(|| {
        // This program is `target/PROFILE/deps/ray-…`.
        let own = std::env::current_exe().expect("this program is somewhere");
        let program = own.ancestors().nth(2).expect("deps/ has a parent").join("curator");
        let built = fs::metadata(&program).and_then(|found| found.modified());
        let is_current = built.is_ok_and(|built| newest(&workspace().join("crates")) <= built);
        assert!(
            is_current,
            "{} is missing or older than its sources: `cargo test --workspace` builds it, and so \
             does `cargo build -p curator --features cli`",
            program.display()
        );
        program
    });
    &CURATOR
}

/// Returns when the newest source of the command changed.
fn newest(crates: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders: Vec<PathBuf> = fs::read_dir(crates)
        .expect("the crates are there")
        .flat_map(|entry| {
            ["src", "python"].map(|name| entry.as_ref().expect("readable").path().join(name))
        })
        // The package for Python is no part of the command.
        .filter(|folder| folder.is_dir() && !folder.ends_with("curator/python"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("sources are readable") {
            let entry = entry.expect("sources are readable");
            let found = entry.metadata().expect("sources are readable");
            if found.is_dir() {
                folders.push(entry.path());
            } else {
                newest = newest.max(found.modified().expect("a time"));
            }
        }
    }
    newest
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Returns a base that the cache makes from a bare interpreter and these requirements.
pub(crate) fn managed(requirements: RuntimeEnv) -> Environment {
    let provisioner = Provisioner::builder().base(requirements).cache_dir(&*cache()).open();
    let made = provisioner.and_then(|it| it.base_environment(&LoadedEnv::default()));
    made.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// The turn to have one Ray cluster, and its folder. Dropping it ends the cluster's processes and
/// removes its files.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn to have a cluster. The first script that calls `ray.init()` starts it.
pub(crate) fn cluster() -> Cluster {
    let turn = TURN.lock();
    // The paths of Ray's sockets in it must stay below 107 bytes.
    let dir = tempfile::Builder::new().prefix("ray").rand_bytes(4).tempdir_in("/tmp");
    Cluster { dir: dir.expect("a folder in /tmp"), _turn: turn }
}

impl Cluster {
    /// Returns the folder where Ray keeps its sessions.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a Python script with the base. Returns its output; panics with its error.
    #[track_caller]
    pub(crate) fn python(&self, script: &Path, arguments: &[&OsStr]) -> String {
        self.python_of(base(), script, arguments).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Runs a Python script with any interpreter. Returns its output, or how it failed and the end
    /// of its error output.
    ///
    /// The interpreter's environment is activated. The script and all its children get the
    /// cluster's folder as `RAY_TMPDIR`, and the cache.
    pub(crate) fn python_of(
        &self,
        python: &Path,
        script: &Path,
        arguments: &[&OsStr],
    ) -> Result<String, String> {
        // Files instead of pipes, since Ray's processes may keep them open after the script ends.
        let [output, error] = ["out", "err"].map(|name| self.dir().join(name));
        let scripts = python.parent().expect("bin/python");
        let inherited = std::env::var("PATH").expect("a PATH that is text");
        let words = [script.as_os_str()].into_iter().chain(arguments.iter().copied());
        let running = duct::cmd(python, words)
            .dir(self.dir())
            .env("RAY_TMPDIR", self.dir())
            .env("CURATOR_CACHE_DIR", cache())
            .env("CURATOR_PROGRAM", curator())
            .env("RAY_DEDUP_LOGS", "0")
            .env("RAY_USAGE_STATS_ENABLED", "0")
            .env("PYTHONUNBUFFERED", "1")
            .env("PATH", format!("{}:{inherited}", scripts.display()))
            .env("VIRTUAL_ENV", scripts.parent().expect("PREFIX/bin"))
            .env_remove("RAY_ADDRESS")
            .env_remove("PYTHONPATH")
            .stdin_null()
            .stdout_path(&output)
            .stderr_path(&error)
            .unchecked()
            .start()
            .expect("the interpreter starts");
        let ended = running.wait_timeout(PATIENCE).expect("a child of ours");
        let outcome = match ended.map(|output| output.status) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("ended with {status}")),
            None => {
                running.kill().expect("a child of ours");
                Err(format!("did not end within {PATIENCE:?}"))
            }
        };
        let read = |path: &Path| {
            String::from_utf8_lossy(&fs::read(path).expect("a file of ours")).into_owned()
        };
        let printed = read(&output);
        outcome.map(|()| printed.clone()).map_err(|problem| {
            let said = read(&error);
            let tail = &said[said.floor_char_boundary(said.len().saturating_sub(TAIL))..];
            format!("{} {problem}\n\nprinted:\n{printed}\nsaid:\n{tail}", script.display())
        })
    }

    /// Starts a Python script that keeps the cluster up, and waits for its first line.
    pub(crate) fn start(&self, script: &Path) -> Started {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let started = duct::cmd(base(), [script])
            .dir(self.dir())
            .env("RAY_TMPDIR", self.dir())
            .env("TMPDIR", self.dir())
            .env("RAY_USAGE_STATS_ENABLED", "0")
            .env_remove("RAY_ADDRESS")
            .env_remove("PYTHONPATH")
            .stdin_file(reader)
            .stderr_path(self.dir().join("err"))
            .reader()
            .expect("the interpreter starts");
        let mut first_line = String::new();
        BufReader::new(&started).read_line(&mut first_line).expect("it says something");
        assert!(!first_line.is_empty(), "it said: {}", self.said());
        Started { first_line: first_line.trim().to_owned(), input: writer, reader: started }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir().join("err")).unwrap_or_default()
    }

    /// Returns the processes of the cluster and of its scripts.
    pub(crate) fn processes(&self) -> Vec<i32> {
        processes(self.dir())
    }
}

/// A script that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Started {
    first_line: String,
    input: PipeWriter,
    /// Dropping it ends the script.
    reader: duct::ReaderHandle,
}

impl Started {
    pub(crate) fn first_line(&self) -> &str {
        &self.first_line
    }

    /// Sends a line to the script, which answers each line with one.
    pub(crate) fn ask(&self, line: &str) -> String {
        writeln!(&self.input, "{line}").expect("the script listens");
        let mut answer = String::new();
        BufReader::new(&self.reader).read_line(&mut answer).expect("it says something");
        assert!(!answer.is_empty(), "no answer to {line:?}");
        answer.trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let deadline = Instant::now() + REAPING;
        // Some may start others meanwhile.
        while let left = self.processes()
            && !left.is_empty()
        {
            if Instant::now() > deadline {
                // A failing test already reports something else.
                assert!(thread::panicking(), "processes that cannot be ended: {left:?}");
                return;
            }
            let numbers = left.iter().map(ToString::to_string);
            let words = ["-9".to_owned()].into_iter().chain(numbers);
            // A process that has ended by itself meanwhile is no failure.
            drop(duct::cmd("kill", words).stderr_null().unchecked().run());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns the processes that were started with this folder for a cluster, whatever their parents
/// are.
fn processes(dir: &Path) -> Vec<i32> {
    let mark = format!("RAY_TMPDIR={}", dir.display());
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &i32| {
            // A process that has ended has no variables, even before it is reaped.
            let vars = fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
            vars.split(|byte| *byte == 0).any(|var| var == mark.as_bytes())
        })
        .collect()
}

/// A Python script of these tests.
pub(crate) fn script(name: &str) -> PathBuf {
    workspace().join("tests/ray").join(name)
}

#[test]
fn nothing_of_a_cluster_is_left() {
    let cluster = cluster();
    let dir = cluster.dir().to_owned();
    let version = cluster.python(&script("one_task.py"), &[]);
    assert_eq!(version, "2.60.0\n");
    assert!(!cluster.processes().is_empty(), "the script leaves its cluster behind");
    drop(cluster);
    assert_eq!(processes(&dir), [0; 0]);
    assert!(!dir.exists());
}
