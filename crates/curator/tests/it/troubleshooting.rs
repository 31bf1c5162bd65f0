//! Every error on the page about errors, provoked by the command: the output has the page's text
//! and its hint.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::pipelines::{Folder, own_project};
use crate::support::{CURATOR, Run, World, shared};

const PAGE: &str = include_str!("../../../../docs/troubleshooting.md");

/// An entry of the page: `…` in it stands for anything.
struct Entry {
    /// The heading, which is the error's text.
    error: String,
    /// The quotation below it, which is the hint that comes with the error.
    hint: Option<String>,
}

fn entries() -> Vec<Entry> {
    let (page, _) = PAGE.split_once("\n## Rarer errors\n").expect("the table at the end");
    page.split("\n### ")
        .skip(1)
        .map(|section| {
            let (error, body) = section.split_once('\n').expect("a heading and its text");
            let quoted = body.lines().filter_map(|line| line.strip_prefix("> "));
            let quoted = quoted.collect::<Vec<_>>().join(" ");
            let hint = quoted.strip_prefix("hint: ").map(str::to_owned);
            assert!(hint.is_some() || quoted.is_empty(), "`{error}` quotes something else");
            Entry { error: error.to_owned(), hint }
        })
        .collect()
}

/// Returns whether the parts of a pattern stand in a text, in their order.
pub(crate) fn has(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

const STAGES: &str = r#"
import os
import signal
import time


def give_back(task):
    return task


class Letters:
    def __init__(self, field="city"):
        self.field = field

    def process(self, task):
        task.data["length"] = len(task.data[self.field])
        return task


class Model:
    def setup(self):
        open("model.bin")

    def process(self, task):
        return task


class Nothing:
    pass


class Changes:
    runtime_env = {"env_vars": {"PROCESS": str(os.getpid())}}

    def process(self, task):
        return task


class Declares:
    runtime_env = {"uv": ["packaging==24.0"]}

    def process(self, task):
        return task


def numbered(task):
    return {1: task.data["city"]}


def gives_and_returns(task):
    if task.data["city"]:
        return task
    yield task


class First:
    def process_batch(self, tasks):
        return tasks[:1]


def a_set(task):
    return {"letters": set(task.data["city"])}


def a_mixed_column(task):
    from curator_table import Table

    return Table.from_pydict({"n": [1, "two"]})


def not_a_number(task):
    return {"mean": float("nan")}


def crash(task):
    os.kill(os.getpid(), signal.SIGSEGV)


def too_large(task):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(task):
    os._exit(3)


def slow(task):
    time.sleep(30)
"#;

/// Returns a folder with a pipeline of one stage over the shared base.
fn one_stage(code: &str, fields: &str) -> Folder {
    let folder =
        Folder::new(&format!("\n[[stage]]\nname = \"clean\"\npython = \"{code}\"\n{fields}"));
    folder.write("stages.py", STAGES);
    folder.write("tasks.jsonl", "{\"city\": \"Oslo\"}\n{\"city\": \"Rome\"}\n");
    folder
}

const RUN: [&str; 4] = ["run", "pipeline.toml", "--input", "tasks.jsonl"];

/// Runs a pipeline of one stage with this code.
fn code(code: &str) -> Run {
    one_stage(code, "").run(&RUN)
}

/// Runs a pipeline of one stage with this destination.
fn written(arguments: &[&str]) -> Run {
    one_stage("stages.py:give_back", "").run(&[&RUN[..], arguments].concat())
}

/// Runs a pipeline of one stage with these fields.
fn fields(fields: &str) -> Run {
    one_stage("stages.py:give_back", fields).run(&RUN)
}

/// Runs a pipeline whose stage has this `runtime_env`.
fn runtime_env(text: &str) -> Run {
    fields(&format!("runtime_env = {text}\n"))
}

/// Runs a good pipeline with more arguments.
fn run_with(arguments: &[&str]) -> Run {
    one_stage("stages.py:give_back", "").run(&[&RUN[..], arguments].concat())
}

/// Runs with a lock file of these lines.
fn lock_file(lines: &str) -> Run {
    let folder = one_stage("stages.py:give_back", "runtime_env = { uv = \"pylock.toml\" }\n");
    folder.write("pylock.toml", &format!("lock-version = \"1.0\"\n{lines}"));
    folder.run(&RUN)
}

/// Creates an environment with more arguments, in a folder of files that are named here.
fn create(arguments: &[&str], files: &[(&str, &str)]) -> Run {
    let folder = Folder::new("");
    for (name, text) in files {
        fs::create_dir_all(folder.path(name).parent().expect("a folder")).expect("a folder");
        folder.write(name, text);
    }
    let base = ["--base", folder.world.base()];
    folder.run(&[&["env", "create"], &base[..], arguments].concat())
}

/// Creates an environment over another base.
fn over(base: &Path) -> Run {
    let world = shared();
    let base = base.to_str().expect("text");
    world.run(&["env", "create", "--uv", "packaging==24.0", "--base", base])
}

/// Returns a virtualenv in a folder of its own.
fn virtualenv(world: &World) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let venv = duct::cmd!(world.base(), "-m", "venv", "--without-pip", dir.path().join("venv"));
    venv.run().expect("a virtualenv");
    dir
}

/// Runs a pipeline twice over the files that the first run left, the second time with other
/// arguments.
fn again(keep: &str, first: &[&str], then: impl FnOnce(&Folder), second: &[&str]) -> Run {
    let uv = "runtime_env = { uv = [\"packaging==24.0\"] }\n";
    let folder = one_stage("stages.py:give_back", uv);
    let run = folder.run(&[&RUN[..], first, &[keep]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    then(&folder);
    folder.run(&[&RUN[..], second].concat())
}

/// Runs the command while a process runs in an environment.
fn in_use(spec: &[&str], arguments: impl FnOnce(&World, &str) -> Vec<String>) -> Run {
    let world = World::new();
    let create = ["env", "create", "--json", "--base", world.base()];
    let made = world.run(&[&create[..], spec].concat()).json();
    let key = made["key"].as_str().expect("a key").to_owned();
    let ready = world.dir().join("ready");
    let sleep = format!("touch '{}'; exec sleep 60", ready.display());
    let holder = duct::cmd!(CURATOR, "env", "exec", "--spec", &key, "--", "sh", "-c", sleep)
        .env("CURATOR_CACHE_DIR", world.cache())
        .start()
        .expect("the command starts");
    while !ready.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let arguments = arguments(&world, &key);
    let run = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    // The holder is now `sleep`.
    holder.kill().expect("to end it");
    run
}

/// Lists the environments of a cache with this owner, group and mode.
fn list_in_a_cache(owner: u32, group: u32, mode: u32) -> Run {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = dir.path().join("cache");
    fs::create_dir(&cache).expect("a folder");
    std::os::unix::fs::chown(&cache, Some(owner), Some(group)).expect("this needs root");
    crate::permissions::set_mode(&cache, mode);
    shared().run(&["--cache-dir", &cache.display().to_string(), "env", "list"])
}

/// Runs the command in a mount namespace of its own, after a shell script that finds the cache in
/// `$1`.
fn on_a_disk(world: &World, script: &str, arguments: &[&str]) -> Run {
    let script = format!("disk=$1; shift; {script}; exec \"$@\"");
    let cache = world.cache();
    let mut words = vec!["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"];
    words.extend([cache.to_str().expect("text"), CURATOR]);
    words.extend(arguments);
    let run = duct::cmd("unshare", words).env("CURATOR_CACHE_DIR", &cache);
    let run = run.dir(world.dir()).stdin_null().stdout_capture().stderr_capture().unchecked();
    Run::from(run.run().expect("`unshare`, of util-linux"))
}

/// Runs as a user that may have one process, which root cannot be.
fn without_threads() -> Run {
    let folder = one_stage("stages.py:give_back", "");
    let [own, held] = ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"];
    let mut words = vec!["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", own, held];
    if !fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        words.clear();
    }
    words.extend(["prlimit", "--nproc=1:1", CURATOR]);
    words.extend(RUN);
    let run = duct::cmd(words[0], &words[1..]).dir(folder.path("")).env_remove("VIRTUAL_ENV");
    let run = run.env("CURATOR_CACHE_DIR", folder.world.cache()).stdout_capture().stderr_capture();
    Run::from(run.unchecked().run().expect("`prlimit`, of util-linux"))
}

/// An index with a package `alpha`, served from a folder until this is dropped.
pub(crate) struct Index {
    dir: tempfile::TempDir,
    python: String,
    server: duct::ReaderHandle,
    pub(crate) url: String,
}

impl Index {
    pub(crate) fn new(python: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("alpha")).expect("a folder");
        let serve = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"];
        let server = duct::cmd(python, serve).dir(dir.path()).stderr_null().unchecked();
        let server = server.reader().expect("a server");
        let mut line = String::new();
        BufReader::new(&server).read_line(&mut line).expect("its first line");
        let (_, port) = line.split_once("port ").expect("its port");
        let (port, _) = port.split_once(' ').expect("its port");
        let url = format!("http://127.0.0.1:{port}/");
        Self { dir, python: python.to_owned(), server, url }
    }

    /// Adds a version to the index.
    pub(crate) fn add(&self, version: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../backends/tests/it/wheels.py");
        let wheel = format!("[{{\"name\": \"alpha\", \"version\": \"{version}\"}}]");
        let write = duct::cmd!(&self.python, script, self.dir.path().join("alpha"));
        write.stdin_bytes(wheel).run().expect("a wheel");
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.server.kill().expect("to end the server");
    }
}

/// A project that cannot be built.
const BROKEN_PROJECT: [(&str, &str); 2] = [
    (
        "broken/pyproject.toml",
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"broken\"\nversion = \"1\"\n",
    ),
    ("broken/backend.py", "def build_wheel(*a, **k): raise SystemExit('no compiler')\n"),
];

/// Returns a run that provokes the error with this text.
#[expect(clippy::too_many_lines, reason = "a table")]
fn scenario(error: &str) -> Option<Run> {
    let world = shared();
    Some(match error {
        // The pipeline file, and the arguments.
        "cannot read the pipeline `…`" => Folder::new("").run(&["run", "pipelin.toml"]),
        "`stage[0].batch_sise`: unknown field `batch_sise`, expected one of …" => {
            fields("batch_sise = 4\n")
        }
        "`stage[0].batch_size`: invalid type: …, expected a whole number from 0 on" => {
            fields("batch_size = \"four\"\n")
        }
        "stage `…`: `batch_size` is 0" => fields("batch_size = 0\n"),
        "pipeline `…` has more than one stage named `…`" => {
            fields("\n[[stage]]\nname = \"clean\"\npython = \"stages.py:give_back\"\n")
        }
        "line …, column …: unclosed inline table, expected `}`" => {
            fields("args = { field = \"city }\n")
        }
        "`…` does not name Python code: there is no `:` (write `file.py:Name` or `package.module:Name`)" => {
            code("stages.py")
        }
        "stage `…` needs `…`, which no stage before it needs or gives" => fields(
            "outputs = [\"length\"]\n\n[[stage]]\nname = \"next\"\n\
             python = \"stages.py:give_back\"\ninputs = [\"lenght\"]\n",
        ),
        "--set: the pipeline has no stage named `…`" => {
            run_with(&["--set", "stage.claen.batch_size=2"])
        }
        "--set: there is no `=` between key and value" => run_with(&["--set", "stage.clean"]),
        "--set: `…`: has no value that TOML knows" => {
            run_with(&["--set", "stage.clean.python=stages.py:slow"])
        }
        "…, line …: no task" => {
            let folder = one_stage("stages.py:give_back", "");
            folder.write("tasks.jsonl", "{\"city\": \"Oslo\"}\n{city: Rome}\n");
            folder.run(&RUN)
        }
        "cannot read the input `…`" => {
            one_stage("stages.py:give_back", "").run(&["run", "pipeline.toml", "-i", "no.jsonl"])
        }
        "cannot read the input `…`: a line is longer than … MiB" => {
            one_stage("stages.py:give_back", "").run(&["run", "pipeline.toml", "-i", "/dev/zero"])
        }
        "it is larger than … MiB, and no more is read" => world.run(&["plan", "/dev/zero"]),

        // Specs.
        "`…` is no field of a runtime_env" => runtime_env("{ pipp = [\"packaging\"] }"),
        "`pip` and `uv` cannot both be set" => runtime_env("{ pip = [\"six\"], uv = [\"six\"] }"),
        "`…` is no requirement" => runtime_env("{ uv = [\"packaging=24.0\"] }"),
        "`…` cannot be read as requirements: …" => {
            let spec = "runtime_env = { uv = \"pyproject.toml\" }\n";
            let folder = one_stage("stages.py:give_back", spec);
            folder.write("pyproject.toml", "[dependency-groups]\ndev = [\"six\"]\n");
            folder.run(&RUN)
        }
        "`requires-python` of `…` is `…`, and `…` is Python …" => lock_file(
            "[[packages]]\nname = \"six\"\nversion = \"1.17.0\"\nrequires-python = \">=3.99\"\n",
        ),
        "`…` is for environments with `…`, and `…` has …" => {
            lock_file("packages = []\nenvironments = [\"sys_platform == 'win32'\"]\n")
        }
        "the repository in `…` tells a version and cannot be read: …" => {
            let folder =
                one_stage("stages.py:give_back", "runtime_env = { uv = [\"./hg/lib\"] }\n");
            for (name, text) in [
                ("hg/.hg/store/00changelog.i", "history"),
                ("hg/lib/pyproject.toml", "[build-system]\nrequires = [\"setuptools_scm\"]\n"),
            ] {
                fs::create_dir_all(folder.path(name).parent().expect("a folder"))
                    .expect("a folder");
                folder.write(name, text);
            }
            folder.run(&RUN)
        }
        "`…` is no text that … reads: …" => {
            let spec = "runtime_env = { uv = \"requirements.txt\" }\n";
            let folder = one_stage("stages.py:give_back", spec);
            let latin = b"# caf\xe9\nsix\n";
            std::fs::write(folder.path("requirements.txt"), latin).expect("a file of ours");
            folder.run(&RUN)
        }
        "`…` cannot be `…`: what follows the colon behind its host is no port: …" => {
            runtime_env("{ uv = [\"six\", \"--index-url https://user:pass/word@h/simple\"] }")
        }
        "failed to read `…`" => runtime_env("{ uv = \"requirments.txt\" }"),
        "`…` takes text, not …" => runtime_env("{ env_vars = { THREADS = 4 } }"),
        "`…` names `…`, which is not there" => runtime_env("{ working_dir = \"taggr\" }"),
        "the option `…` is not understood in requirements" => {
            runtime_env("{ uv = [\"--indx-url https://example.org/simple\", \"six\"] }")
        }
        "the option `…` is refused: a spec does not say where packages go, or whether they are installed" =>
        {
            let options = "uv_pip_install_options = [\"--target=/tmp\"]";
            runtime_env(&format!("{{ uv = {{ packages = [\"six\"], {options} }} }}"))
        }
        "the option `…` is none that … is known to have" => {
            let options = "pip_install_options = [\"--no-dpes\"]";
            runtime_env(&format!("{{ pip = {{ packages = [\"six\"], {options} }} }}"))
        }
        "the option `…` may be one of …" => {
            let options = "pip_install_options = [\"--no-b\", \"six\"]";
            runtime_env(&format!("{{ pip = {{ packages = [\"six\"], {options} }} }}"))
        }
        "the field `…` of the runtime_env of … needs one of the Ray executors" => {
            runtime_env("{ conda = \"analysis\" }")
        }
        "what shall be in the environment?" => create(&[], &[]),

        // Packages.
        "`…` found no package `…`" => runtime_env("{ uv = [\"packagin-g==24.0\"] }"),
        "`…` found no versions that satisfy the requirements" => {
            runtime_env("{ uv = [\"packaging==9999\"] }")
        }
        "the configuration file `…` cannot be read" => {
            let file = world.dir().join("broken-uv.toml");
            std::fs::write(&file, "index-url = \n").expect("a writable folder");
            let create = ["env", "create", "--base", world.base(), "--uv", "six==1.16.0"];
            world.run_with(&create, "", &[("UV_CONFIG_FILE", file.to_str().expect("its path"))])
        }
        "In `--require-hashes` mode, all requirements must have a hash" => create(
            &["--requirements", "locked.txt"],
            &[("locked.txt", "--require-hashes\npackaging==24.0\n")],
        ),
        "`…` is kept at the base's …, but `…` asks for another" => {
            runtime_env("{ uv = [\"packaging==24.0\"], keep = [\"packaging\"] }")
        }
        "the packages do not fit together" => runtime_env(
            "{ uv = { packages = [\"requests==2.32.0\", \"idna==3.10\"], uv_check = true, \
             uv_pip_install_options = [\"--no-deps\"] } }",
        ),
        "`…` could not build `…`" => create(&["--uv", "./broken"], &BROKEN_PROJECT),
        "`…` could not download what it needs" => {
            let index = "--index-url http://127.0.0.1:9/simple";
            let create = ["env", "create", "--base", world.base(), "--uv", index, "--uv", "six"];
            world.run_with(&create, "", &[("UV_HTTP_RETRIES", "0")])
        }
        "`…` was stopped at the deadline" => {
            let endless = ("broken/backend.py", "import time\ntime.sleep(60)\n");
            let spec = "{ \"uv\": [\"./broken\"], \"config\": { \"setup_timeout_seconds\": 1 } }";
            create(&["--spec", spec], &[BROKEN_PROJECT[0], endless])
        }

        "failed to make a folder in `…`" => {
            let create = ["env", "create", "--base", world.base(), "--uv", "packaging==24.2"];
            world.run_with(&create, "", &[("TMPDIR", "/opt/no-such-folder")])
        }
        "failed to start a thread" => without_threads(),

        // The base.
        "no Python interpreter at `…`" => over(Path::new("/opt/no-such-venv")),
        "`…` did not describe itself" => over(Path::new("/bin/true")),
        "`…` points to an interpreter that is gone, `…`" => {
            let dir = virtualenv(&world);
            let python = dir.path().join("venv/bin/python");
            fs::remove_file(&python).expect("a link");
            std::os::unix::fs::symlink("/opt/gone/bin/python3", &python).expect("a link");
            over(&dir.path().join("venv"))
        }
        "the base `…` is a conda environment" => {
            let dir = virtualenv(&world);
            fs::create_dir(dir.path().join("venv/conda-meta")).expect("a folder");
            over(&dir.path().join("venv"))
        }
        "the virtualenv named by `VIRTUAL_ENV` cannot be the base" => {
            let folder = Folder::new("");
            let create = duct::cmd!(CURATOR, "env", "create", "--uv", "packaging==24.0");
            let create = create.env("VIRTUAL_ENV", "/opt/no-such-venv").stdout_capture();
            let create = create.env("CURATOR_CACHE_DIR", world.cache()).stderr_capture();
            drop(folder);
            create.unchecked().run().expect("the command starts").into()
        }
        "no base environment: `VIRTUAL_ENV` is not set and there is no `python3` on `PATH`" => {
            world.run_with(&["env", "create", "--uv", "six"], "", &[("PATH", "/nowhere")])
        }
        "the environment `…` would lie inside its base `…`" => {
            let dir = virtualenv(&world);
            let (venv, cache) = (dir.path().join("venv"), dir.path().join("venv/cache"));
            let [venv, cache] = [venv, cache].map(|path| path.display().to_string());
            world.run(&["--cache-dir", &cache, "env", "create", "--uv", "six", "--base", &venv])
        }
        "environment … is made of links into the base `…`, which has changed since" => {
            let dir = virtualenv(&world);
            let venv = dir.path().join("venv");
            let base = venv.display().to_string();
            let words = ["env", "create", "--uv", "packaging==24.0", "--base", &base, "--json"];
            let made = world.run(&[&words[..], &["--strategy", "symlink"]].concat()).json();
            let lib = fs::read_dir(venv.join("lib")).expect("its lib").flatten().next();
            let site = lib.expect("its Python").path().join("site-packages");
            fs::write(site.join("new.py"), "").expect("a module");
            let key = made["key"].as_str().expect("a key");
            world.run(&["env", "exec", "--spec", key, "--", "python", "-V"])
        }
        "… needs `ray…` in the base, which has none" => run_with(&["--backend", "ray-data"]),

        // The code of stages.
        "stage `…` cannot be loaded: FileNotFoundError" => code("stage.py:give_back"),
        "stage `…` cannot be loaded: AttributeError: stages has no '…'; it defines …" => {
            code("stages.py:Leters")
        }
        "'…' has neither `process(task)` nor `process_batch(tasks)`" => code("stages.py:Nothing"),
        "stage `…` cannot be loaded: ModuleNotFoundError: No module named '…'" => {
            let folder = one_stage("needs.py:slug", "");
            folder.write("needs.py", "import slugify\n\ndef slug(task):\n    return task\n");
            folder.run(&RUN)
        }
        "stage `…` cannot be loaded: ImportError: the stage file … gets the module '…' from …, not from …, which comes last in a worker: rename that, or install it in place (`pip install -e`)" =>
        {
            let folder = one_stage("mean.py:mean", "");
            folder.write("statistics.py", "");
            folder.write("mean.py", "import statistics\n\ndef mean(task):\n    return task\n");
            folder.run(&RUN)
        }
        "stage `…` cannot be loaded: SyntaxError" => {
            let folder = one_stage("broken.py:slug", "");
            folder.write("broken.py", "def slug(task)\n    return task\n");
            folder.run(&RUN)
        }
        "stage `…` cannot be loaded: TypeError: … got an unexpected keyword argument '…'" => {
            let args = "args = { feild = \"city\" }\n";
            one_stage("stages.py:Letters", args).run(&RUN)
        }
        "the code of stage `…` declares the runtime_env …, and the plan has …" => {
            code("stages.py:Changes")
        }
        "the runtime_env that the code of stage `…` declares is no literal, and the code does not run in the base: …" =>
        {
            let folder = one_stage("early.py:Early", "");
            folder.write(
                "early.py",
                "import torch_of_its_own\n\nclass Early:\n    runtime_env = dict(uv=[\"packaging==24.0\"])\n",
            );
            folder.run(&RUN)
        }
        "the code of stage `…` declares `…` …, which the pipeline forbids" => {
            one_stage("stages.py:Declares", "declared = \"forbid\"\n").run(&RUN)
        }
        "stage `…` failed to set up" => code("stages.py:Model"),
        "a worker of stage `…` is in the wrong environment" => {
            let world = World::new();
            let folder = one_stage("stages.py:give_back", "");
            let made = world.create("packaging==24.0");
            let pipeline = folder.read("pipeline.toml").replace(folder.world.base(), world.base());
            let uv = "runtime_env = { uv = [\"packaging==24.0\"] }\n";
            folder.write("pipeline.toml", &format!("{pipeline}{uv}"));
            let python = Path::new(made["path"].as_str().expect("a path"));
            let lib = python.ancestors().nth(2).expect("PREFIX/bin/python").join("lib");
            let lib = fs::read_dir(lib).expect("a folder").flatten().next().expect("pythonX.Y");
            let info = lib.path().join("site-packages/packaging-24.0.dist-info");
            fs::remove_dir_all(info).expect("it is there");
            world.run(&["run", &folder.text("pipeline.toml"), "-i", &folder.text("tasks.jsonl")])
        }

        // Tasks.
        "task … failed in stage `…`: it raised …" => {
            one_stage("stages.py:Letters", "args = { field = \"town\" }\n").run(&RUN)
        }
        "it raised TypeError: 'NoneType' object is not subscriptable" => {
            let folder = one_stage("stages.py:Letters", "");
            let run = folder.expression(&duct::cmd(CURATOR, &RUN[..2])).stdin_null();
            run.stdout_capture().stderr_capture().run().expect("the command starts").into()
        }
        "the stage returned what cannot be sent: data['…'] is …, not JSON or bytes" => {
            code("stages.py:a_set")
        }
        "data['…'] is nan, which JSON cannot hold (use None)" => code("stages.py:not_a_number"),
        "data has the key …, and keys must be text" => code("stages.py:numbered"),
        "the generator returned a …, which is lost" => code("stages.py:gives_and_returns"),
        "it raised TypeError: column '…', row 1: str in a column of int" => {
            code("stages.py:a_mixed_column")
        }
        "process_batch got 2 tasks and returned 1 entries" => {
            one_stage("stages.py:First", "batch_size = 2\n").run(&RUN)
        }
        "task … failed validation for stage '…': it needs the key '…', and has …" => {
            fields("inputs = [\"town\"]\n")
        }
        "its worker was killed by signal 9 (SIGKILL, killed from outside or out of memory)" => {
            code("stages.py:too_large")
        }
        "its worker was killed by signal 11 (SIGSEGV…)" => code("stages.py:crash"),
        "its worker exited with code …" => code("stages.py:leave"),
        "it took longer than its limit of … s" => {
            one_stage("stages.py:slow", "task_timeout_seconds = 0.2\n").run(&RUN)
        }

        // Files of a run, and devices.
        "cannot write the results: the standard output is closed" => {
            let folder = one_stage("stages.py:give_back", "");
            let words = ["-c", "exec \"$0\" run pipeline.toml --input tasks.jsonl >&-", CURATOR];
            let run = folder.expression(&duct::cmd("sh", words)).stderr_capture();
            Run::from(run.run().expect("the command starts"))
        }
        "cannot write --output `…`: No such file or directory (os error 2)" => {
            written(&["--output", "nosuch/o.jsonl"])
        }
        "--output `…` is to be written as `.parquet`, and there are only …" => {
            written(&["--output", "o.parquet"])
        }
        "--output `…` is to be written as `.gz`, and there are only …" => {
            written(&["--output", "o.jsonl.gz"])
        }
        "--input `…` is to be read as `.gz`, and there are only …" => {
            one_stage("stages.py:give_back", "").run(&["run", "pipeline.toml", "-i", "t.jsonl.gz"])
        }
        "stage `…` asks for 1 GPU, and this machine has none" => {
            let folder = one_stage("stages.py:give_back", "resources = { gpus = 1 }\n");
            let command = folder.expression(&duct::cmd(CURATOR, RUN));
            let command = command.env("CUDA_VISIBLE_DEVICES", "").stdout_capture();
            Run::from(command.stderr_capture().run().expect("the command starts"))
        }
        "the code of stage `…`, `…`, defines no `…`" => {
            let run = one_stage("stages.py:give_bakc", "").run(&["plan", "pipeline.toml"]);
            // A plan lists the faults of all stages in its result.
            Run { err: run.out.clone(), ..run }
        }

        // The cache.
        "environment `…` is in use" => {
            let spec = ["--uv", "packaging==24.0"];
            in_use(&spec, |_, key| ["env", "remove", key].map(str::to_owned).to_vec())
        }
        "environment `…` is needed by `…`" => {
            let listed = world.run(&["env", "list", "--json"]).json();
            let listed = listed.as_array().cloned().unwrap_or_default();
            let bare = listed.iter().find(|it| it["strategy"] == "bare").expect("a managed base");
            world.run(&["env", "remove", bare["key"].as_str().expect("a key")])
        }
        "environment … cannot be used: its interpreter `…` is gone" => {
            let world = World::new();
            let key = world.key("packaging==24.0");
            let bin = world.cache().join("envs-v1").join(&key).join("bin");
            for entry in fs::read_dir(bin).expect("its programs").flatten() {
                fs::remove_file(entry.path()).expect("a file");
            }
            world.run(&["env", "exec", "--spec", &key, "--", "true"])
        }
        "no process that is kept warm has the number or key `…`" => {
            world.run(&["stop", "no-such"])
        }
        "failed to look into `…`" => {
            let dir = tempfile::tempdir().expect("a folder");
            let user = fs::metadata("/proc/self").expect("this process").uid();
            let folder = dir.path().join(format!("curator-{user}"));
            fs::create_dir(&folder).expect("a folder");
            crate::permissions::set_mode(&folder, 0o777);
            let temporary = dir.path().to_str().expect("text");
            world.run_with(&["ps"], "", &[("TMPDIR", temporary)])
        }
        "`…` is the start of … keys" => {
            let world = World::new();
            let envs = world.cache().join("envs-v1");
            let key = world.key("packaging==24.0");
            // Keys cannot be chosen, so this one is made by hand.
            let other = format!("{}{}", &key[..8], "0".repeat(56));
            let copy = envs.join(&other);
            duct::cmd!("cp", "-a", envs.join(&key), &copy).run().expect("a copy");
            let manifest = fs::read_to_string(copy.join("manifest.json")).expect("a manifest");
            fs::write(copy.join("manifest.json"), manifest.replace(&key, &other)).expect("a file");
            world.run(&["env", "show", &key[..8]])
        }
        "no environment's key starts with `…`" => world.run(&["env", "show", "00000000"]),
        "`…` is not a key" => world.run(&["env", "show", "packaging"]),
        "failed to start `…`" => {
            let base = world.base();
            world.run(&["env", "exec", "--spec", "{}", "--base", base, "--", "pythn"])
        }
        "Permission denied (os error 13)" => {
            let dir = tempfile::tempdir().expect("a folder");
            crate::permissions::set_mode(dir.path(), 0o555);
            let cache = dir.path().join("cache").display().to_string();
            crate::permissions::run_bound(&world, &["--cache-dir", &cache, "env", "list"])
        }
        "the cache is read-only: cannot … `…`" => {
            let world = World::new();
            let script = "mount --bind \"$disk\" \"$disk\" && mount -o remount,ro,bind \"$disk\"";
            let arguments = ["env", "create", "--uv", "packaging==24.0", "--base", world.base()];
            on_a_disk(&world, script, &arguments)
        }
        "`…` belongs to user …, who is not trusted here" => {
            list_in_a_cache(54_321, 54_321, 0o755)
        }
        "`…` is shared with group …, which this user is not in" => {
            list_in_a_cache(54_321, 54_321, 0o2770)
        }
        "`…` can be written by everyone (mode …)" => list_in_a_cache(0, 0, 0o777),
        "`…` can be written by group …, which it is not shared with (mode …)" => {
            list_in_a_cache(0, 54_321, 0o775)
        }
        "`…` can be replaced by everyone, since `…` has mode …" => {
            let dir = tempfile::tempdir().expect("a folder");
            crate::permissions::set_mode(dir.path(), 0o777);
            let cache = dir.path().join("cache").display().to_string();
            world.run(&["--cache-dir", &cache, "env", "list"])
        }
        "holds `…`, which is held only briefly in normal use: gave up after … s" => {
            let world = World::new();
            let key = world.key("packaging==24.0");
            let lock = world.cache().join(format!("locks/{key}.lock"));
            let lock = fs::File::open(lock).expect("a lock file");
            lock.lock().expect("no other process has it");
            world.run(&["env", "exec", "--spec", &key, "--", "true"])
        }
        "No space left on device (os error 28)" => {
            let world = World::new();
            let script = "tools=$(readlink \"$disk/tools\"); cp -a \"$disk\" /tmp/.kept-$$; \
                mount -t tmpfs -o size=8m tmpfs \"$disk\"; cp -a /tmp/.kept-$$/. \"$disk\"; \
                rm -rf /tmp/.kept-$$; \
                dd if=/dev/zero of=\"$disk/filler\" bs=4k status=none 2>/dev/null || true";
            let arguments = ["env", "create", "--uv", "packaging==24.0", "--base", world.base()];
            on_a_disk(&world, script, &arguments)
        }
        "the answer for environment `…` has changed, but it is in use" => {
            let index = Index::new(world.base());
            index.add("1.0");
            let url = format!("--index-url {}", index.url);
            let spec = ["--uv", &url, "--uv", "alpha"];
            in_use(&spec, |world, _| {
                index.add("2.0");
                let refresh = ["env", "refresh", "--base", world.base()];
                [&refresh[..], &spec].concat().into_iter().map(str::to_owned).collect()
            })
        }

        "`…` is no cache of this program: it holds `…`, and no `CACHEDIR.TAG` of ours" => {
            let world = World::new();
            let theirs = world.dir().join("theirs");
            fs::create_dir_all(theirs.join("trash")).expect("a folder");
            world.run(&["--cache-dir", theirs.to_str().expect("text"), "env", "list"])
        }
        "`…` is no folder of the cache: it is a link, or a file" => {
            let world = World::new();
            world.run(&["env", "list"]).text();
            fs::remove_dir(world.cache().join("trash")).expect("an empty folder");
            std::os::unix::fs::symlink(world.dir(), world.cache().join("trash")).expect("a link");
            world.run(&["env", "list"])
        }

        // Checkpoints and records.
        "`…` is no checkpoint: it holds `…`" => {
            let folder = one_stage("stages.py:Letters", "");
            fs::create_dir(folder.path("kept")).expect("a folder");
            folder.write("kept/notes", "");
            folder.run(&[&RUN[..], &["--checkpoint", "kept"]].concat())
        }
        "`…` is no folder of a record: it holds `…`" => {
            let folder = one_stage("stages.py:Letters", "");
            fs::create_dir(folder.path("kept")).expect("a folder");
            folder.write("kept/notes", "");
            folder.run(&[&RUN[..], &["--record", "kept"]].concat())
        }
        "the checkpoint `…` is of another pipeline" => again(
            "kept",
            &["--checkpoint"],
            |_| {},
            &["--checkpoint", "kept", "--set", "stage.clean.runtime_env={}"],
        ),
        "the checkpoint `…` is in use" => {
            let folder = one_stage("stages.py:slow", "");
            let arguments = [&RUN[..], &["--checkpoint", "kept"]].concat();
            let run = folder.expression(&duct::cmd(CURATOR, &arguments)).stderr_capture();
            let holder = run.start().expect("the command starts");
            while !folder.path("kept/journal.jsonl").exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
            let run = folder.run(&arguments);
            holder.kill().expect("to end it");
            run
        }
        "input task … is not the one that was finished under the checkpoint" => again(
            "kept",
            &["--checkpoint"],
            |folder| folder.write("tasks.jsonl", "{\"city\": \"Bern\"}\n"),
            &["--checkpoint", "kept"],
        ),
        "the checkpoint has finished input task …, and the input has only …" => again(
            "kept",
            &["--checkpoint"],
            |folder| folder.write("tasks.jsonl", "{\"city\": \"Oslo\"}\n"),
            &["--checkpoint", "kept"],
        ),
        "… asks for other packages than in the recorded run" => again(
            "kept",
            &["--record"],
            |_| {},
            &["--locked", "kept", "--set", "stage.clean.runtime_env={ uv = [\"six\"] }"],
        ),
        "`…` of … came from `…`, which is not what it was in the recorded run" => {
            let spec = "runtime_env = { uv = [\"-e ./own\"] }\n";
            let folder = one_stage("stages.py:give_back", spec);
            own_project(&folder);
            folder.run(&[&RUN[..], &["--record", "kept"]].concat()).text();
            folder.write("own/own.py", "WHOSE = 'edited'\n");
            folder.run(&[&RUN[..], &["--locked", "kept"]].concat())
        }
        "… is not what it was in the recorded run" => again(
            "kept",
            &["--record"],
            |folder| {
                let record = folder.read("kept/record.json");
                folder.write("kept/record.json", &record.replace("\"24.0\"", "\"23.2\""));
            },
            &["--locked", "kept"],
        ),
        _ => return None,
    })
}

#[test]
fn every_error_on_the_page_comes_out_as_it_stands_there() {
    let only = std::env::var("ONLY_ERROR").unwrap_or_default();
    // The scenarios share the world, one after another.
    let _world = shared();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for Entry { error, hint } in entries() {
        assert!(seen.insert(error.clone()), "`{error}` stands twice");
        if !error.contains(&only) {
            continue;
        }
        let Some(run) = scenario(&error) else {
            problems.push(format!("nothing provokes `{error}`"));
            continue;
        };
        let (words, advice) = run.err.split_once("\nhint: ").unwrap_or((&run.err, ""));
        if run.code == Some(0) || !has(words, &error) {
            problems.push(format!("`{error}` is not in\n{run:?}\n{}", run.err));
        }
        match hint {
            Some(hint) if !has(advice, &hint) => {
                problems.push(format!("`{error}` has not the hint `{hint}`:\n{}", run.err));
            }
            None if !advice.is_empty() => {
                problems.push(format!("`{error}` has a hint that the page lacks:\n{advice}"));
            }
            _ => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn every_scenario_is_on_the_page() {
    let page: BTreeSet<String> = entries().into_iter().map(|entry| entry.error).collect();
    let source = include_str!("troubleshooting.rs");
    let (_, table) = source.split_once("match error {\n").expect("the table");
    let (table, _) = table.split_once("\n        _ => return None,").expect("its end");
    // An arm begins with its pattern.
    let arms = table.lines().filter_map(|line| line.strip_prefix("        \""));
    let arms: BTreeSet<String> = arms
        .filter_map(|line| line.rsplit_once("\" =>"))
        .map(|(error, _)| error.to_owned())
        .collect();
    assert_eq!(arms, page);
}
