//! `import curator`: threads of the program, and processes that it forks, keep to themselves.

use crate::pipelines::Folder;
use crate::python_ends::{
    ENDLESS, engine_of, is_alive, kill, wait_for, wait_for_their_end, workers,
};
use crate::python_pipelines::{passes, program};

/// Two pipelines at once, from two threads, while the program forks.
#[test]
fn threads_and_forks_do_not_mix_runs_up() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
import os, threading, time
from curator import Pipeline

results = {}
def work(name):
    results[name] = Pipeline([lambda task: [name, task.data]], name=name).run(
        [{"n": n} for n in range(50)]
    ).data

threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
for thread in threads:
    thread.start()
stream = Pipeline([lambda task: task]).stream(iter(range(1000)))
next(stream)
child = os.fork()
if child == 0:
    # The run is the parent's: the child has nothing of it, and ends when it likes.
    try:
        next(stream)
    except Exception:
        os._exit(0)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(list(stream)) == 999
for thread in threads:
    thread.join()
# A list of a stage's becomes several tasks.
for name in ("a", "b"):
    expected = [part for n in range(50) for part in (name, {"n": n})]
    assert results[name] == expected, results[name]
"#,
    );
}

/// Processes of `multiprocessing`, forked and spawned, run pipelines of their own; stages of the
/// program are found there, too, where its module has another name.
#[test]
fn processes_of_the_program_run_pipelines() {
    passes(
        &Folder::new(""),
        r#"
import multiprocessing
from curator import Pipeline

class Pair:
    def __init__(self, n): self.n = n

def doubled(task):
    return Pair(2 * task.data)

def one(n):
    return [pair.n for pair in Pipeline([doubled], name=f"p{n}").run(range(n)).data]

if __name__ == "__main__":
    for how in ("fork", "spawn"):
        stream = Pipeline([doubled]).stream(iter(range(200)))
        next(stream)
        with multiprocessing.get_context(how).Pool(2) as pool:
            found = pool.map(one, [2, 3])
        assert found == [[0, 2], [0, 2, 4]], found
        assert len(list(stream)) == 199
"#,
    );
}

/// A child that outlives its killed parent holds none of the parent's run.
#[test]
fn a_forked_child_holds_no_run_of_its_parents() {
    let folder = Folder::new("");
    let text = format!(
        "{ENDLESS}{}",
        r#"
stream = Pipeline([note]).stream(forever())
next(stream)
child = os.fork()
if child == 0:
    while not os.path.exists("enough"):
        time.sleep(0.02)
    open("ended", "w").close()
    os._exit(0)
open("forked", "w").close()
for task in stream:
    pass
"#
    );
    let handle = program(&folder, &text).start().expect("it starts");
    wait_for("a child", || folder.path("forked").exists());
    let client = handle.pids()[0];
    let engine = engine_of(client).expect("a program");
    kill("-KILL", &client.to_string());
    wait_for("the end of the program", || !is_alive(&engine));
    wait_for_their_end(&folder);
    assert!(!workers(&folder).is_empty() && !folder.path("ended").exists());
    folder.write("enough", "");
    handle.wait().expect("the child lets the outputs go");
}

/// A source may fork in the thread that asks it for tasks, and the child ends as programs do; a child
/// runs pipelines of its own; threads start runs while the program forks; and several threads take
/// from one stream, which ends for all of them.
#[test]
fn forks_and_threads_of_any_kind_end() {
    passes(
        &Folder::new(""),
        r#"
import os, sys, threading, time
from curator import Pipeline

def same(task):
    return task.data

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def forks():
    for n in range(3):
        pid = os.fork()
        if pid == 0:
            sys.exit(7)  # In this thread alone, which is all that the child has.
        ended(pid)
        yield n

assert Pipeline([same]).run(forks()).data == [0, 1, 2]

stream = Pipeline([same]).stream(iter(range(300)))
next(stream)
pid = os.fork()
if pid == 0:
    sys.exit(5 if Pipeline([same]).run([1]).data == [1] else 6)
assert ended(pid) == 5 and len(list(stream)) == 299

problems, is_over = [], threading.Event()
def work():
    while not is_over.is_set():
        try:
            if Pipeline([same]).run([1]).data != [1]:
                problems.append("other data")
        except BaseException as error:
            problems.append(error)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(15):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert ended(pid) == 0
    time.sleep(0.01)
is_over.set()
for thread in threads:
    thread.join()
assert not problems, problems

taken = []
def take(stream):
    try:
        for task in stream:
            taken.append(task.data)
    except BaseException as error:
        problems.append(error)

def at_once(stream):
    threads = [threading.Thread(target=take, args=(stream,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    return threads

for thread in at_once(Pipeline([same]).stream(range(500))):
    thread.join()
assert sorted(taken) == list(range(500)) and not problems, problems

def slow():
    while True:
        yield 0
        time.sleep(0.05)

stream = Pipeline([same]).stream(slow())
threads = at_once(stream)
while len(taken) < 502:
    time.sleep(0.01)
stream.close()
for thread in threads:
    thread.join()
assert not problems, problems
"#,
    );
}
