//! `import curator`: what a stage's code sees of its settings is what holds.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// `with_` changes the copy's attributes, in the program, in `run_stage` and in the workers, in the
/// form that the class has them in. Classes that allow no changes run with the settings all the same.
#[test]
fn what_with_says_is_what_the_stages_code_sees() {
    passes(
        &Folder::new(""),
        r#"
import dataclasses
from curator import Pipeline, Resources, Stage, stage
from curator.testing import run_stage

def seen(stage):
    resources = getattr(stage, "resources", None)
    return [
        getattr(stage, "name", None),
        getattr(stage, "batch_size", None),
        resources["cpus"] if isinstance(resources, dict) else getattr(resources, "cpus", None),
        sorted(getattr(stage, "runtime_env", None) or {}),
    ]

class Tells:
    def process(self, task):
        return {"seen": seen(self)}

class Plain(Tells):
    name = "plain"
    batch_size = 4
    resources = Resources(cpus=0.5)
    runtime_env = {"env_vars": {"A": "1"}}

class Sets(Tells):
    def __init__(self):
        self.name, self.batch_size, self.resources = "sets", 4, {"cpus": 0.5}
        self.runtime_env = None

class Nothing(Stage, Tells):
    pass

@dataclasses.dataclass(frozen=True)
class Frozen(Tells):
    batch_size: int = 4
    resources: Resources = Resources(cpus=0.5)
    name: str = "frozen"
    runtime_env: dict = dataclasses.field(default_factory=dict)

class Slots:
    __slots__ = ("batch_size", "name", "resources", "runtime_env")
    def process(self, task):
        return {"seen": seen(self)}

class Shared(Tells):
    """Its properties write to what copies have in common."""
    def __init__(self):
        self.kept = {"batch_size": 4, "name": "shared"}
    batch_size = property(
        lambda self: self.kept["batch_size"], lambda self, n: self.kept.update(batch_size=n)
    )
    name = property(lambda self: self.kept["name"])
    resources = Resources(cpus=0.5)
    runtime_env = {}

given = {
    "name": "other",
    "batch_size": 2,
    "resources": {"cpus": 0.25},
    "runtime_env": {"env_vars": {"B": "2"}, "config": {"setup_timeout_seconds": 60}},
}
holds = ["other", 2, 0.25, ["config", "env_vars"]]
for original in (Plain(), Sets(), Nothing(), Frozen(), Slots()):
    kind = type(original).__name__
    before = seen(original)
    changed = original.with_(**given) if kind == "Nothing" else (
        Pipeline([original]).with_({getattr(original, "name", kind): given}).stages[0]
    )
    assert seen(changed) == holds, (kind, seen(changed))
    assert [task.data for task in run_stage(changed, [0])] == [{"seen": holds}], kind
    report = Pipeline([changed, original]).run([0])
    # What the second one sees of itself.
    assert report.data == [{"seen": before}], (kind, report.data)
    assert [it["name"] for it in report.stages][0] == "other"
    assert Pipeline([changed]).run([0]).data == [{"seen": holds}], kind
    assert seen(original) == before, kind
assert type(Pipeline([Plain()]).with_({"plain": given}).stages[0].resources) is Resources

# What cannot be set holds for the run.
class Fixed(Tells):
    batch_size = property(lambda self: 4)
    def inputs(self): return ["a"]
    outputs = "column"  # The stage's own.
fixed = Pipeline([Fixed]).with_({"Fixed": {"batch_size": 2, "inputs": ["seen"], "outputs": ["b"]}})
[copy] = fixed.stages
assert (copy.batch_size, copy.inputs(), copy.outputs) == (4, ["a"], "column")
line = "Fixed: batch_size `with_` overrides the class's 4"
assert line in fixed.describe() and line in repr(fixed.plan()), fixed.describe()

shared = Shared()
[copy] = Pipeline([shared]).with_({"shared": given}).stages
assert (shared.batch_size, shared.name) == (4, "shared")

# A later one wins, the class's own value is told, and `None` takes a setting back.
twice = Plain().__class__()
pipeline = Pipeline([twice]).with_({"plain": {"batch_size": 3}}).with_({"plain": {"batch_size": 2}})
assert pipeline.stages[0].batch_size == 2
[told] = [it for it in pipeline.plan().declared if it["setting"] == "batch_size"]
assert told["declared"] == 4 and told["is_overridden"], told
assert Pipeline([twice]).with_({"plain": {"batch_size": None}}).stages[0].batch_size is None

@stage(batch_size=4)
def function(task):
    return task
assert function.with_(batch_size=2, name="f").batch_size == 2
assert Pipeline([function.with_(name="f")]).run([1]).data == [1]
"#,
    );
}

/// A name that a stage has of its own is its name in the pipeline, and repeated ones are numbered
/// around it.
#[test]
fn a_name_of_its_own_is_no_number_of_another() {
    passes(
        &Folder::new(""),
        r#"
from curator import CompositeStage, Pipeline, stage

def made(*names):
    return [stage(name=name)(lambda task: task.data) for name in names]

def names(pipeline):
    return [entry["name"] for entry in pipeline.run([1]).stages]

for given, expected in [
    (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
    (["a_2", "a", "a"], ["a_2", "a", "a_3"]),
    (["a", "a_2", "a", "a_2"], ["a", "a_2", "a_3", "a_2_2"]),
    (["a", "a", "a"], ["a", "a_2", "a_3"]),
]:
    stages = made(*given)
    pipeline = Pipeline(stages)
    assert names(pipeline) == expected, (given, names(pipeline))
    # A change is of the stage that has the name.
    for place, name in enumerate(expected):
        changed = pipeline.with_({name: {"name": "new"}})
        assert names(changed)[place] == "new", (given, name, names(changed))

class Both(CompositeStage):
    def decompose(self):
        return made("a", "a", "a_2")

assert names(Pipeline([Both().with_({"a_3": {"name": "second"}, "a_2": {"name": "third"}})])) == [
    "a", "second", "third",
]
"#,
    );
}

/// A setting of `with_` or `@stage` has the forms that it has on a class; what is none is refused, with
/// its name and value.
#[test]
fn with_takes_the_forms_that_a_class_takes() {
    passes(
        &Folder::new(""),
        r#"
from curator import CompositeStage, Pipeline, PipelineError, Resources, stage
from curator._stage import settings_of

class Forms:
    def process(self, task):
        return task.data

class Both(CompositeStage):
    def decompose(self):
        return [Forms(), stage(name="other")(lambda task: task.data)]

# Each form of a setting that holds on a class holds with `with_`.
for setting, forms in {
    "inputs": ["a", {"a"}, ("a",), frozenset("a"), ["a"], (["data"], ["a"])],
    "outputs": ["a", {"a"}, ("a",), ["a"]],
    "resources": [{"cpus": 0.5}, Resources(cpus=0.5)],
    "preload": [["json"], ("json",), False],
    "runtime_env": [{}, {"uv": []}],
    "batch_size": [2],
}.items():
    for value in forms:
        declares = type("Declares", (Forms,), {setting: value})
        expected = settings_of(declares())
        assert expected and settings_of(Pipeline([Forms]).with_({"Forms": {setting: value}}).stages[0]) == expected
        composite = Pipeline([Both().with_({"Forms": {setting: value}})])
        assert settings_of(composite.stages[0]) == expected, (setting, value)
        assert settings_of(stage(**{setting: value})(len)) == expected, (setting, value)
assert Pipeline([Forms]).with_({"Forms": {"inputs": {"a"}}}).run([{"a": 1}]).data == [{"a": 1}]

def refused(call, *words):
    try:
        call()
    except (TypeError, ValueError) as error:
        assert all(word in str(error) for word in words), (words, str(error))
    else:
        raise AssertionError(words)

pipeline = Pipeline([Forms])
for name in (5, "", " ", b"x", ["a"]):
    words = "`name` of a stage is text", repr(name)
    refused(lambda: pipeline.with_({"Forms": {"name": name}}), *words)
    refused(lambda: Pipeline([Both().with_({"Forms": {"name": name}})]), *words)
    refused(lambda: stage(name=name)(len), *words)
    refused(lambda: stage(name=name)(Forms), *words)
for owner in (pipeline, Both()):
    refused(lambda: owner.with_({"Forms": 5}), "as in {'Clean': {'batch_size': 8}}", "not 5", "'Forms'")
    refused(lambda: owner.with_({"Forms": [("batch_size", 1)]}), "not [('batch_size', 1)]")
    refused(lambda: owner.with_(["Forms"]), "not ['Forms']")
refused(lambda: pipeline.with_({"Forms": {5: 1}}), "`5` is no setting")
for change in ({"inputs": 5}, {"outputs": {1: 2}}, {"preload": 5}, {"resources": 5}, {"batch_size": {1}}):
    [field] = change
    refused(lambda: pipeline.with_({"Forms": change}).plan(), "Forms", f"`{field}`")
"#,
    );
}
