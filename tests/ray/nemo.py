"""NeMo Curator's pipelines, as they are, on `CuratorExecutor`; what NeMo Curator's own adapter
makes of the same tasks is what must come out.

    nemo.py FOLDER [all]
"""

import copy
import glob
import json
import os
import random
import sys
import warnings
from dataclasses import dataclass

import curator.nemo
import curator.ray
import pyarrow.parquet
from curator import Aggregate, CuratorError
from curator import Task as Ours
from curator._nemo_worker import Carried, Fused, task_of
from curator.nemo import CuratorExecutor, _neighbours
from nemo_curator.backends.base import BaseStageAdapter
from nemo_curator.pipeline import Pipeline
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.resources import Resources
from nemo_curator.stages.text.filters.heuristic.string import WordCountFilter
from nemo_curator.stages.text.filters.score_filter import ScoreFilter
from nemo_curator.stages.text.io.reader.jsonl import JsonlReader
from nemo_curator.stages.text.io.writer.parquet import ParquetWriter
from nemo_curator.stages.text.modifiers.modifier import Modify
from nemo_curator.stages.text.modifiers.string.newline_normalizer import NewlineNormalizer
from nemo_curator.stages.text.modules import AddId, DocumentSplitter
from nemo_curator.tasks import DocumentBatch, EmptyTask, Task
from nemo_curator.tasks.sentinels import FailedTask

FOLDER = sys.argv[1]
IS_WHOLE = sys.argv[2:] == ["all"]


class Mark(ProcessingStage[DocumentBatch, DocumentBatch]):
    """Declares its packages as people do, and lives in `__main__`."""

    name = "mark"
    resources = Resources(cpus=0.5)
    runtime_env = {"uv": ["packaging==24.0"]}  # noqa: RUF012

    def process(self, task):
        import packaging

        frame = task.to_pandas().copy()
        frame["packaging"] = packaging.__version__
        self._log_metrics({"rows": len(frame)})
        return DocumentBatch(
            dataset_name=task.dataset_name,
            data=frame,
            _metadata=task._metadata,
            _stage_perf=task._stage_perf,
        )


def documents(out):
    pipeline = Pipeline(name="documents")
    pipeline.add_stage(JsonlReader(f"{FOLDER}/in", files_per_partition=1))
    pipeline.add_stage(ScoreFilter(WordCountFilter(min_words=3), text_field="text"))
    pipeline.add_stage(Modify(NewlineNormalizer(), input_fields="text"))
    pipeline.add_stage(Mark())
    pipeline.add_stage(AddId(id_field="id"))
    pipeline.add_stage(DocumentSplitter(separator="\n\n"))
    pipeline.add_stage(ParquetWriter(out))
    return pipeline


def of_documents(executor, name):
    """What a run leaves: ids, files by name with their rows, and metrics."""
    out = f"{FOLDER}/out-{name}"
    tasks = documents(out).run(executor)
    files = {}
    for path in glob.glob(f"{out}/*"):
        files[os.path.basename(path)] = pyarrow.parquet.read_table(path).to_pylist()
    metrics = [perf.custom_metrics for task in tasks for perf in task._stage_perf]
    names = [[perf.stage_name for perf in task._stage_perf] for task in tasks]
    return {
        "ids": sorted(task.task_id for task in tasks),
        "files": dict(sorted(files.items())),
        "metrics": sorted(json.dumps(metric) for metric in metrics),
        "stages": sorted(names),
    }


@dataclass
class Number(Task[dict]):
    @property
    def num_items(self):
        return 1

    def validate(self):
        return True


class Step(ProcessingStage[Number, Number]):
    """One of the things that a stage may do with a task."""

    def __init__(self, name, action):
        self.name, self.action = name, action

    def process(self, task):
        return self.action(task)


class Pairs(Step):
    batch_size = 3

    def process_batch(self, tasks):
        return [self.action(task) for task in tasks]


def number(n):
    return Number(dataset_name="numbers", data={"n": n, "seen": []})


def seen(task):
    task.data["seen"].append(task.task_id)
    return task


def dropped(task):
    return None if task.data["n"] % 3 == 0 else seen(task)


def fanned(task):
    return [number(10 * task.data["n"] + k) for k in range(task.data["n"] % 3)]


def failed(task):
    return FailedTask() if task.data["n"] % 5 == 0 else seen(task)


def numbers():
    steps = [Step("dropped", dropped), Step("fanned", fanned), Step("failed", failed)]
    return [*steps, Pairs("paired", seen), Step("last", seen)]


def by_adapter(stages, tasks):
    """What NeMo Curator's adapter gives, a task at a time."""
    for stage in stages:
        adapter = BaseStageAdapter(stage)
        tasks = [output for task in tasks for output in adapter.process_batch([task])]
    return tasks


def shown(tasks):
    return sorted((task.task_id, json.dumps(task.data)) for task in tasks)


def of_numbers(executor):
    return shown(Pipeline("n", stages=numbers()).run(executor, [number(n) for n in range(20)]))


def numbers_by_adapter():
    # As a pipeline numbers its tasks and stages.
    expected = {}

    class Asked(CuratorExecutor):
        def execute(self, stages, initial_tasks=None):
            expected["tasks"] = by_adapter(copy.deepcopy(stages), copy.deepcopy(initial_tasks))
            return expected["tasks"]

    return of_numbers(Asked())


def thirds(task):
    return [number(3 * task.data["n"] + k) for k in range(3)]


class Halves(Step):
    """Gives one task for each, or none, a batch at a time."""

    batch_size = 4

    def process_batch(self, tasks):
        return [None if task.data["n"] % 2 else self.action(task) for task in tasks]


def by_worker(rng, stages, tasks):
    """What workers give, whose batches are what happens to be there, in any order."""
    for group in _neighbours(stages):
        worker, outputs = Fused(group), []
        rng.shuffle(tasks)
        while tasks:
            count = rng.randint(1, group[0].batch_size or 1)
            batch, tasks = tasks[:count], tasks[count:]
            entries = worker.process_batch([Ours(Carried(task)) for task in batch])
            nested = [entries.outputs] if isinstance(entries, Aggregate) else entries
            outputs += [task_of(output) for entry in nested for output in entry]
        tasks = outputs
    return tasks


def ids_depend_on(cases):
    """The cases in which workers give other tasks than NeMo Curator's adapter, one at a time."""
    actions = (seen, dropped, fanned, failed, thirds)
    found = []
    for case in range(cases):
        rng = random.Random(case)
        stages = []
        for place in range(rng.randint(1, 5)):
            kind, action = rng.choice((Step, Step, Pairs, Halves)), rng.choice(actions)
            if kind is not Step:
                action = seen
            stages.append(kind(f"{place}", action))
            stages[-1].batch_size = rng.randint(1, 4)
        tasks = [number(n) for n in range(rng.randint(1, 12))]
        for place, task in enumerate(tasks):
            task._set_task_id("0", place)
        expected = shown(by_adapter(copy.deepcopy(stages), copy.deepcopy(tasks)))
        if shown(by_worker(rng, stages, tasks)) != expected:
            found.append(case)
    return found


def refusals():
    """What is said of stages that cannot be had here, with no task run and no Ray started."""
    numbering = Step("numbers documents", touch)
    numbering._generate_ids = True
    found = {}
    for key in ("is_raft_actor", "is_shuffle_stage", "is_lsh_stage"):
        stage = Step(key, touch)
        stage.ray_stage_spec = {key: True}.copy
        found[key] = refused(Step("before", touch), stage)
    found["ids"] = refused(Step("before", touch), numbering)
    for key in ("conda", "container", "image_uri"):
        found[key] = refused(
            Step("before", touch), Step(key, touch).with_(runtime_env={key: ["x"]})
        )
    elsewhere = {"base": sys._base_executable}
    found["without nemo"] = refused(Step("elsewhere", touch), **elsewhere)
    import ray

    found["nothing ran"] = not os.path.exists(f"{FOLDER}/touched") and not ray.is_initialized()
    return found


def unsendable():
    """What is said of frames that no version of pandas but one could read."""
    import pandas

    mixed = pandas.DataFrame({"a": [1, "x"]})
    found = []
    for give, items in [
        (lambda task: task.data, [0, pandas.Series([1])]),
        (lambda task: task.data, [0, mixed]),
        (lambda task: pandas.Series([1]), [0]),
    ]:
        try:
            curator.Pipeline([give]).run(items)
        except Exception as error:
            found.append(str(error))
    return found


def touch(task):
    with open(f"{FOLDER}/touched", "w"):
        return task


def unknown():
    """The warnings of fields that this Ray does not know, and the file that they name."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        curator.ray.environment(zzzzzz=1, working_dir=".", image_uri="image")
    return [(str(warning.message), os.path.basename(warning.filename)) for warning in told]


def refused(*stages, **executor):
    try:
        CuratorExecutor(**executor).execute(list(stages), [EmptyTask()])
    except CuratorError as error:
        return f"{error} | {error.hint}"
    return "it ran"


class Bad(ProcessingStage[Number, Number]):
    name = "bad"

    def process(self, task):
        raise LookupError(f"no {task.data['n']}", 7)


def raised():
    try:
        Pipeline("b", stages=[Step("ok", seen), Bad()]).run(CuratorExecutor(), [number(1)])
    except LookupError as error:
        return [list(error.args), getattr(error, "__notes__", [])[:1]]
    return "it ran"


def born(task):
    """Notes the process that this worker was forked from, and when NeMo Curator was imported."""
    import logging

    task.data["seen"].append([os.getppid(), logging._startTime])
    return task


def births():
    """Where workers of stages of one environment come from."""
    executor = CuratorExecutor(fuse=False)
    stages = [Step("one", born), Pairs("two", born), Step("three", born)]
    [task] = Pipeline("b", stages=stages).run(executor, [number(1)])
    return task.data["seen"]


def versions(run):
    [task] = run(
        Pipeline(
            "v",
            stages=[
                Version("base"),
                Version("own").with_(runtime_env={"pip": ["packaging==23.2"]}),
                Version("none").with_(runtime_env={}),
            ],
        )
    )
    return task.data


class Version(ProcessingStage[Number, Number]):
    def __init__(self, name):
        self.name = name

    def process(self, task):
        import packaging

        task.data[self.name] = packaging.__version__
        return task


def main():
    os.mkdir(f"{FOLDER}/in")
    for part in range(3):
        with open(f"{FOLDER}/in/{part}.jsonl", "w") as file:
            for row in range(40):
                text = " ".join(f"w{part}_{row}_{k}" for k in range(row % 7 + 1))
                line = {"text": f"{text}\n\n\nmore of it", "x": row * 0.1, "tags": [row, None]}
                file.write(json.dumps(line) + "\n")
    fused = CuratorExecutor()
    whole = of_documents(fused, "fused")
    found = {
        "documents": whole,
        "workers": [stage["name"] for stage in fused.report.stages],
        "numbers": of_numbers(CuratorExecutor()) == numbers_by_adapter(),
        "ids depend on batches": ids_depend_on(300),
        "refused": refusals(),
        "unsendable": unsendable(),
        "raised": raised(),
        "births": births(),
        "unknown": unknown(),
    }
    if IS_WHOLE:
        from nemo_curator.backends.ray_actor_pool import RayActorPoolExecutor
        from nemo_curator.backends.ray_data import RayDataExecutor
        from nemo_curator.backends.xenna import XennaExecutor

        # Xenna wants a CPU for each stage, and one for itself.
        os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": 8})

        def within(executor):
            def run(pipeline):
                with curator.nemo.environments():
                    return pipeline.run(executor(), [number(0)])

            return run

        unfused = CuratorExecutor(fuse=False)
        found["unfused is equal"] = of_documents(unfused, "unfused") == whole
        found["numbers unfused"] = of_numbers(unfused) == numbers_by_adapter()
        found["versions"] = versions(lambda it: it.run(CuratorExecutor(), [number(0)]))
        for engine in ("ray-data", "ray-actor-pool", "xenna"):
            on_ray = CuratorExecutor(engine=engine, num_cpus=4)
            found[f"on {engine}"] = versions(lambda it, on=on_ray: it.run(on, [number(0)]))
        found["ray data is equal"] = of_documents(RayDataExecutor(), "ray-data") == whole
        kinds = {"ray-data": RayDataExecutor, "pool": RayActorPoolExecutor, "xenna": XennaExecutor}
        for name, kind in kinds.items():
            found[f"environments {name}"] = versions(within(kind))
            bridged = curator.nemo.bridged(kind)
            found[f"bridged {name}"] = versions(lambda it, k=bridged: it.run(k(), [number(0)]))
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
