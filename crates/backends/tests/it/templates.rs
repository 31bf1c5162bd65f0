//! Workers that are forked from a template are what started ones are, and cost no import.

use std::collections::BTreeSet;
use std::path::Path;

use backends::{Cause, Error, Event, ExecutorExt, RunReport};
use serde_json::json;
use stage::{Pipeline, PythonStage};

use crate::support::{
    Notes, as_killed_engine, assert_all_end_with, assert_ends, local, numbers, outputs, python,
    recording, watched,
};

/// A stage of so many workers.
fn several(text: &str, workers: usize) -> PythonStage {
    python(text).with_num_workers(workers)
}

fn run_of(stage: PythonStage, tasks: usize) -> RunReport {
    let result = local().run(&Pipeline::new("test").with_stage(stage), numbers(tasks));
    result.unwrap_or_else(|error| panic!("{}", error.report()))
}

/// What the stages said, each value once.
fn said(report: &RunReport) -> BTreeSet<String> {
    outputs(report).into_iter().map(|(_, value)| value.to_string()).collect()
}

/// Says what is its own, slowly enough for all workers to have a part in it.
const OWN: &str = r"
import os, random, uuid, time
class Stage:
    def setup(self):
        self.own = [os.getpid(), os.getpgrp(), random.random(), str(uuid.uuid1()), os.getppid()]
    def process(self, task):
        time.sleep(0.05)
        return {'own': self.own}
";

#[test]
fn what_is_random_or_an_id_differs_among_forked_workers() {
    let report = run_of(several(OWN, 4), 60);
    assert_eq!((report.stages[0].forked, &report.stages[0].not_forked), (4, &None));
    for what in 0..5 {
        let of = |value: &serde_json::Value| value["own"][what].to_string();
        let seen: BTreeSet<_> = outputs(&report).iter().map(|(_, value)| of(value)).collect();
        // All have one parent.
        assert_eq!(seen.len(), if what == 4 { 1 } else { 4 }, "{what}: {seen:?}");
    }
}

/// Notes each time that the file is run, and by which process.
const EFFECT: &str = r"
import os
NOTES = 'NOTES_PATH'
with open(NOTES, 'a') as file:
    file.write(f'loaded {os.getpid()}\n')
class Stage:
    def setup(self):
        with open(NOTES, 'a') as file:
            file.write(f'setup {os.getpid()}\n')
            file.write(f'parent {os.getppid()}\n')
    def process(self, task):
        return task
";

/// What the lines with this first word say, in order.
fn noted(notes: &Notes, word: &str) -> Vec<String> {
    let lines = notes.lines();
    let rest = lines.iter().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let mut rest: Vec<String> = rest.map(str::to_owned).collect();
    rest.sort_unstable();
    rest
}

#[test]
fn a_stages_file_runs_once_in_each_worker_and_never_in_the_template() {
    let notes = Notes::new();
    let text = EFFECT.replace("NOTES_PATH", notes.path.to_str().unwrap());
    let report = run_of(several(&text, 3), 3);
    assert_eq!(report.stages[0].forked, 3);
    let loaded = noted(&notes, "loaded");
    assert_eq!(loaded.len(), 3, "{loaded:?}");
    assert_eq!(loaded, noted(&notes, "setup"));
    let parents: BTreeSet<String> = noted(&notes, "parent").into_iter().collect();
    assert_eq!(parents.len(), 1, "one template");
    assert!(parents.iter().all(|parent| !loaded.contains(parent)));
}

/// `logging` remembers when it was imported: where that is the same in all workers, it was before
/// they were forked.
#[test]
fn what_a_file_imports_before_it_does_anything_else_is_imported_before_the_fork() {
    const REST: &str = "
class Stage:
    def setup(self):
        import os, logging
        self.when, self.who = logging._startTime, os.getpid()
    def process(self, task):
        import time
        time.sleep(0.05)
        return {'when': self.when, 'who': self.who}
";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("neighbour.py"), "").unwrap();
    let before = [
        "import logging",
        "'''A text.'''\nfrom __future__ import annotations\nA = ('x', 1)\nimport logging",
        "import os, logging.handlers",
        "from logging import handlers",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nothing\nimport logging",
        "from curator_stage import Task\nimport logging",
    ];
    let after = [
        "import os\nos.environ['A'] = '1'\nimport logging",
        "print('x')\nimport logging",
        "try:\n    import logging\nexcept ImportError:\n    pass",
        "class First: pass\nimport logging",
        "import neighbour\nimport logging",
    ];
    let cases = before.iter().map(|head| (head, 1)).chain(after.iter().map(|head| (head, 2)));
    for (at, (head, times)) in cases.enumerate() {
        let file = dir.path().join(format!("head_{at}.py"));
        std::fs::write(&file, format!("{head}\n{REST}")).unwrap();
        let stage = PythonStage::from_file(&file, "Stage").with_num_workers(2);
        let report = run_of(stage, 12);
        assert_eq!(report.stages[0].forked, 2, "{head}: {:?}", report.stages[0].not_forked);
        let of = |key: &str| -> BTreeSet<String> {
            outputs(&report).iter().map(|(_, value)| value[key].to_string()).collect()
        };
        assert_eq!(of("who").len(), 2, "both had a part in it");
        assert_eq!(of("when").len(), times, "{head}");
    }
}

/// A folder of modules for `PYTHONPATH`, where the user's own are.
fn own_modules(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file in it");
    }
    dir
}

fn with_path(stage: PythonStage, dir: &Path) -> PythonStage {
    let env = envspec::RuntimeEnv::new()
        .with_env_var("PYTHONPATH", dir.to_str().expect("a path that is text"));
    stage.with_runtime_env(env)
}

/// What `preload` names is imported, also the user's own modules; what cannot be forked after is started,
/// and the report tells why.
#[test]
fn what_speaks_against_a_fork_is_told_and_workers_are_started() {
    let dir = own_modules(&[
        ("harmless.py", "import os\nWHO = os.getpid()\n"),
        (
            "threaded.py",
            "import threading, time\n\
             threading.Thread(target=time.sleep, args=(600,), daemon=True, name='mine').start()\n",
        ),
        ("connected.py", "import socket\nS = socket.socket(socket.AF_INET)\n"),
        ("starter.py", "import subprocess\nP = subprocess.Popen(['sleep', '0'])\n"),
        ("failing.py", "raise RuntimeError('no')\n"),
        ("leaving.py", "import os\nos._exit(3)\n"),
    ]);
    let text = "
class Stage:
    def process(self, task):
        import os, sys
        module = sys.modules.get('harmless')
        return {'shared': module is not None and module.WHO == os.getppid()}
";
    for (module, why) in [
        ("harmless", None),
        ("threaded", Some("threads in Python (mine)")),
        ("connected", Some("a network connection")),
        ("starter", Some("started a process")),
        ("failing", Some("`import failing` failed with RuntimeError")),
        ("leaving", Some("its template exited with code 3")),
        ("rmm", Some("`rmm` is not imported before a fork")),
    ] {
        let stage = with_path(several(text, 2), dir.path()).with_preload([module]);
        let report = run_of(stage, 2);
        let stage = &report.stages[0];
        assert_eq!(stage.forked, if why.is_none() { 2 } else { 0 }, "{module}");
        assert_eq!(said(&report).contains(r#"{"shared":true}"#), why.is_none(), "{module}");
        match (why, &stage.not_forked) {
            (None, None) => {}
            (Some(why), Some(told)) if told.contains(why) => {}
            (_, told) => panic!("{module}: {told:?}"),
        }
    }
}

#[test]
fn each_switch_has_workers_started() {
    let one = Pipeline::new("test").with_stage(several(OWN, 2));
    let reports = [
        local().with_templates(false).run(&one, numbers(2)).unwrap(),
        run_of(several(OWN, 2).with_preload(false), 2),
        run_of(several(OWN, 1), 2),
    ];
    let why = ["templates are off", "its `preload` is off", "one worker is all that it has"];
    for (report, why) in reports.iter().zip(why) {
        assert_eq!(report.stages[0].forked, 0);
        assert_eq!(report.stages[0].not_forked.as_deref(), Some(why));
    }
}

/// No worker imports what only `preload` names: a name that is wrong would have workers started, one
/// by one, without a word.
#[test]
fn a_module_that_cannot_be_preloaded_is_told() {
    for (name, told) in [
        ("no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json.no_such", "ModuleNotFoundError: No module named 'json.no_such'"),
    ] {
        let stage = several(OWN, 2).with_preload([name]);
        let pipeline = Pipeline::new("test").with_stage(stage);
        let (report, events) = watched(&local(), &pipeline, numbers(2));
        assert_eq!(report.unwrap().stages[0].forked, 0);
        let mut warnings = events.into_iter().filter_map(|event| match event {
            Event::Warning { message, .. } => Some(message),
            _ => None,
        });
        let warning = format!("`preload` names `{name}`, whose import failed with {told}");
        assert_eq!(warnings.next(), Some(warning));
        assert_eq!(warnings.next(), None, "once");
    }
}

/// Two stages in one file share a template, also with a worker each, and stages of other variables
/// have another.
#[test]
fn stages_of_one_file_share_a_template_unless_they_are_started_in_another_way() {
    let notes = Notes::new();
    let text = EFFECT.replace("NOTES_PATH", notes.path.to_str().unwrap());
    let other = envspec::RuntimeEnv::new().with_env_var("OTHER", "1");
    let pipeline = Pipeline::new("test")
        .with_stage(several(&text, 1).with_name("a"))
        .with_stage(several(&text, 1).with_name("b"))
        .with_stage(several(&text, 2).with_name("c").with_runtime_env(other));
    let report = local().run(&pipeline, numbers(2)).unwrap();
    let forked: Vec<u64> = report.stages.iter().map(|stage| stage.forked).collect();
    assert_eq!(forked, [1, 1, 2]);
    let parents: BTreeSet<String> = noted(&notes, "parent").into_iter().collect();
    assert_eq!(parents.len(), 2, "{parents:?}");
}

/// Notes its processes, and ends as the task says.
const ENDS: &str = r#"
import os, signal, subprocess, sys, time
class Stage:
    def __init__(self, path, then):
        self.path, self.then = path, then
    def note(self, text):
        with open(self.path, "a") as file:
            file.write(text)
    def process(self, task):
        if self.then in ("once", "orphan") and os.path.exists(self.path):
            return {"after": True}
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.note(f"template {os.getppid()}\nworker {os.getpid()}\nchild {child.pid}\n")
        if self.then in ("kill", "once"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.then == "exit":
            os._exit(7)
        if self.then == "hang":
            time.sleep(600)
        if self.then == "orphan":
            os.kill(os.getppid(), signal.SIGKILL)
            return {"after": True}
        if self.then == "orphan exit":
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(7)
"#;

fn ending(notes: &Notes, then: &str) -> PythonStage {
    let args = json!({ "path": notes.path, "then": then });
    several(ENDS, 2).with_args(args).with_max_attempts(1)
}

fn processes(notes: &Notes) -> [i32; 3] {
    ["template ", "worker ", "child "].map(|prefix| notes.wait_for_number(prefix))
}

/// How a forked worker ended is told as if it were a child of this program; where its template is
/// gone that is not known, and the report says so.
#[test]
fn how_a_forked_worker_ended_is_told_exactly() {
    for (then, exit) in [
        ("kill", "was killed by signal 9"),
        ("exit", "exited with code 7"),
        ("orphan exit", "how is not known"),
    ] {
        let notes = Notes::new();
        let pipeline = Pipeline::new("test").with_stage(ending(&notes, then));
        let (result, events) = watched(&recording(), &pipeline, numbers(1));
        let report = result.unwrap();
        let Cause::Died(found) = &report.failed[0].cause else { panic!("{:?}", report.failed) };
        assert!(found.to_string().contains(exit), "{then}: {found}");
        let ended = events.iter().any(
            |event| matches!(event, Event::WorkerEnded { exit: Some(exit), .. } if exit == found),
        );
        assert!(ended, "{then}");
        for pid in processes(&notes) {
            assert_ends(pid);
        }
    }
}

#[test]
fn a_killed_worker_is_one_crash_and_the_next_one_is_forked() {
    let notes = Notes::new();
    let stage = ending(&notes, "once").with_num_workers(1).with_recycle_after(100);
    let pipeline = Pipeline::new("test").with_stage(stage.with_max_attempts(2));
    let (result, events) = watched(&local(), &pipeline, numbers(3));
    let report = result.unwrap();
    assert_eq!(report.outputs.len(), 3);
    assert_eq!((report.stages[0].forked, report.stages[0].workers), (2, 2));
    let retried = events.iter().filter(|event| matches!(event, Event::Retried { .. })).count();
    assert_eq!(retried, 1);
}

/// A template that is killed takes no worker and no task along; what comes later is started.
#[test]
fn a_killed_template_loses_no_task() {
    let notes = Notes::new();
    let stage = ending(&notes, "orphan").with_num_workers(1).with_recycle_after(1);
    let report = run_of(stage, 4);
    assert_eq!(said(&report), BTreeSet::from([r#"{"after":true}"#.to_owned()]));
    assert_eq!((report.outputs.len(), report.stages[0].workers), (4, 4));
    assert_eq!(report.stages[0].forked, 1);
    let why = report.stages[0].not_forked.as_deref().unwrap();
    assert!(why.contains("its template is gone") && why.contains("signal 9"), "{why}");
}

/// The body of a process that the next test kills: runs a pipeline that never ends.
#[test]
fn helper_that_is_killed() {
    as_killed_engine([several(ENDS, 2)]);
}

#[test]
fn no_template_worker_or_child_outlives_an_engine_that_is_killed() {
    assert_all_end_with("templates::helper_that_is_killed", processes);
}

/// Lines go to the log of the worker that printed them; an error of the stage's file is told as it
/// is where the worker was started.
#[test]
fn lines_and_errors_are_those_of_the_worker() {
    let text = "
import os, sys
class Stage:
    def process(self, task):
        print('out', os.getpid())
        print('err', os.getpid(), file=sys.stderr)
        return os.getpid()
";
    let pipeline = Pipeline::new("test").with_stage(several(text, 2));
    let (result, events) = watched(&local(), &pipeline, numbers(8));
    result.unwrap();
    let mut seen = BTreeSet::new();
    for event in &events {
        if let Event::Log { worker, line, .. } = event {
            let pid = line.split(' ').nth(1).map(str::to_owned);
            seen.insert((*worker, pid));
        }
    }
    let workers: BTreeSet<usize> = seen.iter().map(|(worker, _)| *worker).collect();
    assert_eq!(seen.len(), workers.len(), "each says what is its own: {seen:?}");

    for text in [
        "import no_such_module\nclass Stage:\n def process(self, task): return task",
        "import logging\nraise ValueError('at the top')",
        "import logging\nclass Stage:\n def setup(self): 1 / 0\n def process(self, task): pass",
        "def broken(:",
    ] {
        let pipeline = Pipeline::new("test").with_stage(several(text, 2));
        let told = [true, false].map(|templates| {
            let error = local().with_templates(templates).run(&pipeline, numbers(1)).unwrap_err();
            assert!(matches!(error, Error::WorkerSetup { .. }), "{error}");
            error.report()
        });
        assert_eq!(told[0], told[1]);
    }
}

/// The cases of every executor, with workers that are forked and with workers that are not, give the
/// same.
#[test]
#[cfg(feature = "conformance")]
fn what_every_executor_must_do_holds_either_way() {
    for templates in [true, false] {
        let executor = |policy| -> Box<dyn backends::Executor> {
            Box::new(local().with_templates(templates).with_failure_policy(policy))
        };
        let setting = backends::conformance::Setting::new(&executor, "json");
        let slow = ["fifty_megabytes", "a_thousand_tasks"];
        let cases = backends::conformance::cases().into_iter();
        for case in cases.filter(|case| !case.has_environments && !slow.contains(&case.name)) {
            case.run(&setting);
        }
    }
}

/// Opens files that nothing closes, in all the places where a stage may hold one, and asks for other
/// things at its end. `FOLDER` is where.
const HOLDS: &str = r"
import atexit, contextvars, csv, ctypes, gc, gzip, io, logging, os, signal, sys, tempfile
import threading, time, weakref, zipfile
sys.path.insert(0, 'FOLDER/lib')
import holding
from holding import kept, path

OWN = open(path('own module'), 'w')
LATE = GZIP = None
CONTEXT = contextvars.ContextVar('file')
LOCAL = threading.local()

def write_own():
    OWN.write('kept')

class Holder:
    def __init__(self, name):
        self.file = kept(name)
    def __call__(self, *_):
        return True

class Tail:
    def __init__(self, name):
        self.file = open(path(name), 'w')
    def __del__(self):
        self.file.write('kept')

class Raw(io.RawIOBase):
    def writable(self):
        return True
    def write(self, data):
        with open(path('raw'), 'ab') as file:
            return file.write(data)

def lent():
    file = open(path('generator'), 'w')
    try:
        yield
    finally:
        file.write('kept')

def by_closure():
    file = kept('closure')
    return lambda: file

GLOBAL = kept('global')
CLOSURE = by_closure()

class Ring:
    def __init__(self):
        self.ring, self.file = self, kept('ring')

class Ends:
    def __del__(self):
        kept('del').close()

class Stage:
    shared = kept('class')
    def __init__(self):
        self.file, self.ring, self.ends = kept('instance'), Ring(), Ends()
    def setup(self):
        atexit.register(lambda: kept('atexit').close())
        weakref.finalize(self.ring, lambda: kept('finalize').close())
        self.local = threading.local()
        self.local.file = kept('local')
        def late():
            time.sleep(0.3)
            kept('thread').close()
        threading.Thread(target=late).start()
        global LATE, GZIP
        LATE = kept('late')
        write_own()
        # Of a module that the template has, and of what such modules hold.
        gzip.LATE = kept('late of a library')
        gzip.TAIL = Tail('tail of a library')
        gzip.LENT = lent()
        next(gzip.LENT)
        name = os.path.basename(path('temporary'))
        gzip.TEMPORARY = tempfile.NamedTemporaryFile(dir='FOLDER/out', prefix=name)
        LOCAL.file, LOCAL.tail = kept('thread local'), Tail('tail of a thread')
        CONTEXT.set(kept('context'))
MORE        GZIP = gzip.open(path('gzip'), 'wt')
        GZIP.write('kept')
        gzip.ZIP = zipfile.ZipFile(path('zip'), 'w')
        gzip.ZIP.writestr('name', 'kept')
        gzip.TEXT = io.TextIOWrapper(io.BufferedWriter(open(path('layers'), 'wb', 0)))
        gzip.TEXT.write('kept')
        gzip.ROWS = csv.writer(open(path('rows'), 'w', newline=''), lineterminator='')
        gzip.ROWS.writerow(['kept'])
        c = ctypes.CDLL(None)
        c.fopen.restype = ctypes.c_void_p
        c.fputs(b'kept', ctypes.c_void_p(c.fopen(holding.path('C').encode(), b'w')))
    def process(self, task):
        time.sleep(0.05)
        print('half a line', end='')
        return task
";

/// More places, from which Python itself does not write out all at its end.
const MORE: &str = "
        signal.signal(signal.SIGUSR1, Holder('signal'))
        sys.excepthook = Holder('hook')
        logging.getLogger().addFilter(Holder('filter'))
        gzip.RAW = io.BufferedWriter(Raw())
        gzip.RAW.write(b'kept')
        gzip.RING = Ring()
        gc.freeze()
";

/// Tells the names and texts of the files that workers left in a folder.
const TEXTS: &str = r"
import gzip, json, os, sys, zipfile
found = []
names = os.listdir(sys.argv[1])
# Another process has asked the class for its declarations, and had no end to speak of.
workers = {name.rpartition(' ')[2] for name in names if name.startswith('atexit ')}
for name in names:
    if name.rpartition(' ')[2] not in workers:
        continue
    path = os.path.join(sys.argv[1], name)
    kind = name.split(' ')[0]
    read = {'gzip': lambda: gzip.open(path).read(), 'zip': lambda: zipfile.ZipFile(path).read('name')}
    try:
        data = read.get(kind, open(path, 'rb').read)()
    except Exception as error:
        data = repr(error).encode()
    found.append((name.rpartition(' ')[0], data.decode()))
print(json.dumps(found))
";

/// What a worker has not yet written when it is to end gets where it was to go, and all that asked to
/// be called is called, whether the worker was started or forked.
#[test]
fn a_forked_worker_ends_as_a_started_one_does() {
    let ends = |is_forked: bool, more: &str| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_str().unwrap();
        std::fs::create_dir_all(dir.path().join("lib")).unwrap();
        std::fs::create_dir_all(dir.path().join("out")).unwrap();
        let lib = format!(
            "import os\ndef path(name):\n    return f'{folder}/out/{{name}} {{os.getpid()}}'\n\
             def kept(name):\n    file = open(path(name), 'w')\n    file.write('kept')\n    \
             return file\nOTHER = kept('other module')\n"
        );
        std::fs::write(dir.path().join("lib/holding.py"), lib).unwrap();
        let stage = several(&HOLDS.replace("FOLDER", folder).replace("MORE", more), 2);
        let pipeline = Pipeline::new("test").with_stage(stage);
        let executor = local().with_templates(is_forked);
        let (report, events) = watched(&executor, &pipeline, numbers(40));
        assert_eq!(report.unwrap().stages[0].forked, if is_forked { 2 } else { 0 });
        let told = duct::cmd!("python3", "-c", TEXTS, dir.path().join("out")).read().unwrap();
        let mut left: Vec<(String, String)> = serde_json::from_str(&told).unwrap();
        for event in events {
            if let Event::Log { line, .. } = event {
                let times = line.matches("half a line").count();
                left.extend((0..times).map(|_| ("line".to_owned(), String::new())));
            }
        }
        left.sort_unstable();
        left
    };
    let (started, forked) = (ends(false, ""), ends(true, ""));
    assert_eq!(started, forked);
    let kept = |left: &[(String, String)]| left.iter().filter(|(_, text)| text == "kept").count();
    assert_eq!(kept(&started), 2 * 24, "{started:?}");
    assert_eq!(started.len(), 2 * 24 + 40, "{started:?}");
    let more = ends(true, MORE);
    assert_eq!(kept(&more), 2 * 28, "{more:?}");
    assert_eq!(more.len(), 2 * 28 + 40, "{more:?}");
}
