//! `import curator`: what a checkpoint takes for the same work.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// Changes anywhere in the code that a stage may run are refused: in base classes, in what helpers
/// import, in packages, and in what is imported late. Changes of other files are not.
#[test]
fn changed_code_is_refused_wherever_the_stage_imports_it() {
    passes(
        &Folder::new(""),
        r#"
import os, subprocess, sys

files = {
    "base.py": "class B:\n    def process(self, task):\n        return task.data * 1\n",
    "sub.py": "from base import B\n\nclass C(B):\n    pass\n",
    "rules.py": "factor = 1\n",
    "helpers.py": "import rules\n\ndef helped(task):\n    return task.data * rules.factor\n",
    "lazy.py": "factor = 1\n",
    "named.py": "factor = 1\n",
    "pkg/__init__.py": "",
    "pkg/inner.py": "from . import deep\n\ndef inner(task):\n    return task.data * deep.factor\n",
    "pkg/deep.py": "factor = 1\n",
    "space/one.py": "factor = 1\n",
    "other.py": "factor = 1\n",
}
program = """
import sys
from curator import Checkpoint, Pipeline, PipelineError
from helpers import helped
from pkg.inner import inner
from sub import C

def late(task):
    import lazy
    return task.data * lazy.factor

def dynamic(task):
    import importlib
    return task.data * importlib.import_module("named").factor

def spaced(task):
    from space import one
    return task.data * one.factor

stages = {"C": C, "helped": helped, "late": late, "dynamic": dynamic, "inner": inner, "spaced": spaced}
name, dir = sys.argv[1:]
try:
    print(Pipeline([stages[name]]).run([1, 2], checkpoint=dir).data)
except PipelineError as error:
    print("refused" if f"stage `{name}` had other arguments" in str(error) else error)
"""

def write(name, text):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w") as file:
        file.write(text)

def run(*arguments):
    done = subprocess.run([sys.executable, "main.py", *arguments], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()

for name, text in files.items():
    write(name, text)
write("main.py", program)
edits = [
    ("C", "base.py"), ("helped", "rules.py"), ("late", "lazy.py"), ("dynamic", "named.py"),
    ("inner", "pkg/deep.py"), ("spaced", "space/one.py"),
]
for stage, file in edits:
    assert run(stage, f"kept-{stage}") == "[1, 2]"
    # Neither a file that no code of the stage names, nor the program around it.
    write("other.py", f"{stage} = 2\n")
    write("main.py", f"{program}\n# {stage}\n")
    assert run(stage, f"kept-{stage}") == "[1, 2]", stage
    write(file, files[file].replace("1", "5"))
    assert run(stage, f"kept-{stage}") == "refused", (stage, run(stage, f"kept-{stage}"))
    assert run(stage, f"new-{stage}") == "[5, 10]", stage
    write(file, files[file])
"#,
    );
}
