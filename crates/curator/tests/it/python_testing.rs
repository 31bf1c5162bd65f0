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
