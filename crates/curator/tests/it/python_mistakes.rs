//! `import curator`: mistakes of a first program, each told in the program's own words, where it is.

use std::path::Path;

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// What is no stage, one task alone, a pipeline without stages and a name that is nearly a setting are
/// told before anything is started, and the run as well as its plan tells of such a name once. A run
/// that fails leaves no half of a line.
#[test]
fn mistakes_are_told_with_what_was_meant() {
    passes(
        &Folder::new(""),
        r#"
import contextlib
import io
import time
import warnings
from curator import Pipeline, Task, stage
from curator.testing import run_stage

def fails(what, *words):
    try:
        what()
    except (TypeError, ValueError) as error:
        text = f"{error} {getattr(error, 'hint', '')}"
        assert all(word in text for word in words), text
    else:
        raise AssertionError(words)

class Proces:
    def proces(self, task):
        return task

class Calls:
    def __call__(self, task):
        return task.data + 1

def same(task):
    return task

fails(lambda: Pipeline([Proces]), "Proces", "`proces` is nearly `process`")
fails(lambda: Pipeline([Proces()]), "`proces` is nearly `process`")
fails(lambda: Pipeline([3]), "3 is no stage")
assert Pipeline([Calls, Calls()]).run([1]).data == [3]
for single in ({"text": "a"}, "text", b"raw", Task(1), 5):
    for run in (Pipeline([same]).run, Pipeline([same]).stream, lambda it: run_stage(same, it)):
        fails(lambda: run(single), "one after the other", f"got a {type(single).__name__}", "[item]")
assert Pipeline([same]).run(iter("ab")).data == ["a", "b"]
fails(lambda: Pipeline([], name="mine").run([1]), "'mine' has no stages", "in a list")
fails(lambda: Pipeline([same]).with_({"same": {"batchsize": 1}}), "did you mean `batch_size`")
fails(lambda: stage(runtime_envs={})(same), "did you mean `runtime_env`")

class Nearly:
    batchsize = 4
    def process(self, task):
        return task

pipeline = Pipeline([Nearly])
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    pipeline.plan()
    [warning] = told
    assert "`batch_size` is the nearest" in str(warning.message)
    assert warning.filename == __file__, warning.filename
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        pipeline.run([1])
# The line of a terminal that shows how far the stages are is gone before a traceback comes.
def late(task):
    time.sleep(0.25)
    if task.data == 2:
        raise LookupError
    return task

line = io.StringIO()
with contextlib.redirect_stderr(line), contextlib.suppress(LookupError):
    Pipeline([late]).run(range(3), progress=True)
assert "late 1" in line.getvalue() and line.getvalue().endswith("\r\x1b[K"), line.getvalue()
assert len(told) == 1 and said.getvalue().count("`batch_size` is the nearest") == 1, said.getvalue()
"#,
    );
}

/// A wrong value of any setting, on whatever way it was given, is told with the stage's name, which the
/// error has as well. No place in a text that the user did not write is named.
#[test]
fn a_wrong_setting_is_told_with_its_stage() {
    passes(
        &Folder::new(""),
        r#"
from curator import Pipeline, PipelineError, stage
from curator._stage import SETTINGS

wrong = {
    "runtime_env": [{"uvv": []}, {"uv": ["packaging=24.0"]}, {"uv": "no-such-file"}, "packaging"],
    "resources": [{"cpu": 1}, {"cpus": -1}],
    "batch_size": [0, -1, "2", 1.5],
    "num_workers": [-1, "2"],
    "num_workers_per_node": ["x", -1],
    "inputs": [5],
    "outputs": [5],
    "task_timeout_seconds": [-3, "long"],
    "isolation": ["ful"],
    "max_attempts": [0, -1],
    "recycle_after_tasks": [0],
    "preload": ["pandas", [5]],
    "ray_stage_spec": [5, {"is_actor_stag": True}],
    "xenna_stage_spec": [[1], {"num_worker": 1}],
}
assert set(wrong) == set(SETTINGS), set(wrong) ^ set(SETTINGS)

def work(self, task):
    return task

for setting, values in wrong.items():
    for value in values:
        given = {setting: value}
        made = [
            stage(name="mine", **given)(lambda task: task),
            type("mine", (), {"process": work, **given}),
            Pipeline([type("mine", (), {"process": work})]).with_({"mine": given}).stages[0],
        ]
        for one in made:
            pipeline = Pipeline([lambda task: task, one])
            try:
                pipeline.plan()
            except PipelineError as error:
                assert error.stage == "mine", (given, error.stage, str(error))
                assert "mine" in str(error) and setting in str(error), (given, str(error))
                assert "stage[" not in str(error), (given, str(error))
            else:
                raise AssertionError(given)
"#,
    );
}

/// The program tells which stage is wrong, so no name and no message is taken for something else.
#[test]
fn a_stage_is_named_by_the_program_and_not_by_a_text() {
    passes(
        &Folder::new(""),
        r#"
from curator import Pipeline, PipelineError, stage
from curator._errors import error_of

names = ["a: ``: b", "stage[0]", "`stage[0]`: c", "line 1, column 2: d"]
for place, name in enumerate(names):
    stages = [stage(name=other)(lambda task: task) for other in names]
    for change, field in (({"batch_size": "2"}, "`batch_size`"), ({"resources": {"cpu": 1}}, "cpu")):
        try:
            Pipeline(stages).with_({name: change}).plan()
        except PipelineError as error:
            begin = f"stage `{name}`: "
            assert str(error).startswith(begin) and field in str(error), str(error)
            assert error.stage == name, (name, error.stage)
        else:
            raise AssertionError(name)

for text in ("`stage[0].x`: said by a stage", "line 1, column 2: said by a stage"):
    error = error_of({"kind": "failed", "message": text}, ["a"])
    assert (error.args[0], error.stage) == (text, None), (error.args, error.stage)
"#,
    );
}

/// What an argument cannot mean is refused by its name, and not run as if it were not there.
#[test]
fn arguments_without_a_meaning_are_refused() {
    passes(
        &Folder::new(""),
        r#"
import contextlib, io, os, threading
import curator.ray
from curator import (
    Checkpoint, LocalExecutor, Pipeline, RayDataExecutor, RunRecord, environment, stage, warm,
)

def same(task):
    return task.data

async def endless():
    yield 1

def refused(what, *words):
    try:
        found = what()
    except (TypeError, ValueError) as error:
        text = f"{error} {getattr(error, 'hint', '')}"
        assert all(word in text for word in words), text
    else:
        raise AssertionError((words, found))

pipeline = Pipeline([same])
for one in (same, Pipeline, "same", {"same": same}, 5):
    refused(lambda: Pipeline(one), "in a list", "`[stage]`")
for call in (pipeline.run, pipeline.stream):
    refused(lambda: call([1], chekpoint="x"), call.__name__, "chekpoint")
    refused(lambda: call([1], LocalExecutor), "class LocalExecutor", "LocalExecutor()")
    refused(lambda: call([1], "local"), "'local' is no executor")
    refused(lambda: call([1], checkpoint=RunRecord("x")), "`checkpoint`")
    refused(lambda: call([1], record=Checkpoint("x")), "`record`")
    refused(lambda: call([1], locked=True), "`locked`")
    refused(lambda: call(endless()), "async")
    refused(lambda: call(iter), "call it")
    refused(lambda: call(list), "call it")
for name in ("checkpoint", "record", "locked", "page"):
    refused(lambda: pipeline.run([1], debug=True, **{name: "folder"}), "debug", f"`{name}`")
refused(lambda: pipeline.run([1], debug=True, chekpoint="x"), "chekpoint")
refused(lambda: pipeline.plan("local"), "no executor")
refused(lambda: Pipeline([same], runtime_env=["packaging"]).plan(), "`runtime_env`", "a table")
refused(lambda: Pipeline([same], base=5).plan(), "`base`")
for kind in (LocalExecutor, RayDataExecutor):
    refused(lambda: kind(4), "`failure_policy`", kind.__name__)
    for seconds in (-1, float("nan"), float("inf"), "5", True):
        refused(lambda: kind(stop_grace=seconds), "`stop_grace`", repr(seconds))
    refused(lambda: kind(cache_dir=5), "`cache_dir`")
for seconds in (-1, float("inf"), "600s"):
    refused(lambda: LocalExecutor(keep_warm=seconds), "`keep_warm`")
refused(lambda: LocalExecutor(devices="0,1"), "`devices`", "'0,1'")
refused(lambda: Checkpoint("x", accept_changes="no"), "`accept_changes`")
refused(lambda: Checkpoint(5), "`dir`")
refused(lambda: warm([same]).__enter__(), "no Pipeline")
refused(lambda: curator.ray.environment(uvv=["packaging"]), "did you mean `uv`")
refused(lambda: curator.ray.environment({"env_var": {}}), "did you mean `env_vars`")
assert curator.ray.environment(working_dir=".", nsight="default") == {
    "working_dir": ".", "nsight": "default"
}
report = pipeline.run([1])
refused(lambda: report.environment_of("smae"), "'smae'", "'same'")
assert report.environment_of("same")["state"] == "base"
assert not os.path.exists("folder") and not os.path.exists("x")

# What cannot be sent is named.
lock = threading.Lock()

class Holds:
    def __init__(self):
        self.fine, self.door = 1, lock
    def process(self, task):
        return task

class Refers:
    def process(self, task):
        return lock

def make(inner):
    return lambda task: inner

for one, name in [(Holds(), "self.door"), (Refers, "lock"), (make(lock), "inner")]:
    refused(lambda: Pipeline([one]).run([1]), f"its `{name}`", "`setup`")
"#,
    );
}

/// A hint calls things what they are called in Python.
#[test]
fn hints_name_what_a_program_in_python_has() {
    let advice = "../backends/src/run/error/advice.rs";
    let advice = Path::new(env!("CARGO_MANIFEST_DIR")).join(advice);
    let text = r#"
import re
from curator._errors import in_python

with open(ADVICE) as file:
    text = re.sub(r"\\\n\s*", "", file.read().partition('#[cfg(test)]')[0])
hints = [it.replace('\\"', '"') for it in re.findall(r'"((?:[^"\\]|\\.)+)"', text)]
assert len(hints) > 30
# Of stages in Rust, which no program in Python has.
hints = [it for it in hints if "Registry::" not in it and "serve_if_asked" not in it]
for hint in hints:
    assert not re.search(r"`--|\w::\w|`base = ", in_python(hint)), hint
"#;
    passes(&Folder::new(""), &text.replace("ADVICE", &format!("{advice:?}")));
}

/// Wrong arguments of executors and pipelines are told where they are written.
#[test]
fn arguments_are_checked_where_they_are_written() {
    passes(
        &Folder::new(""),
        r#"
from curator import LocalExecutor, Pipeline, RayDataExecutor

def same(task):
    return task.data

def refused(call, *words):
    try:
        found = call()
    except (TypeError, ValueError) as error:
        assert all(word in str(error) for word in words), (words, str(error))
    else:
        raise AssertionError((words, found))

# Where it is written, and not where it is run.
for value in (0, -1, 1.5, "2", True):
    refused(lambda: LocalExecutor(cpus=value), "`cpus`", repr(value))
refused(lambda: LocalExecutor(templates="no"), "`templates`", "'no'")
for name in ("init", "options"):
    refused(lambda: RayDataExecutor(**{name: 5}), f"`{name}`", "a table", "5")
for name in ("num_cpus", "num_gpus"):
    for value in (-1, "2", float("nan"), float("inf"), True):
        refused(lambda: RayDataExecutor(**{name: value}), f"`{name}`", repr(value))
refused(lambda: RayDataExecutor(address=5), "`address`", "5")
refused(lambda: Pipeline([same], runtime_env="x"), "`runtime_env` is a table", "'x'")
refused(lambda: Pipeline([same], runtime_env=["packaging"]), "`runtime_env` is a table")
refused(lambda: Pipeline([same], base=5), "`base`", "5")
refused(lambda: Pipeline([same], name=5), "`name`", "5")
refused(lambda: Pipeline([same], description=5), "`description`", "5")
later = Pipeline([same])
later.runtime_env = "x"
for call in (later.plan, later.describe, lambda: later.run([1]), lambda: later.run([1], debug=True)):
    refused(call, "`runtime_env` is a table")

assert Pipeline([same], name="mine", base=None).run([1], LocalExecutor(cpus=1, templates=False)).data == [1]
RayDataExecutor(num_cpus=0, num_gpus=0.5, address="auto")
"#,
    );
}

/// In a program its own folder comes first, and in a worker last: a file with the name of one of Python's
/// modules would be another one there.
#[test]
fn a_module_that_is_another_one_in_a_worker_is_refused() {
    let folder = Folder::new("");
    folder.write("statistics.py", "def mean(numbers): return 'mine'\n");
    folder.write("uses.py", "import statistics\n");
    passes(
        &folder,
        r#"
import os
import statistics
from curator import Pipeline, PipelineError, StageError

assert statistics.mean([1]) == "mine"

class Mean:
    def process(self, task):
        return statistics.mean(task.data)

def mean(task):
    return statistics.mean(task.data)

for stage in (Mean, mean, lambda task: statistics.mean(task.data), statistics.mean):
    try:
        Pipeline([stage]).run([[1, 2]])
    except PipelineError as error:
        path = os.path.abspath("statistics.py")
        assert f"uses your module `statistics` ({path})" in str(error), error
        assert error.hint == "give the file another name", error.hint
    else:
        raise AssertionError(stage)

# So is a module in whose place the stage's environment has another one.
with open("iniconfig.py", "w") as file:
    file.write("def encode(text):\n    return 'mine'\n")
import iniconfig

class Encodes:
    def process(self, task):
        return iniconfig.encode(task.data)

assert Pipeline([Encodes]).run(["a"]).data == ["mine"]
try:
    Pipeline([Encodes], runtime_env={"uv": ["iniconfig==2.0.0"]}).run(["a"])
except StageError as error:
    for words in ("uses your module `iniconfig`", "site-packages/iniconfig/", "another name"):
        assert words in str(error), error
else:
    raise AssertionError("another module was used")

# A copy of what is installed is the same module.
import shutil
import subprocess
import sys
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "copied"], check=True)
[site] = [f"copied/lib/{name}/site-packages" for name in os.listdir("copied/lib")]
os.mkdir("tools")
for name, text in (("__init__", ""), ("words", "def of(text):\n    return [text]\n")):
    with open(f"tools/{name}.py", "w") as file:
        file.write(text)
shutil.copytree("tools", f"{site}/tools")
import tools.words

class Splits:
    def process(self, task):
        return {"words": tools.words.of(task.data)}

assert Pipeline([Splits], base="copied").run(["a"]).data == [{"words": ["a"]}]
with open(f"{site}/tools/words.py", "w") as file:
    file.write("def of(text):\n    return []\n")
try:
    Pipeline([Splits], base="copied").run(["a"])
except StageError as error:
    assert "uses your module `tools`" in str(error), error
else:
    raise AssertionError("another module was used")

# Python's own is what a stage finds that imports it there.
def theirs(task):
    import calendar
    return calendar.isleap(task.data)

assert Pipeline([theirs]).run([2000]).data == [True]
"#,
    );
}
