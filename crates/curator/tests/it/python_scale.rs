//! `import curator`: many tasks and large ones take no more memory than a few.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// A stream of small tasks, and one of large ones that are more in sum than either side may have:
/// the client, its program and its workers keep what is under way, and the program grants and gives
/// tasks in groups.
#[test]
fn memory_is_bounded_however_much_goes_through() {
    let is_whole = std::env::var_os("CURATOR_TEST_ALL").is_some();
    let (small, large) = if is_whole { (1_000_000, 2_560) } else { (20_000, 320) };
    let text = r#"
import os
from curator import Pipeline, _session

def same(task):
    return task.data

def changed(task):
    return b"y" + task.data[1:]

def most(pid):
    """The most memory that a process has had, in MiB; none of one that has ended."""
    found = [line for line in lines(f"/proc/{pid}/status") if line.startswith("VmHWM")]
    return int(found[0].split()[1]) // 1024 if found else 0

def lines(path):
    """The lines of a file about a process or a thread; none once it has ended."""
    try:
        with open(path) as file:
            return file.readlines()
    except (FileNotFoundError, ProcessLookupError):
        return []

def children(pid):
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        for line in lines(f"/proc/{pid}/task/{thread}/children"):
            found += line.split()
    return found

frames = {"groups": 0, "credits": 0}
Channel = _session._frames.Channel
receive_all = Channel.receive_all

def counted(self):
    found = receive_all(self)
    frames["groups"] += 1
    frames["credits"] += sum(kind == _session.CREDIT for kind, *_ in found)
    return found

Channel.receive_all = counted

def through(stage, items, count):
    """The most memory of the client, its program and the workers, of some looks on the way."""
    taken, sums = 0, [0, 0, 0]
    with Pipeline([stage]).stream(items) as stream:
        for task in stream:
            taken += 1
            if taken % (count // 8) == 1:
                [engine] = children(os.getpid())
                now = most("self"), most(engine), max(map(most, children(engine)), default=0)
                sums = list(map(max, sums, now))
    assert taken == count and all(sums), sums
    return sums

few = through(same, ({"n": n, "text": "x" * 100} for n in range(2_000)), 2_000)
frames.update(groups=0, credits=0)
many = through(same, ({"n": n, "text": "x" * 100} for n in range(SMALL)), SMALL)
assert all(after < before + 64 for before, after in zip(few, many)), (few, many)
assert frames["credits"] <= SMALL // 200 and frames["groups"] < SMALL, frames
size = 1 << 20
heavy = through(changed, (bytes(size) for _ in range(LARGE)), LARGE)
assert all(most < 256 for most in heavy), heavy
"#;
    let text = text.replace("SMALL", &small.to_string()).replace("LARGE", &large.to_string());
    passes(&Folder::new(""), &text);
}
