//! `import curator` in a notebook, with a real kernel.

use crate::pipelines::Folder;
use crate::python_pipelines::passes_with;

/// Classes from cells reach the workers, and instances come back as the cells' own classes, also
/// after a change. The report is a table, and progress and stages' lines are in the cell.
#[test]
fn a_notebook_shows_what_its_cells_classes_do() {
    // It installs Jupyter, which takes as long as all other tests here.
    if std::env::var_os("CURATOR_TEST_ALL").is_none() {
        return;
    }
    let folder = Folder::new("");
    let packages = ["nbclient", "ipykernel"].map(|it| ["--uv", it]).concat();
    let arguments = [&["env", "create", "--base", folder.world.base()][..], &packages].concat();
    let python = folder.world.run(&arguments).path();
    passes_with(
        &folder,
        &python,
        r#"
import nbformat
from nbclient import NotebookClient

cells = [
    """
from curator import Pipeline
class Point:
    def __init__(self, x): self.x = x
class Bad(Exception):
    pass
class Make:
    def process(self, task):
        print("made", task.data)
        if task.data == 9: raise Bad("nine")
        return Point(task.data)
class Use:
    runtime_env = {"uv": ["packaging==24.0"]}
    def process(self, task):
        import packaging
        task.data.version = packaging.__version__
        return task
""",
    """
report = Pipeline([Make, Use]).run(range(3))
assert [(p.x, p.version, type(p) is Point) for p in report.data] == [(n, "24.0", True) for n in range(3)]
report
""",
    """
class Point:
    def __init__(self, x): self.x = x + 100
""",
    """
report = Pipeline([Make, Use]).run(range(3))
assert [(p.x, type(p) is Point) for p in report.data] == [(n + 100, True) for n in range(3)]
# What the first run imported stays as long as the kernel.
assert [stage["warm"] > 0 for stage in report.stages] == [True, True], report.stages
""",
    """
try:
    Pipeline([Make]).run([9])
except Bad as error:
    assert error.args == ("nine",) and "in process" in error.__cause__.traceback
else:
    raise AssertionError
""",
]
cells.append(
    "Pipeline([Use]).with_({'Use': {'runtime_env': {'uv': ['packaging==0.0.1']}}}).run([Point(1)])"
)
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
notebook.cells[-1].metadata["tags"] = ["raises-exception"]
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
outputs = notebook.cells[1].outputs
lines = [output for output in outputs if "made 2" in output.get("text", "")]
assert lines and lines[0].name == "stdout", "what a stage prints is no problem"
pages = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
assert len(pages) == 2 and all("<td>Use</td>" in page for page in pages), pages
assert "<td>3</td><td>3</td></tr></tbody>" in pages[0], "what is left of the progress is its end"
[failed, *_] = [it for it in notebook.cells[-1].outputs if "data" in it]
assert "resolving" not in failed.data["text/html"], "the end of a run that failed, too"
"#,
    );
}
