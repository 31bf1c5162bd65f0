//! `import curator`: pipelines of Python programs, with real Python and uv.

use std::fs;
use std::path::{Path, PathBuf};

use crate::pipelines::Folder;
use crate::support::CURATOR;

/// The folder with the package.
pub(crate) const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// Returns a program in a folder over the shared base, with the package and this build's program.
pub(crate) fn program(folder: &Folder, text: &str) -> duct::Expression {
    program_with(folder, Path::new(folder.world.base()), text)
}

/// Returns a program for another interpreter.
fn program_with(folder: &Folder, python: &Path, text: &str) -> duct::Expression {
    folder.write("program.py", text);
    duct::cmd(python, ["program.py"])
        .dir(folder.path(""))
        .env("CURATOR_CACHE_DIR", folder.world.cache())
        .env("CURATOR_PROGRAM", CURATOR)
        .env("PYTHONPATH", PACKAGE)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("VIRTUAL_ENV")
        .stdin_null()
        .stderr_capture()
        .stdout_capture()
        .unchecked()
}

/// Runs a program, whose assertions are the test's. Returns its output.
#[track_caller]
pub(crate) fn passes(folder: &Folder, text: &str) -> String {
    passes_with(folder, Path::new(folder.world.base()), text)
}

/// Runs a program with another interpreter. Returns its output.
#[track_caller]
pub(crate) fn passes_with(folder: &Folder, python: &Path, text: &str) -> String {
    let run = program_with(folder, python, text).run().expect("the interpreter starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(run.status.success(), "{}\n{}", text(&run.stdout), text(&run.stderr));
    text(&run.stdout)
}

/// Each stage runs in the closest environment: that of `with_`, else of the instance, the class or
/// the pipeline; `{}` is the base.
#[test]
fn stages_run_in_the_environments_that_they_declare() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
from curator import CompositeStage, Pipeline, Resources, Stage, Task, environment, stage

class Version(Stage):
    def process(self, task):
        import packaging
        return {"seen": [*task.data["seen"], packaging.__version__]}

class Declares(Version):
    runtime_env = {"uv": ["packaging==23.2"]}
    resources = Resources(cpus=0.5)

class Inherits(Declares):
    pass

class Computes(Version):
    @property
    def runtime_env(self):
        return {"uv": ["packaging==" + "23.2"]}

class Sets(Version):
    def __init__(self, version):
        self.runtime_env = {"uv": [f"packaging=={version}"]}

@stage(runtime_env={"uv": ["packaging==24.0"]})
class Decorated(Version):
    pass

@stage(runtime_env={"uv": ["packaging==24.0"]}, name="decorated function")
def function(task):
    import packaging
    return {"seen": [*task.data["seen"], packaging.__version__]}

class Several(CompositeStage):
    def decompose(self):
        return [Declares().with_(name="one"), Version().with_(name="two")]

pinned = {"runtime_env": {"uv": ["packaging==24.0"]}}
stages = [
    Version, Declares, Inherits(), Computes, Sets("23.2"), Decorated, function,
    Declares().with_(**pinned), Declares().with_(runtime_env={}),
    Several().with_({"two": pinned}),
]
expected = ["26.0", "23.2", "23.2", "23.2", "23.2", "24.0", "24.0", "24.0", "26.0", "23.2", "24.0"]
none = {"seen": []}
report = Pipeline(stages).run([none])
assert report.data == [{"seen": expected}], report.data
assert len(function(Task(none))["seen"]) == 1, "it is still a function"
names = [stage["name"] for stage in report.stages]
assert names[:3] == ["Version", "Declares", "Inherits"] and "Declares_2" in names, names
assert "23.2" in repr(Pipeline(stages).plan()) and "Declares" in Pipeline(stages).describe()

default = Pipeline([Version, Declares], runtime_env={"uv": ["packaging==24.0"]})
seen = lambda pipeline: pipeline.run([none]).data[0]["seen"]
assert seen(default) == ["24.0", "23.2"]
changed = default.with_({"Declares": {"runtime_env": {}}})
twice = Pipeline([Version, Version]).with_({"Version_2": {"runtime_env": {"uv": ["packaging==24.0"]}}})
assert seen(twice) == ["26.0", "24.0"]
assert (seen(changed), seen(default)) == (["24.0", "26.0"], ["24.0", "23.2"])

@stage(preload=["json"], num_workers=2)
class Preloads(Version):
    pass

forked = Pipeline([Preloads]).run([none])
assert forked.stages[0]["forked"] > 0 or forked.stages[0]["not_forked"], forked.stages
assert "json" in Pipeline([Preloads]).describe()

class Named(Version):
    def __init__(self, name):
        self.name = name

original = Named("own")
named = [original, original.with_(name="other"), original, original.with_(name="third")]
report = Pipeline(named).run([none])
names = [stage["name"] for stage in report.stages]
assert names == ["own", "other", "own_2", "third"], names

code = "import packaging; print(packaging.__version__)"
done = environment(uv=["packaging==23.2"]).run("python", "-c", code, capture_output=True, text=True)
assert done.stdout == "23.2\n", done
"#,
    );
}

/// What a function that another one calls or wraps declares, and what `@stage` says of it, holds.
#[test]
fn a_declaration_reaches_a_pipeline_through_what_is_around_a_function() {
    let folder = Folder::new("");
    passes(
        &folder,
        r#"
import functools, os
from curator import Pipeline, Stage, stage

ENV = {"env_vars": {"COLOUR": "red"}}

def look(task, *rest):
    return {"seen": [*task.data["seen"], os.environ.get("COLOUR")]}

def decorated(function):
    @functools.wraps(function)
    def inner(task, *rest):
        return function(task, *rest)
    return inner

def declares(task, *rest):
    return look(task)
declares.runtime_env = ENV

class Own:
    runtime_env = ENV
    def work(self, task):
        return look(task)

class Called(Own):
    def __call__(self, task):
        return look(task)

class Made:
    def __init__(self, env):
        self.runtime_env = env
    def process(self, task):
        return look(task)

class Method:
    def process(self, task):
        return look(task)
Method.process.runtime_env = ENV

by_stage = stage(runtime_env=ENV, name="ours")(look)
stages = [
    functools.partial(declares), decorated(declares), Own().work, functools.partial(Own().work),
    Called(), functools.partial(Called()), functools.partial(Made, ENV), Method,
    by_stage, decorated(by_stage), functools.partial(by_stage), stage(batch_size=3)(by_stage),
]
report = Pipeline(stages).run([{"seen": []}])
assert report.data == [{"seen": ["red"] * len(stages)}], report.data
names = [it["name"] for it in report.stages]
assert names[0] == "declares" and names[2] == "work" and names[8:10] == ["ours", "ours_2"], names
"#,
    );
}

/// An instance reaches its workers with its attributes, wherever its class is: in the program, in a
/// module beside it, or in a function; also if the environment lacks the package.
#[test]
fn instances_go_to_their_workers_as_they_are() {
    let folder = Folder::new("");
    folder.write(
        "mine.py",
        "from curator import Task\nSEEN = []\n\n\nclass Of:\n    def __init__(self, f): self.f = f\n    \
         def process(self, task): return Task(self.f(task.data), {'of': 'mine'}, 'set')\n",
    );
    passes(
        &folder,
        r#"
import sys
import mine
from curator import Pipeline, Task
from curator.testing import run_stage

def make(offset):
    class Local:
        def __init__(self): self.calls = 0
        def setup(self): self.ready = offset
        def process(self, task):
            self.calls += 1
            return task.data + self.ready
    return Local()

stages = [make(10), mine.Of(lambda n: 2 * n)]
report = Pipeline(stages).run(range(3))
assert report.data == [20, 22, 24], report.data
task = report[1]
assert (task.id, task.metadata, task.dataset_name) == ("0_1_0_0", {"of": "mine"}, "set")
assert Pipeline(stages).run(range(3), debug=True).data == report.data
assert [task.data for task in run_stage(stages[1], [5])] == [10]

# What a stage gives is what it was then, in either way to run it: one object may be given again.
class Again:
    def __init__(self): self.one = {}
    def process(self, task):
        for k in range(2):
            self.one.update(n=task.data, k=k)
            yield self.one
class Mark:
    def process(self, task):
        assert "mark" not in task.data
        task.data["mark"] = 1
        return [task, task]
again = [Again(), Mark()]
report = Pipeline(again).run(range(2))
assert [(it["n"], it["k"]) for it in report.data] == [(n, k) for n in (0, 1) for k in (0, 0, 1, 1)]
debugged = Pipeline(again).run(range(2), debug=True)
assert debugged.data == report.data, debugged.data
assert [task.id for task in debugged] == [task.id for task in report]

# Workers have it from the loader where it is not installed.
sys.path.remove(next(folder for folder in sys.path if folder.endswith("curator/python")))
assert Pipeline([make(1)]).run([1]).data == [2]

with open("locked.txt", "w") as file:
    try:
        Pipeline([mine.Of(file)]).run([1])
    except ValueError as error:
        assert error.stage == "Of" and "setup" in error.hint, error
    else:
        raise AssertionError("a file was sent")
try:
    mine.Of.runtime_env = {"uv": ["packaging==24.0"]}
    Pipeline([mine.Of(abs)]).run([1], debug=True)
except ValueError as error:
    assert "Of" in str(error), error
else:
    raise AssertionError("it ran in the wrong environment")
try:
    Pipeline([abs]).with_({"asb": {}})
except ValueError as error:
    assert "asb" in str(error)
"#,
    );
}

/// Packages for Ray's workers are installed as the variables of the `runtime_env` say. Variables
/// without such settings lead to no other environment.
#[test]
fn a_runtime_env_for_ray_is_installed_as_its_variables_say() {
    passes(
        &Folder::new(""),
        r#"
import curator.ray
from curator import CuratorError

plain = curator.ray.environment(uv=["packaging==24.0"])
other = curator.ray.environment({"uv": ["packaging==24.0"], "env_vars": {"A": "1"}})
assert other == {**plain, "env_vars": {"A": "1"}}, (plain, other)
nowhere = {"UV_OFFLINE": "1", "UV_NO_CACHE": "1"}
try:
    made = curator.ray.environment(uv=["packaging==23.1"], env_vars=nowhere)
except CuratorError as error:
    assert "uv" in str(error), error
else:
    raise AssertionError(made)
"#,
    );
}

/// A stage's name is its class's unless `with_` says another; stages of one name are told apart. What
/// a class declares, and what `with_` says in its place, is told, but nothing secret.
#[test]
fn what_a_class_declares_is_told_with_what_overrides_it() {
    passes(
        &Folder::new(""),
        r#"
from curator import Pipeline, Stage

class Named(Stage):
    name = "mine"
    batch_size = 4
    runtime_env = {"env_vars": {"API_TOKEN": "hush-hush-hush"}}
    def process(self, task):
        return task.data

pipeline = Pipeline([Named().with_(batch_size=2), Named(), Named().with_(name="other")])
report = pipeline.run([1])
assert [stage["name"] for stage in report.stages] == ["mine", "mine_2", "other"], report
plan = pipeline.plan()
for told in (plan, report):
    found = {(it["stage"], it["setting"]): it["is_overridden"] for it in told.declared}
    sizes = [found[name, "batch_size"] for name in ("mine", "mine_2", "other")]
    assert sizes == [True, False, False] and ("mine", "runtime_env") in found, found
line = "mine: batch_size `with_` overrides the class's 4"
for text in (repr(plan), repr(report), pipeline.describe()):
    assert line in text and "hush" not in text, text
assert "mine_2: batch_size from the class: 4" in repr(plan) + pipeline.describe()
"#,
    );
}

/// What the package has of the workers' files is what the workers have.
#[test]
fn the_package_and_the_workers_have_the_same_files() {
    let ours = Path::new(PACKAGE).join("curator/_shared");
    let theirs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../backends/python"));
    let mut count = 0;
    for entry in fs::read_dir(ours).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name.to_str().unwrap().starts_with("curator_") {
            let same = fs::read_to_string(&path).unwrap()
                == fs::read_to_string(theirs.join(name)).unwrap();
            assert!(same, "{} was changed in one place", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 12);
}

/// A checkpoint recognizes the work of another process, whose hashes and ids differ.
#[test]
fn a_checkpoint_goes_on_in_another_process() {
    let folder = Folder::new("");
    let text = r#"
import sys
from curator import Checkpoint, Pipeline, Stage

class Mark:
    def __init__(self, n): self.n = n

class Count(Stage):
    names = {"a", "b", "c", "d", "e"}
    def __init__(self, kind): self.kind = kind
    def process(self, task):
        open("calls", "a").write("x")
        if task.data == 3 and STOP:
            raise RuntimeError("enough")
        return self.kind(task.data).n

STOP = False
try:
    report = Pipeline([Count(Mark)]).run(range(5), checkpoint=Checkpoint("kept"))
    print(report.data)
except RuntimeError:
    print("stopped")
"#;
    for (seed, expected) in [("1", "[0, 1, 2, 3, 4]\n"), ("2", "[0, 1, 2, 3, 4]\n")] {
        let run = program(&folder, text).env("PYTHONHASHSEED", seed).run().unwrap();
        let err = String::from_utf8_lossy(&run.stderr);
        assert_eq!(String::from_utf8_lossy(&run.stdout), expected, "{err}");
    }
    assert_eq!(folder.read("calls"), "xxxxx");
}

/// Stages of one environment have one process to be forked from, which imports what they need of
/// installed packages. It imports no module of the user's, and nothing that comes after the first.
#[test]
fn workers_are_forked_after_the_imports_of_their_stages() {
    let folder = Folder::new("");
    let own = "import os, packaging.tags\n\nos.environ['MINE'] = '1'\nimport packaging.markers\n\n\n\
               class Own:\n    def process(self, task):\n        return task.data\n";
    folder.write("own.py", own);
    passes(
        &folder,
        r#"
import os
import packaging.requirements, packaging.specifiers, packaging.version
from curator import Pipeline, Stage
from curator._loader import entries
from own import Own

class Parent(Stage):
    def process(self, task):
        return {"seen": [*task.data["seen"], os.getppid()]}

class First(Parent):
    built_in = (len, os.getpid, [].append)
    kind = packaging.version.Version

class Second(Parent):
    kind = packaging.specifiers.SpecifierSet

class Apart(Parent):
    runtime_env = {"uv": ["packaging==24.0"]}
    kind = packaging.requirements.Requirement

class Alone(Parent):
    preload = False
    kind = packaging.version.Version

class Asks(Parent):
    preload = ["decimal"]

class Mixed(Parent):
    first = Own()
    kind = packaging.version.Version

def preloads(*stages, is_remote=False):
    made = entries([stage() for stage in stages], is_remote=is_remote)
    return [entry.get("preload") for entry in made]

both = ["packaging.version", "packaging.specifiers"]
assert preloads(First, Apart, Second, Alone) == [both, ["packaging.requirements"], both, False]
assert preloads(Asks, First) == [["decimal", "packaging.version"]] * 2
assert preloads(Parent) == [None]
assert preloads(Own, First, Mixed) == [["packaging.tags"], ["packaging.version"], ["packaging.tags"]]
# Where the user's own modules are not, their classes travel as they are.
assert preloads(Own, is_remote=True) == [None]
assert "packaging" not in Pipeline([First]).describe()
assert "decimal" in Pipeline([Asks]).describe()

[one, two] = Pipeline([First, Second]).run([{"seen": []}]).data[0]["seen"]
assert one == two != os.getpid() or os.uname().sysname != "Linux"
"#,
    );
}
