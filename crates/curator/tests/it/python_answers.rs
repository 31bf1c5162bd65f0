//! `import curator`: what a stage may answer.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// A task or an aggregate that stands in data is refused with its place, and does not pass as a value.
#[test]
fn an_answer_that_stands_in_data_is_refused() {
    passes(
        &Folder::new(""),
        r#"
from curator import Aggregate, LocalExecutor, Pipeline, PipelineError, Task

class Own(Task):
    pass

def batched(answer):
    class Batched:
        def process_batch(self, tasks):
            return [answer(task) for task in tasks]
    return Batched

whole = "`process_batch` returns it as the whole of its answer"
output = "a task is an output of its own, and no part of data"
answers = [
    (lambda task: Aggregate([1, 2]), f"data is a curator_stage.Aggregate: {whole}"),
    (lambda task: [1, Aggregate([1])], f"data is a curator_stage.Aggregate: {whole}"),
    (lambda task: (Task(1), Task(2)), f"{output}; several tasks are a list"),
    (lambda task: (1, {2}, Own(2)), "data[2] is a"),
    (lambda task: {"a": [{1}, {1: Task(2)}]}, "data['a'][1][1] is a curator_stage.Task"),
    (lambda task: Task([Task(1)]), f"data[0] is a curator_stage.Task: {output}"),
]
for answer, words in answers:
    for stage in (answer, batched(answer)):
        try:
            Pipeline([stage]).run([0])
        except TypeError as error:
            assert words in str(error), (words, str(error))
        else:
            raise AssertionError(words)
for item in ((Task(1), Task(2)), Task({"a": Task(1)}), Aggregate([1]), {1: Task(1)}):
    try:
        Pipeline([lambda task: task]).run([item])
    except PipelineError as error:
        assert "task 0 cannot be sent to a worker" in str(error), error
        assert whole in str(error) or output in str(error), error
    else:
        raise AssertionError(item)

# What holds itself, and a task of the program's own class, are values.
around = [{1}]
around.append(around)
[found] = Pipeline([lambda task: [task.data]]).run([around]).data
assert found[1] is found and found[0] == {1}
own = Own({"a": 1})
own.more = [Own(2)]
[back] = Pipeline([lambda task: task]).run([own])
assert type(back) is Own and back.more[0].data == 2
"#,
    );
}

/// A task's metadata and the name of its dataset are refused with their type, their place and the way
/// out, on every way that a task takes.
#[test]
fn metadata_that_is_none_is_refused_by_its_type() {
    passes(
        &Folder::new(""),
        r#"
from curator import Pipeline, PipelineError, Task
from curator.testing import run_stage

def same(task):
    return task

def made(metadata, dataset):
    task = Task(1)
    task.metadata, task.dataset_name = metadata, dataset
    return task

wrong = [
    ([1], "", "metadata must be a dict, not list: use {} where there is none"),
    ("of", "", "metadata must be a dict, not str"),
    ({}, 5, "dataset_name must be text, not int: use '' where there is none"),
    ({"a": 1}, b"x", "dataset_name must be text, not bytes"),
    ({"a": {1}}, "", "metadata['a'] is a builtins.set"),
    ({1: 2}, "", "metadata has the key 1, and keys must be text"),
    ({"a": "\ud800"}, "", "metadata['a'] holds half of a surrogate pair"),
    ({}, "\ud800", "holds half of a surrogate pair"),
]
for metadata, dataset, words in wrong:
    ways = [
        lambda: Pipeline([same]).run([made(metadata, dataset)]),
        lambda: Pipeline([same]).run([made(metadata, dataset)], debug=True),
        lambda: run_stage(same, [made(metadata, dataset)]),
        lambda: Pipeline([lambda task: made(metadata, dataset)]).run([0]),
        lambda: run_stage(lambda task: made(metadata, dataset), [0]),
    ]
    for at, way in enumerate(ways):
        try:
            way()
        except (TypeError, PipelineError) as error:
            assert words in str(error), (at, words, str(error))
            assert at > 2 or "task 0 cannot be sent to a worker" in str(error), error
        else:
            raise AssertionError((at, words))

for given in (made(None, None), made({}, ""), made(None, "")):
    for found in (Pipeline([same]).run([given]).outputs[0], run_stage(same, [given])[0]):
        assert (found.metadata, found.dataset_name) == ({}, ""), found
[found] = Pipeline([lambda task: made({"a": 1}, None), lambda task: made(None, "d")]).run([0])
assert (found.metadata, found.dataset_name) == ({}, "d"), found
"#,
    );
}
