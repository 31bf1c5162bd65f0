//! `import curator`: mistakes of a first program, each told in the program's own words, where it is.

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
for single in ({"text": "a"}, "text", b"raw", Task(1), 5, None.__class__):
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
