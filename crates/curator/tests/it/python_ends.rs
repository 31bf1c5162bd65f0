//! `import curator`: however a run ends, and whatever ends it, nothing hangs and nothing is left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::pipelines::Folder;
use crate::python_pipelines::{passes, program};

/// An endless stream of numbers through a stage that notes its worker.
pub(crate) const ENDLESS: &str = r#"
import itertools, os, sys, time
from curator import Pipeline

def note(task):
    with open(f"pid-{os.getpid()}", "w"):
        pass
    return task

def forever():
    for n in itertools.count():
        yield n
        time.sleep(0.01)
"#;

/// Waits until a condition holds; the long deadline matters only for a failing test.
#[track_caller]
pub(crate) fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_there() {
        assert!(begin.elapsed() < Duration::from_mins(1), "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the workers that have noted themselves in a folder.
pub(crate) fn workers(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path("")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names.filter_map(|name| name.to_str()?.strip_prefix("pid-").map(str::to_owned)).collect()
}

pub(crate) fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended.
    state.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Returns the program that serves this process.
pub(crate) fn engine_of(client: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{client}/task/{client}/children"));
    children.ok()?.split_whitespace().next().map(str::to_owned)
}

pub(crate) fn kill(signal: &str, pid: &str) {
    duct::cmd("kill", [signal, pid]).run().expect("the command runs");
}

/// The client, its program or a worker is killed in the middle: the other processes end, and the
/// survivor says why.
#[test]
fn a_killed_process_leaves_nothing_behind() {
    for victim in ["client", "engine"] {
        let folder = Folder::new("");
        let text =
            format!("{ENDLESS}\nfor task in Pipeline([note]).stream(forever()):\n    pass\n");
        let handle = program(&folder, &text).start().expect("it starts");
        wait_for("a worker", || !workers(&folder).is_empty());
        let client = handle.pids()[0];
        let engine = engine_of(client).expect("a program");
        match victim {
            "client" => kill("-KILL", &client.to_string()),
            _ => kill("-KILL", &engine),
        }
        let output = handle.wait().expect("it ends");
        assert!(!output.status.success());
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(victim == "client" || err.contains("signal 9"), "{err}");
        wait_for("the end of the program", || !is_alive(&engine));
        for worker in workers(&folder) {
            wait_for("the end of a worker", || !is_alive(&worker));
        }
    }
}

/// A worker that is killed is replaced.
#[test]
fn a_killed_worker_costs_nothing() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
import os, signal
from curator import Pipeline

def picky(task):
    if task.data == 5 and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return task

assert Pipeline([picky]).run(range(20)).data == list(range(20))
"#,
    );
}

/// The client and its program are killed at random moments of a run with a checkpoint, a worker in the
/// last one: nothing is left of any of them, and the rows in the end are those of a run in peace.
#[test]
fn a_checkpoint_outlives_kills_at_random_moments() {
    let text = r#"
import os, time
from curator import Pipeline

def note(task):
    open(f"pid-{os.getpid()}", "w").close()
    time.sleep(0.01)
    return {"n": task.data, "pair": (task.data, 2.5)}

class Both:
    def process(self, task):
        return [task.data, {task.data["n"]}]

report = Pipeline([note, Both]).run(range(100), checkpoint="kept")
parts = [part for n in range(100) for part in ({"n": n, "pair": [n, 2.5]}, {n})]
assert report.data == parts, report.data
assert [task.id for task in report][:3] == ["0_0_0_0", "0_0_0_1", "0_1_0_0"]
"#;
    let folder = Folder::new("");
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").subsec_nanos();
    for (round, victim) in ["client", "engine", "client", "engine", "worker"].iter().enumerate() {
        let before = workers(&folder);
        let handle = program(&folder, text).start().expect("it starts");
        let is_over = || handle.try_wait().expect("it can be waited for").is_some();
        wait_for("a worker", || is_over() || workers(&folder).len() > before.len());
        let engine = engine_of(handle.pids()[0]);
        let pause = u64::from(nanos) / (round as u64 + 1) % 300;
        std::thread::sleep(Duration::from_millis(pause));
        if !is_over() {
            let own = handle.pids()[0].to_string();
            let of_round = workers(&folder).into_iter().find(|it| !before.contains(it));
            let pid = match *victim {
                "client" => Some(&own),
                "engine" => engine.as_ref(),
                _ => of_round.as_ref().filter(|pid| is_alive(pid)),
            };
            // It may have come to its end meanwhile.
            let killed = pid.map(|pid| duct::cmd("kill", ["-KILL", pid]).unchecked().run());
            drop(killed);
        }
        let output = handle.wait().expect("it ends");
        let err = String::from_utf8_lossy(&output.stderr);
        let is_survivor = *victim == "worker" || output.status.success();
        assert!(is_survivor || !err.contains("AssertionError"), "{nanos}, {victim}: {err}");
        assert!(*victim != "worker" || output.status.success(), "{nanos}: {err}");
        for process in engine.into_iter().chain(workers(&folder)) {
            wait_for("its end", || !is_alive(&process));
        }
    }
    passes(&folder, text);
}

/// A consumer that stops taking results stops the source. A consumer that leaves ends the run: by
/// `break`, by an exception, or by dropping the stream. A source's own exception is raised.
#[test]
fn a_consumer_holds_the_source_up_and_ends_it() {
    let folder = Folder::new("");
    let text = format!(
        "{ENDLESS}{}",
        r#"
import gc
taken = [0]
closed = []
def endless():
    try:
        while True:
            taken[0] += 1
            yield "x" * 100_000
    finally:
        closed.append(1)

def alive():
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(") ", 1)[1].split()
            if fields[1] == str(os.getpid()) and fields[0] != "Z":
                found.append(name)
        except (OSError, IndexError):
            pass
    return found

stream = Pipeline([note]).stream(endless())
first = next(stream)
before = -1
while taken[0] != before:
    before = taken[0]
    time.sleep(0.5)
# What may be under way is a matter of bytes, not of how long the source is.
assert taken[0] < 5000, taken
stream.close()
stream.close()
assert list(stream) == [] and not alive()

try:
    for task in Pipeline([note]).stream(endless()):
        raise LookupError("mine")
except LookupError:
    pass
gc.collect()
assert not alive()

with Pipeline([note]).stream(endless()) as stream:
    next(stream)
assert not alive()
deadline = time.monotonic() + 30
while len(closed) < 3 and time.monotonic() < deadline:
    time.sleep(0.05)
assert len(closed) == 3, closed

def broken():
    yield 1
    raise OSError("the disk")

try:
    Pipeline([note]).run(broken())
except OSError as error:
    assert str(error) == "the disk"
else:
    raise AssertionError
assert not alive()
assert Pipeline([note]).run([]).data == []
for pid in (name[4:] for name in os.listdir(".") if name.startswith("pid-")):
    assert not os.path.exists(f"/proc/{pid}"), pid
"#
    );
    passes(&folder, &text);
}

/// Ctrl-C lets workers finish their tasks, and a later run with the checkpoint does the rest.
#[test]
fn ctrl_c_ends_a_run_that_a_checkpoint_takes_up_again() {
    let folder = Folder::new("");
    let text = r#"
import os, signal, sys, time
from curator import Pipeline

def slow(task):
    open("calls", "a").write("x")
    open(f"pid-{os.getpid()}", "w").close()
    time.sleep(0.02 if os.path.exists("again") else 0.2)
    return task.data * 2

# These tests may have been started with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print(Pipeline([slow]).run(range(30), checkpoint="kept").data == [2 * n for n in range(30)])
except KeyboardInterrupt:
    sys.exit(7)
"#;
    let handle = program(&folder, text).start().expect("it starts");
    wait_for("a worker", || !workers(&folder).is_empty());
    kill("-INT", &handle.pids()[0].to_string());
    let output = handle.wait().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{err}");
    for worker in workers(&folder) {
        assert!(!Path::new(&format!("/proc/{worker}")).exists(), "{worker}");
    }
    let before = folder.read("calls").len();
    assert!(before < 30);
    folder.write("again", "");
    assert_eq!(passes(&folder, text), "True\n");
    assert_eq!(folder.read("calls").len(), 30, "what was finished is not done again");
}

/// Waits until none of a folder's workers is left.
#[track_caller]
pub(crate) fn wait_for_their_end(folder: &Folder) {
    for worker in workers(folder) {
        wait_for("the end of a worker", || !is_alive(&worker));
    }
}

/// Ctrl-C twice in a terminal, which tells the whole group, ends workers in the middle of a task; a
/// program that was started to ignore it goes on.
#[test]
fn ctrl_c_twice_ends_what_does_not_end_by_itself() {
    let text = r#"
import os, signal, sys, time
from curator import Pipeline

def stuck(task):
    open(f"pid-{os.getpid()}", "w").close()
    while not os.path.exists("enough"):
        time.sleep(0.02)
    return task.data

os.setpgid(0, 0)
# Ignored as after `nohup`, or in the background of a script; these tests may have been started so.
is_ignored = os.path.exists("ignore")
signal.signal(signal.SIGINT, signal.SIG_IGN if is_ignored else signal.default_int_handler)
try:
    print(Pipeline([stuck]).run(range(2)).data)
except KeyboardInterrupt:
    sys.exit(7)
"#;
    for is_ignored in [false, true] {
        let folder = Folder::new("");
        if is_ignored {
            folder.write("ignore", "");
        }
        let handle = program(&folder, text).start().expect("it starts");
        wait_for("a worker", || !workers(&folder).is_empty());
        let group = format!("-{}", handle.pids()[0]);
        for _ in 0..2 {
            duct::cmd("kill", ["-INT", "--", &group]).run().expect("the command runs");
            std::thread::sleep(Duration::from_millis(300));
        }
        if is_ignored {
            folder.write("enough", "");
        }
        let output = handle.wait().expect("it ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(if is_ignored { 0 } else { 7 }), "{err}");
        wait_for_their_end(&folder);
    }
}

/// A program that ends in the middle of a stream, however it does, leaves nothing and does not hang.
#[test]
fn a_program_that_ends_in_the_middle_of_a_stream_leaves_nothing() {
    let ends = [
        ("pass", Some(0)),
        ("sys.exit(3)", Some(3)),
        ("raise LookupError('mine')", Some(1)),
        ("os._exit(4)", Some(4)),
        ("threading.Thread(target=lambda: [next(stream) for _ in range(300)]).start()", Some(0)),
        ("os.kill(os.getpid(), 15)", None),
    ];
    for (end, code) in ends {
        let folder = Folder::new("");
        let text = format!(
            "import threading\n{ENDLESS}\nstream = Pipeline([note]).stream(itertools.count())\n\
             next(stream)\n{end}\n"
        );
        let output = program(&folder, &text).run().expect("it ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{end}: {err}");
        wait_for_their_end(&folder);
    }
}

/// A client that is killed while an environment is built leaves no installer, and the next run
/// builds it.
#[test]
fn a_client_that_is_killed_during_a_build_leaves_no_installer() {
    let folder = Folder::new("");
    fs::create_dir(folder.path("slow")).expect("a folder");
    let setup = format!(
        "import os, time\nfrom setuptools import setup\nhere = {:?}\n\
         open(here + f'/pid-{{os.getpid()}}', 'w').close()\n\
         while not os.path.exists(here + '/enough'):\n    time.sleep(0.05)\n\
         setup(name='slow', version='1', py_modules=['slow'])\n",
        folder.path("")
    );
    folder.write("slow/setup.py", &setup);
    folder.write("slow/slow.py", "HERE = 1\n");
    let text = r#"
import os
from curator import Pipeline, stage

@stage(runtime_env={"uv": [f"slow @ file://{os.getcwd()}/slow"]})
def use(task):
    import slow
    return slow.HERE

print(Pipeline([use]).run([0]).data)
"#;
    let handle = program(&folder, text).start().expect("it starts");
    wait_for("the build", || !workers(&folder).is_empty());
    kill("-KILL", &handle.pids()[0].to_string());
    handle.wait().expect("it ends");
    wait_for_their_end(&folder);
    folder.write("enough", "");
    assert_eq!(passes(&folder, text), "[1]\n");
}
