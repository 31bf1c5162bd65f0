//! `import curator`: functions, and objects that can be called, as stages.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// The hooks of an object that is called are called, whatever form it is given in.
#[test]
fn objects_that_are_called_have_their_hooks() {
    passes(
        &Folder::new(""),
        r#"
import functools
import os
from curator import Pipeline, stage
from curator.testing import run_stage

class Scores:
    def __init__(self, folder):
        self.model, self.folder = None, folder
    def setup_on_node(self, context):
        os.makedirs(f"{self.folder}/node-of-{context.stage}", exist_ok=True)
    def setup(self):
        self.model = len
    def __call__(self, task, factor=1):
        return {"scored": self.model(task.data) * factor}
    def teardown(self):
        os.makedirs(f"{self.folder}/down", exist_ok=True)

class Open(Scores):
    def __init__(self):
        super().__init__("open")

def wrapped(inner):
    @functools.wraps(inner)
    def outer(task):
        return inner(task)
    return outer

forms = {
    "open": Open,
    "object": Scores("object"),
    "partial": functools.partial(Scores("partial"), factor=1),
    "decorated": stage(name="Decorated")(Scores("decorated")),
    "changed": stage(Scores("changed")).with_(name="Changed"),
    "wraps": wrapped(Scores("wraps")),
}
for folder, form in forms.items():
    assert Pipeline([form]).run(["ab"]).data == [{"scored": 2}], folder
    assert sorted(os.listdir(folder))[0] == "down" and len(os.listdir(folder)) == 2, folder
for form in forms.values():
    assert run_stage(form, ["ab"])[0].data == {"scored": 2}
    assert Pipeline([form]).run(["ab"], debug=True).data == [{"scored": 2}]

# Attributes of a function are no hooks and no other work, but may be settings.
def plain(task):
    return task.data

def other(*_):
    raise AssertionError("it is called by nothing")

plain.process = plain.process_batch = plain.setup = plain.teardown = other
plain.batch_size = 3
pipeline = Pipeline([stage(plain)])
assert pipeline.run([1]).data == [1] and run_stage(stage(plain), [1])[0].data == 1
assert "batch_size from the class: 3" in pipeline.describe(), pipeline.describe()
"#,
    );
}
