//! `import curator`: what would pass unseen and give another answer than the program's author means.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// A program finds its own modules before those that are installed, and a worker after them. A module
/// of the user's by the name of another one is refused, also where it is imported late, or by another
/// module of theirs.
#[test]
fn a_module_of_ones_own_is_not_exchanged_for_another_of_its_name() {
    let folder = Folder::new("");
    folder.write("statistics.py", "def mean(values):\n    return 'mine'\n");
    folder.write("packaging.py", "NAME = 'mine'\n");
    folder.write("helper.py", "def late():\n    import packaging\n    return packaging.NAME\n");
    folder.write("plain.py", "NAME = 'plain'\n");
    passes(
        &folder,
        r#"
from curator import Pipeline, stage
import helper

OTHER = {"uv": ["packaging==24.0"]}

def standard(task):
    import statistics
    return statistics.mean([1])

def installed(task):
    import packaging
    return packaging.NAME

def through(task):
    return helper.late()

def inner(task):
    def work():
        from packaging import NAME
        return NAME
    return work()

def free(task):
    import plain, json
    return plain.NAME

for function in (standard, installed, through, inner):
    try:
        found = Pipeline([stage(runtime_env=OTHER)(function)]).run([0]).data
    except Exception as error:
        text = str(getattr(error, "__cause__", None) or error)
        assert "uses your module" in text and "comes first in a worker" in text, text
    else:
        raise AssertionError(found)
assert Pipeline([free]).run([0]).data == ["plain"]
"#,
    );
}

/// A worker sees no user site, since that is no part of a base: what a stage has from there is refused,
/// in place of another version of it.
#[test]
fn a_package_of_the_user_site_is_refused() {
    passes(
        &Folder::new(""),
        r#"
import os, subprocess, sys
site = os.path.abspath("site")
code = (
    "import site; folder = site.getusersitepackages(); import os; os.makedirs(folder);"
    "open(folder + '/ours.py', 'w').write('VERSION = 1')"
)
environment = {**os.environ, "PYTHONUSERBASE": site}
# The tests' own interpreter is that of a virtualenv, which has no user site.
python = os.path.join(sys.base_prefix, "bin", "python3")
subprocess.run([python, "-c", code], env=environment, check=True)
text = '''
from curator import Pipeline
def late(task):
    import ours
    return ours.VERSION
try:
    print(Pipeline([late]).run([0]).data)
except ValueError as error:
    print(error)
'''
environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
done = subprocess.run([python, "-c", text], env=environment, capture_output=True, text=True)
assert "stage 'late' uses `ours` from the user site" in done.stdout, done
"#,
    );
}

/// A function that comes back is the program's own one only if it is that: what is made by the same
/// code with other defaults is another one.
#[test]
fn functions_come_back_with_what_they_were_made_with() {
    passes(
        &Folder::new(""),
        r#"
from curator import Pipeline
from curator.testing import run_stage

def make(k):
    def f(x, k=k):
        return x + k
    return f

def named(k):
    def g(x, *, k=k):
        return x + k
    return g

f, g = make(1), named(1)

def h(x):
    return x

def same(task):
    return task.data

for made, own in ((make, f), (named, g)):
    given = [own, made(2), made(3)]
    back = Pipeline([same]).run(given).data
    assert [it(0) for it in back] == [1, 2, 3], back
    assert [it(0) for it in (task.data for task in run_stage(same, given))] == [1, 2, 3]
assert Pipeline([same]).run([f, h]).data[0] is f
assert Pipeline([same]).run([h]).data[0] is h
marked = make(4)
marked.tag = "mine"
assert Pipeline([same]).run([marked]).data[0].tag == "mine"
"#,
    );
}

/// What a stage declares holds wherever it stands, `None` keeps, and what would hold nowhere is told.
#[test]
fn no_declaration_passes_unseen() {
    passes(
        &Folder::new(""),
        r#"
import functools, warnings
from typing import Generic, TypeVar
from curator import CompositeStage, Pipeline, Stage, stage

OLD = {"uv": ["packaging==23.2"]}

def version(task):
    import packaging
    return packaging.__version__

version.runtime_env = OLD

class Own:
    pass

own = Own()
own.process = version
assert Pipeline([own]).run([0]).data == ["23.2"]

class Declares(Stage):
    runtime_env = OLD
    def process(self, task):
        return version(task)

kept = Declares().with_(runtime_env=None, name=None)
assert kept.runtime_env == OLD and Pipeline([kept]).run([0]).data == ["23.2"]
[kept] = Pipeline([Declares()]).with_({"Declares": {"runtime_env": None}}).stages
assert kept.runtime_env == OLD

class Plain:
    def process(self, task):
        return version(task)

class Both(CompositeStage):
    runtime_env = OLD
    def decompose(self):
        return [Plain]

class Passes(Both):
    def decompose(self):
        return [stage(runtime_env=self.runtime_env)(Plain)]

try:
    Pipeline([Both])
except ValueError as error:
    assert "Both declares `runtime_env`" in str(error), error
else:
    raise AssertionError("the environment of a composite stage")
assert Pipeline([Passes]).run([0]).data == ["23.2"]

class Sized(CompositeStage):
    batch_size = 7
    def decompose(self):
        return [Own]

Own.process = lambda self, task: task.data
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    Pipeline([Sized])
assert ["Sized declares `batch_size`" in str(it.message) for it in told] == [True], told

# A class with some of its arguments, or with a type, is a class.
T = TypeVar("T")

class Add(Generic[T]):
    def __init__(self, more=1, task=None):
        self.more = more
    def process(self, task):
        return task.data + self.more

partial = stage(batch_size=2)(functools.partial(Add, 5))
assert Pipeline([partial, Add[int]]).run([0]).data == [6]

try:
    Pipeline({Add(), Plain()})
except TypeError as error:
    assert "a set has no order" in str(error), error
else:
    raise AssertionError("a set of stages")

# Hooks that nothing would call.
class Misspelt:
    def setUp(self):
        pass
    def setup_on_nodes(self):
        pass
    def tear_down(self):
        pass
    def process(self, task):
        return task

with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    Pipeline([Misspelt]).plan()
texts = sorted(str(it.message) for it in told)
assert [text.split("`")[1] for text in texts] == ["setUp", "setup_on_nodes", "tear_down"], texts
"#,
    );
}

/// The outputs of an aggregate are given one after the other: what is one is not taken apart.
#[test]
fn an_aggregate_takes_nothing_apart() {
    passes(
        &Folder::new(""),
        r#"
import functools
from curator import Aggregate, Pipeline
from curator.testing import run_stage

class Counts:
    batch_size = 2
    def __init__(self, made):
        self.made = made
    def process_batch(self, tasks):
        return Aggregate(self.made)

for made in ({"count": 2}, "total", b"raw"):
    for run in (lambda it: Pipeline([it]).run([1, 2]), lambda it: run_stage(it, [1, 2])):
        try:
            raise AssertionError(run(Counts(made)))
        except TypeError as error:
            assert "`[output]`" in str(error), error
assert Pipeline([Counts([{"count": 2}])]).run([1, 2]).data == [{"count": 2}]

@functools.singledispatch
def kinds(task):
    return "any"

assert Pipeline([kinds]).run([0]).data == ["any"]
"#,
    );
}

/// A worker that dies while it tears down may have lost what it had not yet written.
#[test]
fn a_worker_that_dies_while_it_tears_down_is_told() {
    passes(
        &Folder::new(""),
        r#"
import contextlib, io, os
from curator import Pipeline

class Dies:
    def process(self, task):
        return task
    def teardown(self):
        os._exit(0)

said = io.StringIO()
with contextlib.redirect_stderr(said):
    assert Pipeline([Dies]).run([1]).data == [1]
assert said.getvalue().count("died in `teardown`") == 1, said.getvalue()
"#,
    );
}

/// An exception whose author forbids changes is raised as itself, and one with a text of any length is
/// told, cut.
#[test]
fn exceptions_of_any_kind_are_raised() {
    passes(
        &Folder::new(""),
        r#"
import dataclasses
from curator import Pipeline

@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int = 0

def fails(task):
    raise Frozen(task.data)

try:
    Pipeline([fails]).run([7])
except Frozen as error:
    assert error.code == 7 and error.__cause__.stage == "fails"
else:
    raise AssertionError("it fails")

def long(task):
    raise ValueError("x" * 30_000_000)

try:
    Pipeline([long]).run([0])
except ValueError as error:
    assert len(str(error.__cause__)) < 2_000_000
else:
    raise AssertionError("it fails")
"#,
    );
}

/// A stage in the process at hand is refused what a run refuses, and gives what a run gives.
#[test]
fn a_stage_here_is_as_one_in_a_worker() {
    passes(
        &Folder::new(""),
        r#"
import warnings
from curator import Pipeline, Task, stage
from curator.testing import run_stage

class Batches:
    def process_batch(self, tasks):
        return [task.data for task in tasks]

for setting in ("batch_size", "num_workers", "max_attempts"):
    for value in (0, -1, 2.5, "3"):
        changed = stage(**{setting: value})(type("Batches", (Batches,), {}))
        for run in (
            lambda: Pipeline([changed]).run([1]),
            lambda: Pipeline([changed]).run([1], debug=True),
            lambda: run_stage(changed, [1]),
        ):
            try:
                raise AssertionError((setting, value, run()))
            except ValueError as error:
                assert setting in str(error), error

class Ends:
    def process(self, task):
        if task.data == 2:
            raise KeyError("its own")
        return task.data
    def teardown(self):
        raise ValueError("late")

with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    assert Pipeline([Ends]).run([1], debug=True).data == [1]
    try:
        Pipeline([Ends]).run([2], debug=True)
    except KeyError as error:
        assert error.args == ("its own",)
assert ["late" in str(it.message) for it in told] == [True, True], told

def yields(task):
    yield "first"
    task.metadata["z"] = 1
    yield "second"

expected = [{"m": 1}, {"m": 1, "z": 1}]
for run in (Pipeline([yields]).run, lambda it: Pipeline([yields]).run(it, debug=True)):
    assert [it.metadata for it in run([Task("a", metadata={"m": 1})])] == expected
"#,
    );
}
