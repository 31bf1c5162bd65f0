//! Whatever a package does when it is imported, a worker that comes from a template is what a started
//! one is: it is forked and does the same, or it is started, and the report says why.

use std::collections::{BTreeMap, BTreeSet};

use backends::{ExecutorExt, RunReport};
use envspec::RuntimeEnv;
use serde_json::{Value, json};
use stage::{Pipeline, PythonStage};

use crate::support::{Notes, local, numbers, outputs, python};

/// Modules by their names: what each does when it is imported, what it says in a worker, and why no
/// worker is forked after it.
const MODULES: [(&str, &str, &str, Option<&str>); 27] = [
    ("plain", "", "gc.isenabled(), gc.get_threshold()", None),
    ("collector_off", "gc.disable()", "gc.isenabled(), gc.get_threshold()", None),
    ("collector_set", "gc.set_threshold(50, 5, 5)", "gc.isenabled(), gc.get_threshold()", None),
    ("printing", "print('line'); print('rest', end=''); print('bad', file=sys.stderr)", "1", None),
    ("folder", "os.chdir('/')", "os.getcwd()", None),
    ("mask", "os.umask(0o027)", "open('/proc/self/status').read().split('Umask:')[1][:6]", None),
    (
        "variable",
        "os.environ['SET_BY_IMPORT'] = 'yes'",
        "os.popen('echo $SET_BY_IMPORT').read()",
        None,
    ),
    ("handler", "signal.signal(signal.SIGUSR1, f)", "signal.getsignal(signal.SIGUSR1) is f", None),
    ("program", "ARGV, MAIN = sys.argv, sys.modules['__main__']", "ARGV, MAIN.__name__", None),
    ("at_start", "import sitecustomize", "sitecustomize.SAID", None),
    (
        "at_exit",
        "atexit.register(lambda: note(f'at exit {os.getpid()} {os.getppid()}'))",
        "1",
        None,
    ),
    (
        "child",
        "\
if os.fork() == 0:
    note('child')
    sys.exit(3)
STATUS = os.wait()[1]",
        "STATUS",
        None,
    ),
    ("sleeper", "P = subprocess.Popen(['sleep', '0'])", "1", Some("started a process")),
    (
        "tracker",
        "from multiprocessing import resource_tracker as R; R.ensure_running()",
        "1",
        Some("started a process"),
    ),
    ("ends", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "1", Some("ends of child processes")),
    (
        "timer",
        "signal.signal(signal.SIGALRM, f); signal.setitimer(signal.ITIMER_REAL, 600)",
        "signal.getitimer(signal.ITIMER_REAL)[0] > 0",
        Some("a timer"),
    ),
    (
        "thread",
        "\
import _thread
LOCK = _thread.allocate_lock()
def run():
    LOCK.release()
    time.sleep(600)
LOCK.acquire()
_thread.start_new_thread(run, ())
LOCK.acquire()",
        "_thread._count()",
        Some("threads in Python"),
    ),
    (
        "lock",
        "import multiprocessing; LOCK = multiprocessing.Lock()",
        "LOCK.acquire(timeout=9)",
        Some("that workers would share"),
    ),
    ("memory", "import mmap; M = mmap.mmap(-1, 4096)", "M.read(1).hex()", Some("would share")),
    ("loop", "import asyncio; LOOP = asyncio.new_event_loop()", "1", Some("eventpoll")),
    ("pair", "import _socket; ENDS = _socket.socketpair()", "len(ENDS)", Some("opened a socket")),
    ("pipe", "PIPE = os.pipe()", "1", Some("pipe:")),
    ("reader", "FILE = open(__file__, 'rb', 0)", "FILE.read(9).decode()", Some("reader.py` open")),
    ("writer", "FILE = open(NOTES, 'a')", "1", Some("notes` open")),
    (
        "stream",
        "OWN = os.open(NOTES, os.O_WRONLY); os.dup2(OWN, 1); os.close(OWN)",
        "1",
        Some("standard stream"),
    ),
    (
        "temporary",
        "T = tempfile.TemporaryDirectory()",
        "os.path.isdir(T.name)",
        Some("goes with its process"),
    ),
    (
        "removing",
        "T = tempfile.mkdtemp(); atexit.register(shutil.rmtree, T)",
        "os.path.isdir(T)",
        Some("goes with its process"),
    ),
];

const HEAD: &str = "\
import atexit, gc, os, shutil, signal, subprocess, sys, tempfile, time
NOTES = 'NOTES_PATH'
def note(text):
    with open(NOTES, 'a') as file:
        file.write(f'{text}\\n')
def f(*_):
    pass
";

const STAGE: &str = "
import importlib
class Stage:
    def __init__(self, module):
        self.name = module
    def setup(self):
        self.module = importlib.import_module(self.name)
    def process(self, task):
        task.data[self.name] = self.module.said()
        return task
";

/// Runs a stage for each module, two workers after one another.
fn run_of(env: &RuntimeEnv, templates: bool) -> RunReport {
    let stage = |module: &str| -> PythonStage {
        python(STAGE)
            .with_name(module)
            .with_args(json!({ "module": module }))
            .with_preload([module])
            .with_runtime_env(env.clone())
            .with_num_workers(1)
            .with_recycle_after(1)
    };
    let stages = MODULES.iter().map(|(module, ..)| stage(module));
    let pipeline = stages.fold(Pipeline::new("test"), Pipeline::with_stage);
    let result = local().with_templates(templates).run(&pipeline, numbers(2));
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

#[test]
fn whatever_an_import_does_a_worker_is_what_a_started_one_is() {
    let (dir, notes) = (tempfile::tempdir().unwrap(), Notes::new());
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(format!("{name}.py")), text).unwrap();
    };
    write("sitecustomize", "import os\nos.environ['SITE'] = 'here'\nSAID = 'site'\n");
    let head = HEAD.replace("NOTES_PATH", notes.path.to_str().unwrap());
    for (name, does, says, _) in MODULES {
        write(name, &format!("{head}{does}\ndef said():\n    return {says}\n"));
    }
    let env = RuntimeEnv::new().with_env_var("PYTHONPATH", dir.path().to_str().unwrap());
    let run = |templates| {
        std::fs::write(&notes.path, "").unwrap();
        let report = run_of(&env, templates);
        assert_eq!(report.outputs.len(), 2);
        (report, notes.lines())
    };
    let (forked, noted) = run(true);
    let (started, _) = run(false);
    assert_eq!(said(&forked), said(&started));
    // Each worker has its own end, and the template, which made the import, has none.
    assert_eq!(noted.iter().filter(|line| *line == "child").count(), 1);
    let ends: Vec<_> = noted.iter().filter_map(|line| line.strip_prefix("at exit ")).collect();
    let of = |place| ends.iter().filter_map(move |line| line.split(' ').nth(place));
    let (workers, templates): (BTreeSet<_>, BTreeSet<_>) = (of(0).collect(), of(1).collect());
    assert!(ends.len() >= 2 && workers.len() == ends.len(), "{ends:?}");
    assert!(templates.len() == 1 && templates.is_disjoint(&workers), "{ends:?}");
    for (stage, (name, .., why)) in forked.stages.iter().zip(MODULES) {
        let forked = if why.is_none() { stage.workers } else { 0 };
        assert_eq!(stage.forked, forked, "{name}: {stage:?}");
        let told = stage.not_forked.as_deref().unwrap_or_default();
        assert!(told.contains(why.unwrap_or_default()), "{name}: {told}");
    }
}

/// What the modules say, by their names.
fn said(report: &RunReport) -> Vec<BTreeMap<String, Value>> {
    let outputs = outputs(report);
    let values = outputs.iter().map(|(_, value)| serde_json::from_value(value.clone()));
    values.map(|it| it.expect("an object")).collect()
}
