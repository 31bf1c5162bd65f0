//! `import curator`: a stage in the process at hand does what it does in a worker.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// Coroutines have one event loop from the first hook to the last, also where the caller's own loop
/// runs, as in a notebook, and what is made for the loop works all the while.
#[test]
fn coroutines_of_a_stage_have_one_loop_here_too() {
    passes(
        &Folder::new(""),
        r"
import asyncio
from curator import Pipeline, stage
from curator.testing import run_stage

class Client:
    async def setup(self):
        self.loop, self.lock = asyncio.get_running_loop(), asyncio.Lock()
        self.left = asyncio.ensure_future(asyncio.sleep(60))
    async def process(self, task):
        async with self.lock:
            await asyncio.sleep(0)
        assert asyncio.get_running_loop() is self.loop
        return task.data + 1
    async def teardown(self):
        assert asyncio.get_running_loop() is self.loop

class Yields:
    async def process(self, task):
        yield task.data
        await asyncio.sleep(0)
        yield -task.data

@stage(batch_size=2)
class Batches:
    async def process_batch(self, tasks):
        return [task.data for task in tasks]

async def inside(what):
    return what()

expected = [2, -2, 3, -3]
pipeline = Pipeline([Client, Yields, Batches])
ways = [
    lambda: pipeline.run([1, 2], debug=True).data,
    lambda: pipeline.run([1, 2]).data,
    lambda: [task.data for task in run_stage(Yields(), [task.data for task in run_stage(Client(), [1, 2])])],
]
for way in ways:
    assert way() == expected, way()
    assert asyncio.run(inside(way)) == expected
",
    );
}

/// The caller's items and stages stay as they are, one item given twice is two tasks, stages of one name are told
/// apart, and what would be lost is told: in this process as in workers. Aggregates come in the order
/// of their items.
#[test]
fn a_stage_gets_and_gives_here_what_it_does_in_a_worker() {
    passes(
        &Folder::new(""),
        r#"
from curator import Aggregate, Pipeline, Task
from curator.testing import run_stage

def mark(task):
    task.data["n"] += 1
    return task

class Sums:
    batch_size = 2
    def process_batch(self, tasks):
        return Aggregate([sum(task.data["n"] for task in tasks), tasks[0].data["n"]])

class Counts:
    def __init__(self):
        self.count = 0
    def process(self, task):
        self.count += 1
        return self.count

class Hooks:
    def setup(self):
        yield
    def process(self, task):
        return task

def lost(task):
    yield 1
    return 2

item, task = {"n": 1}, Task({"n": 5}, {"of": "mine"}, "set", "own")
for debug in (True, False):
    report = Pipeline([mark, mark]).run([item, item, task], debug=debug)
    assert report.data == [{"n": 3}, {"n": 3}, {"n": 7}], report.data
    assert [task.id for task in report] == ["0_0_0_0", "0_1_0_0", "0_2_0_0"], report.outputs
    assert item == {"n": 1} and (task.data, task.id) == ({"n": 5}, "own"), (item, task)
    assert [stage["name"] for stage in report.stages] == ["mark", "mark_2"]
    items = [{"n": n} for n in range(40)]
    sums = [number for n in range(0, 40, 2) for number in (2 * n + 1, n)]
    assert Pipeline([Sums]).run(items, debug=debug).data == sums
    for wrong, words in [(Hooks, "`setup` has a `yield`"), (lost, "returned a int, which is lost")]:
        try:
            Pipeline([wrong]).run([1], debug=debug)
        except TypeError as error:
            assert words in str(error), error
        else:
            raise AssertionError((wrong, debug))
counts = Pipeline([Counts])
assert [counts.run([0, 0], debug=debug).data for debug in (True, True, False)] == [[1, 2]] * 3
assert [task.data for task in run_stage(mark, [item, item])] == [{"n": 2}, {"n": 2}]
assert item == {"n": 1}
"#,
    );
}

/// What a stage gets, and what comes of its answers, is what it is in a worker; so are the keys that it
/// needs, the arguments of its hooks, and what is refused.
#[test]
fn values_hooks_and_keys_are_here_what_they_are_in_a_worker() {
    passes(
        &Folder::new(""),
        r#"
import dataclasses
import datetime
import enum
import threading
from curator import Aggregate, Pipeline, Task
from curator.testing import run_stage

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Row:
    text: str

class Own:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return type(other) is Own and self.x == other.x

def ways(one, items):
    return [
        lambda: Pipeline([one]).run(items).data,
        lambda: Pipeline([one]).run(items, debug=True).data,
        lambda: [task.data for task in run_stage(one, items)],
    ]

# What the stage gets, and what comes of it.
values = [
    Colour.RED, Row("a"), datetime.date(2026, 1, 2), (1, 2), {"a": (1, Colour.RED)}, b"raw", {1: 2},
    Own(3), {"a": Own(4)}, {5}, 1.5, None,
]
given = [Task(value) for value in values]
seen = lambda task: [[repr(task.data) if not isinstance(task.data, (Own, dict)) else type(task.data)]]
same = lambda task: Task(task.data)
for one in (same, seen):
    expected, *others = [way() for way in ways(one, given)]
    assert all(other == expected for other in others), (expected, others)
    assert [type(it) for it in expected] == [type(it) for it in others[0]] == [type(it) for it in others[1]]

class Named:
    inputs = ["text"]
    def process(self, task):
        return task.data["text"]

class NamedBatches:
    inputs, batch_size = ["text"], 2
    def process_batch(self, tasks):
        return [task.data["text"] for task in tasks]

class Hooks:
    def setup(self, **named):
        assert not named
    def setup_on_node(self, *, ctx=None):
        assert ctx is None
    def teardown(self, *rest):
        assert not rest
    def process(self, task):
        return task.data

class Batches:
    batch_size = 2
    async def later(self, value):
        return value
    def process_batch(self, tasks):
        for task in tasks:
            yield [Task(1), 2] if task.data else self.later((1, 2))

for one in (Named, NamedBatches):
    told = []
    for way in ways(one, [{"text": 1}, {"txt": 2}]):
        try:
            way()
        except KeyError as error:
            told.append(str(error))
    assert len(told) == 3 and len(set(told)) == 1, told
    assert "it needs the key 'text', and has 'txt'" in told[0], told
for way in ways(Hooks, [1]):
    assert way() == [1]
for way in ways(Batches, [0, 1, 0]):
    assert way() == [[1, 2], 1, 2, [1, 2]], way()

for answer, words in [
    (lambda task: Aggregate([1]), "returns it as the whole of its answer"),
    (lambda task: (Task(1), Task(2)), "a task is an output of its own"),
    (lambda task: threading.Lock(), "cannot pickle"),
]:
    for way in ways(answer, [1]):
        try:
            way()
        except TypeError as error:
            assert words in str(error), error
        else:
            raise AssertionError(words)
"#,
    );
}
