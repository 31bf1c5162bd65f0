//! `import curator`: what of a program's own code goes to its workers.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// Objects of Python's own tools that hold locks go with the classes and functions that have them; what
/// cannot go is named, also where a class has it.
#[test]
fn tools_of_python_go_with_the_classes_that_have_them() {
    passes(
        &Folder::new(""),
        r#"
import contextvars
import functools
import sys
import threading
from curator import Pipeline, PipelineError

with open("shares.py", "w") as file:
    file.write(
        "import contextvars\n\nhere = contextvars.ContextVar('here')\n\n"
        "def put(value):\n    here.set(value)\n"
    )
sys.path.insert(0, "")
import shares
from shares import here

calls = contextvars.ContextVar("calls")
level = contextvars.ContextVar("level", default="plain")
chosen = contextvars.ContextVar("chosen", default=1)
chosen.set(2)

@functools.singledispatch
def shown(value):
    return "other"

@shown.register(list)
def _(value):
    return [shown(item) for item in value]

@shown.register(int)
def _(value):
    return f"int {value}"

class Doc:
    def __init__(self, text):
        self.text = text
    @functools.cached_property
    def words(self):
        return self.text.split()
    @functools.singledispatchmethod
    def add(self, value):
        return "other"
    @add.register(int)
    def _(self, value):
        return (type(self) is Doc, value)

class Work:
    def process(self, task):
        doc = task.data if isinstance(task.data, Doc) else Doc(task.data)
        try:
            calls.get()
        except LookupError:
            calls.set(0)
        calls.set(calls.get() + 1)
        shares.put(5)
        found = [doc.words, doc.add(1), doc.add(""), shown([1, [None]]), here.get()]
        return [[doc, found, [level.get(), chosen.get(), calls.get()]]]

expected = [["a", "b"], [True, 1], "other", ["int 1", ["other"]], 5]
report = Pipeline([Work, lambda task: [task.data]]).run(["a b", Doc("a b")])
for at, (doc, found, variables) in enumerate(report.data):
    assert type(doc) is Doc and doc.words == ["a", "b"] and doc.add(2) == (True, 2)
    assert found == expected, found
    assert variables[:2] == ["plain", 2], variables

# What cannot be sent of a class is named.
class Holds:
    door = threading.Lock()
    def process(self, task):
        return task

class Refers:
    def process(self, task):
        return Holds()

class Below(Holds):
    pass

def refers(task):
    return Holds.door

for one in (Holds, Refers, Below, refers, lambda task: Below()):
    try:
        Pipeline([one]).run([1])
    except PipelineError as error:
        assert "its `Holds.door`" in str(error) and "`setup`" in str(error), error
    else:
        raise AssertionError(one)
"#,
    );
}

/// Where a worker's base has no `curator`, a stage may still use whatever the package exports, and what
/// stages of NeMo Curator need is there.
#[test]
fn the_whole_package_goes_to_a_base_without_it() {
    passes(
        &Folder::new(""),
        r#"
import os
import shutil
import subprocess
import sys
import curator

for name in ("driver", "bare"):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", name], check=True)
python = os.path.abspath("driver/bin/python")
code = "import sysconfig; print(sysconfig.get_path('purelib'))"
installed = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
package = os.path.join(installed.stdout.strip(), "curator")
shutil.copytree(os.path.dirname(curator.__file__), package)
with open("program.py", "w") as file:
    file.write('''
import sys
from curator import Pipeline

class Looks:
    def process(self, task):
        import curator
        homes = {getattr(curator, name).__module__ for name in curator.__all__}
        from curator import _nemo_worker, testing
        homes |= {_nemo_worker.__name__, testing.__name__}
        return {"prefix": sys.prefix, "origin": curator.__spec__.origin, "homes": sorted(homes)}

[seen] = Pipeline([Looks()], base="bare").run([1])
print(seen.data["prefix"], seen.data["origin"], len(seen.data["homes"]))
''')
variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
done = subprocess.run([python, "program.py"], stdout=subprocess.PIPE, text=True, env=variables)
prefix, origin, homes = done.stdout.split()
assert (prefix, origin) == (os.path.abspath("bare"), "None"), done.stdout
assert int(homes) > 8, done.stdout
"#,
    );
}
