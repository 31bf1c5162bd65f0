//! `import curator`: values come out of a pipeline as they went in, and its exceptions are raised
//! again.

use std::fs;

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// Through two processes and back: values with a JSON form by the table, and all others unchanged.
#[test]
fn values_come_out_as_the_table_says_or_as_they_are() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
import collections
import dataclasses
import datetime
import decimal
import enum
import pathlib
import random
import sys
from curator import Pipeline, Task, stage

class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(other) is Point and self.x == other.x
    def __hash__(self): return hash(self.x)

@dataclasses.dataclass
class Row:
    text: str

class Colour(enum.Enum):
    RED = "red"

class Number(enum.IntEnum):
    ONE = 1

class Text(str):
    pass

Named = collections.namedtuple("Named", "a b")

class Document(Task):
    __slots__ = ("words",)
    def __init__(self, text):
        super().__init__({"text": text})
        self.words = text.split()

mark = b"\x93curator\0" + b"rest"
exact = [
    None, True, 0, -1, 2**70, 10**5000, 1.5, -0.0, "", "é\u2028", "\ud800", [], {}, {"a": [1, {"b": None}]},
    b"", b"\x00\xff" * 9, mark, mark * 4000, b"x" * 100_000,
    {1: "a"}, {None: 1}, {(1, 2): {3}}, {1, 2}, frozenset("ab"), 1 + 2j, decimal.Decimal("1.10"),
    Point(3), [Point(1), {"p": Point(2)}], {"img": b"raw"}, datetime.timedelta(1), float("inf"),
    range(3), int, Point,
]
table = [
    (Row("a"), {"text": "a"}), (Colour.RED, "red"), (pathlib.PurePosixPath("/a"), "/a"),
    (datetime.date(2026, 1, 2), "2026-01-02"), ((1, 2), [1, 2]),
]

# The same forms beside what only a pickle can hold.
day, row = datetime.date(2026, 1, 2), Row({1})
shared = [(1, 2)]
circle = {"self": None, "day": day}
circle["self"] = [circle]
mixed = [
    ([(3.0, 1), {4}], [[3.0, 1], {4}]), ({"when": day, "set": {1}}, {"when": "2026-01-02", "set": {1}}),
    (row, {"text": {1}}), ({1: Colour.RED}, {1: "red"}), ([shared, shared, {1}], [[[1, 2]], [[1, 2]], {1}]),
    ({"p": Point(1), "at": pathlib.PurePosixPath("/a")}, {"p": Point(1), "at": "/a"}),
    (collections.OrderedDict(a=b"raw"), {"a": b"raw"}), ([Named(1, b"raw")], [[1, b"raw"]]),
    ([Number.ONE, Text("t"), {1}], [1, "t", {1}]),
]
table += mixed

def give(rng, depth=0):
    kinds = [lambda: rng.choice(exact[1:12]), lambda: Point(rng.random()), lambda: {rng.random()}]
    if depth < 3:
        kinds += [
            lambda: [give(rng, depth + 1) for _ in range(rng.randrange(3))],
            lambda: {rng.choice(["a", 1, None]): give(rng, depth + 1) for _ in range(2)},
        ]
    return rng.choice(kinds)()

rng = random.Random(7)
exact += [give(rng) for _ in range(200)]

def same(task):
    return task

def rebuilt(task):
    return Task(task.data, {"seen": 1}, "d")

# A list of a task's becomes several, so these travel as the data of tasks.
given = [Task(value) for value in exact] + [Task(value) for value, _ in table]
report = Pipeline([same, rebuilt]).run(given)
wanted = exact + [value for _, value in table]
assert len(report) == len(wanted)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
for value, task in zip(wanted, report):
    assert type(task.data) is type(value) and task.data == value, (value, task.data)
    assert (task.metadata, task.dataset_name) == ({"seen": 1}, "d")

class Count:
    def process(self, task):
        assert isinstance(task, Document), task
        task.words = task.words + [task.id]
        return task

[task] = Pipeline([same]).run([Task(circle)])
assert task.data["self"][0] is task.data and task.data["day"] == "2026-01-02", task.data
[task] = Pipeline([same]).run([Task([float("nan"), (1, 2)])])
assert task.data[0] != task.data[0] and task.data[1] == [1, 2], task.data
rows = Pipeline([lambda task: task.data]).run([(1, 2), (3, {4}), (5, 6)])
assert [task.data for task in rows] == [1, 2, 3, {4}, 5, 6], rows

[document] = Pipeline([Count, Count]).run([Document("a b")])
assert type(document) is Document and document.words == ["a", "b", "0_0", "0_0_0"], document.words
"#,
    );
}

/// The program catches the stage's own exception, with its attributes and the worker's traceback.
/// An exception of a module that the program lacks comes as a `StageError`.
#[test]
fn exceptions_are_raised_again_as_themselves() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
import os
from curator import (
    CuratorError, LocalExecutor, NoEnvironmentError, Pipeline, PipelineError, StageError, stage,
)

class Bad(Exception):
    def __init__(self, text, row):
        super().__init__(text)
        self.row = row
    def __reduce__(self):
        return Bad, (self.args[0], self.row)

class Picky:
    where = "process"
    def __init__(self, where="process"):
        self.where = where
    def setup(self):
        if self.where == "setup":
            raise Bad("at the set-up", {"n": -1})
    def process(self, task):
        if task.data == 2:
            raise Bad("two", row={"n": task.data})
        return task

def lazily(task):
    yield 1
    raise Bad("late", 0)

async def later(task):
    raise Bad("later", 0)

for made, text in [(Picky(), "two"), (Picky("setup"), "at the set-up"), (lazily, "late"), (later, "later")]:
    try:
        Pipeline([made]).run(range(4))
    except Bad as error:
        assert str(error) == text and hasattr(error, "row"), error
        cause = error.__cause__
        assert isinstance(cause, StageError) and cause.stage in ("Picky", "lazily", "later")
        assert "program.py" in cause.traceback and f"raise Bad" in cause.traceback, cause.traceback
    else:
        raise AssertionError(made)

report = Pipeline([Picky()]).run(range(4), LocalExecutor(failure_policy="record"))
[failed] = report.failed
assert report.data == [0, 1, 3] and failed.sources == [2] and failed.error.row == {"n": 2}, failed
assert "Bad: two" in failed.cause and "two" in failed.traceback

def foreign(task):
    import sys, types
    exec("class Theirs(Exception): pass", globals())
    class Odd(Exception):
        def __reduce__(self): raise TypeError("it stays here")
    raise Odd("no pickle")

try:
    Pipeline([foreign]).run([1])
except StageError as error:
    assert error.tasks == ["0_0"] and "Odd" in str(error) and "no pickle" in error.traceback, error
else:
    raise AssertionError

def dies(task):
    os._exit(3)

try:
    Pipeline([dies]).run([1])
except StageError as error:
    assert "exit" in str(error) and error.hint, error
else:
    raise AssertionError

# A secret of the stage's variables stays where it is: the exception would hold it.
@stage(runtime_env={"env_vars": {"API_TOKEN": "hush-hush-hush"}})
def tells(task):
    raise ValueError(os.environ["API_TOKEN"])

try:
    Pipeline([tells]).run([1])
except StageError as error:
    assert "hush-hush" not in str(error) and "ValueError" in str(error), error
else:
    raise AssertionError

for wrong, kind, words in [
    (stage(batch_size=0)(len), PipelineError, "batch_size"),
    (stage(runtime_env={"uvv": []})(len), PipelineError, "uv"),
    (stage(runtime_env={"uv": ["packaging==999"]})(len), NoEnvironmentError, "packaging"),
]:
    try:
        Pipeline([wrong]).run([1])
    except kind as error:
        assert words in str(error) and isinstance(error, CuratorError), error
    else:
        raise AssertionError(words)
try:
    stage(runtime_envs={})
except TypeError as error:
    assert "`runtime_env`" in str(error), error
"#,
    );
}

/// An exception whose constructor wants other arguments than it passes on comes back as itself, too;
/// one that would end a loop, or the program, is the cause of a `StageError`.
#[test]
fn exceptions_of_any_make_are_told() {
    passes(
        &Folder::new(""),
        r#"
from curator import Pipeline, StageError

class Two(Exception):
    def __init__(self, row, why):
        super().__init__(f"{row}: {why}")
        self.row, self.why = row, why

class Named(Exception):
    def __init__(self, *, row):
        self.row = row

class Gone(OSError):
    def __init__(self, path, *, code):
        super().__init__(code, "gone", path)
        self.code = code

class Missing(KeyError):
    def __init__(self, key, place):
        KeyError.__init__(self, key)
        self.place = place

make = {
    "two": lambda: Two(1, "odd"),
    "named": lambda: Named(row=4),
    "gone": lambda: Gone("/p", code=2),
    "missing": lambda: Missing("k", 9),
    "import": lambda: ImportError("x", name="n", path="p"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "r"),
    "file": lambda: FileNotFoundError(2, "no", "f"),
    "stop": lambda: StopIteration(5),
    "exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt(),
}

def told(error):
    names = ("errno", "filename", "strerror", "name", "path")
    more = {name: getattr(error, name, None) for name in names}
    return type(error), error.args, str(error), vars(error), more

def fails(task):
    raise make[task.data]()

for name in make:
    expected = make[name]()
    try:
        list(Pipeline([fails]).stream([name]))
    except StageError as error:
        assert name in ("stop", "exit", "interrupt"), error
        assert told(error.__cause__) == told(expected)
    except Exception as error:
        assert told(error) == told(expected), (told(error), told(expected))
        assert isinstance(error.__cause__, StageError)
    else:
        raise AssertionError(f"{name} was the end of the tasks")
"#,
    );
}

/// A table crosses as Arrow, with or without `pyarrow` at the ends: here neither has it, and the stages have what needs
/// nothing. A frame that cannot become one is refused, and never pickled.
#[test]
#[cfg(feature = "arrow")]
fn tables_cross_as_arrow() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
from curator import ArrowStream, Pipeline, StageError

def make(task):
    from curator_table import Table
    return Table.from_pydict({"n": [1, None, 3], "text": ["a", None, "é"]})

def total(task):
    numbers, texts = (task.data.column(name).to_pylist() for name in ("n", "text"))
    return {"sum": sum(n or 0 for n in numbers), "text": texts}

made = Pipeline([make]).run([0]).data
assert type(made[0]) is ArrowStream, made
assert Pipeline([total]).run(made).data == [{"sum": 4, "text": ["a", None, "é"]}]
assert Pipeline([make, total]).run([0]).data == Pipeline([total]).run(made).data

def frame(task):
    Frame = type("DataFrame", (), {"__module__": "polars.dataframe"})
    return Frame()

try:
    Pipeline([frame]).run([0])
except TypeError as error:
    assert "pyarrow" in str(error), error
else:
    raise AssertionError
"#,
    );
}

/// What is in no module that a worker could import travels as it is: of a file that was loaded by its
/// path, as by a runner of tests, and of a module that the program makes. It comes back as what it
/// was, and workers are forked all the same.
#[test]
fn what_no_worker_can_import_travels_as_it_is() {
    let folder = Folder::new("");
    fs::create_dir(folder.path("plugins")).expect("a folder");
    let text = "import json\n\n\nclass Point:\n    def __init__(self, x): self.x = x\n\n\n\
                class Bad(Exception):\n    pass\n\n\ndef half(n):\n    return n / 2\n\n\n\
                class Make:\n    num_workers = 2\n    def process(self, task):\n        \
                if task.data == 9: raise Bad(json.dumps(9))\n        \
                return Point(half(getattr(task.data, 'x', task.data)))\n";
    folder.write("plugins/plugin.py", text);
    passes(
        &folder,
        r#"
import importlib.util, sys, types
from curator import Pipeline

spec = importlib.util.spec_from_file_location("plugin", "plugins/plugin.py")
plugin = importlib.util.module_from_spec(spec)
sys.modules["plugin"] = plugin
spec.loader.exec_module(plugin)
made = types.ModuleType("made")
sys.modules["made"] = made
with open("plugins/plugin.py") as file:
    exec(file.read(), made.__dict__)

for module in (plugin, made):
    report = Pipeline([module.Make, module.Make]).run([8, module.Point(4)])
    assert [(type(it) is module.Point, it.x) for it in report.data] == [(True, 2.0), (True, 1.0)]
    assert all("not_forked" not in stage for stage in report.stages), report.stages
    try:
        Pipeline([module.Make]).run([9])
    except module.Bad as error:
        assert str(error) == "9"
    else:
        raise AssertionError
"#,
    );
}

/// A frame that Arrow would have as another is refused where a program hands it in, as it is where a
/// stage returns it.
#[test]
#[cfg(feature = "arrow")]
fn frames_of_a_program_are_what_they_were_or_refused() {
    passes(
        &Folder::new(""),
        r#"
from curator import environment

packages = ["pandas", "pyarrow"]
inner = r'''
import datetime
import pandas
from curator import Pipeline, PipelineError, Task
from curator.testing import run_stage

def same(task):
    return task

refused = [
    (pandas.DataFrame([[1, 2]], columns=[True, False]), "names that are not all text"),
    (pandas.DataFrame([[1, 2]], columns=[1, "a"]), "names that are not all text"),
    (pandas.DataFrame({"a": [[1], {2}]}), "column 'a', row 1 of the DataFrame has {2} (a set)"),
    (pandas.DataFrame({"a": [b"x", "y"]}), "column 'a', row 1 of the DataFrame has 'y' (a str)"),
    (
        pandas.DataFrame({"a": [datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 3)]}, dtype=object),
        "row 1 of the DataFrame has datetime.datetime(2020, 1, 1, 3, 0)",
    ),
]
for frame, words in refused:
    for item in (frame, Task(frame)):
        try:
            Pipeline([same]).run([item])
        except PipelineError as error:
            assert words in str(error) and "task 0 cannot be sent" in str(error), error
        else:
            raise AssertionError(words)
frame = pandas.DataFrame({"a": ["x", None], "b": [1, 2]}, index=["i", "k"])
[table] = Pipeline([same]).run([frame]).data
pandas.testing.assert_frame_equal(table.to_pandas(), frame)

# In this process, too, a stage gets the table that it gets in a worker.
def text(task):
    assert type(task.data) is type(table), task.data
    return task.to_pandas()

for found in (run_stage(text, [frame])[0], Pipeline([text, text]).run([frame], debug=True).outputs[0]):
    pandas.testing.assert_frame_equal(found.to_pandas(), frame)
'''
environment(uv=packages).run("python", "-c", inner, check=True)
"#,
    );
}
