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
from curator._nemo_worker import Carried, Fused, _crossed, task_of
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


class Shares(Step):
    """Hands out what it holds, or one thing several times."""

    def __init__(self, name, action, held=None):
        super().__init__(name, action)
        self.held = {"n": 1, "seen": []} if held is None else held

    def process(self, task):
        return self.action(self, task)


def add(stage, task):
    task.data["n"] += stage.held["n"]
    stage.held["n"] += 100
    task._metadata.setdefault("by", []).append(stage.name)
    return seen(task)


def hand_out(stage, task):
    return Number(dataset_name="numbers", data=stage.held)


def one_thrice(stage, task):
    return [task, task, task]


def one_data_thrice(stage, task):
    return [Number(dataset_name="numbers", data=task.data) for _ in range(3)]


def sharing():
    """What stages and tasks that hold one object give: in one worker, and in one for each."""
    cases = {}
    for action in (hand_out, one_thrice, one_data_thrice):
        held = {"n": 1, "seen": []}
        twice = Shares("twice", add)
        last = [
            Shares("one", add, held),
            Shares("other", add, held),
            twice,
            twice,
            Step("last", seen),
        ]
        stages = [Step("first", seen), Shares("shares", action), *last]
        runs = []
        for fuse in (True, False):
            executor = CuratorExecutor(fuse=fuse, cpus=16)
            tasks = Pipeline("s", stages=stages).run(executor, [number(n) for n in range(2)])
            shown_tasks = [(it.task_id, it.data, it._metadata) for it in tasks]
            perfs = [[perf.stage_name for perf in it._stage_perf] for it in tasks]
            runs.append(sorted(map(json.dumps, zip(shown_tasks, perfs))))
        cases[action.__name__] = runs[0] == runs[1]
    return cases


class Writes(Step):
    """Names its file by its worker, and its first worker dies."""

    def setup(self, worker_metadata=None):
        self.file = f"{FOLDER}/by-{worker_metadata.worker_id}"
        with open(self.file, "x"):
            pass

    def process(self, task):
        with open(self.file, "a") as file:
            file.write(f"{task.data['n']}\n")
        if task.data["n"] == 2 and len(glob.glob(f"{FOLDER}/by-*")) == 1:
            os._exit(1)
        return task


def written():
    """The tasks that are in files of workers of which one took the place of another."""
    stage = Writes("writes", seen)
    stage.num_workers = one
    Pipeline("w", stages=[stage]).run(CuratorExecutor(), [number(n) for n in range(6)])
    lines = set()
    for path in glob.glob(f"{FOLDER}/by-*"):
        with open(path) as file:
            lines.update(file.read().split())
    return sorted(lines)


def one():
    return 1


def frames():
    """The kinds of frames that do not come back as they were."""
    import datetime
    import decimal
    import zoneinfo

    import pandas as pd
    import pyarrow as pa

    when = pd.Timestamp("2020-01-01 10:00")
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    prices = pa.array([decimal.Decimal("1.50"), None], pa.decimal128(10, 2))
    values = {
        "numbers": [1, 2],
        "texts": ["a", None],
        "objects": pd.Series([[1], {"x": 1}], dtype=object),
        "dicts": [{"x": 1}, {"y": 2}],
        "masked": pd.array([1, None], "Int64"),
        "nan": pd.arrays.FloatingArray(
            pd.array([1.0, 2.0]).to_numpy() * float("nan"), pd.array([False, True]).to_numpy()
        ),
        "text of Python": pd.array(["a", None], "string[python]"),
        "prices": pd.Series(prices, dtype=pd.ArrowDtype(prices.type)),
        "lists": pd.Series(pa.array([[1], [2, 3]]), dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        "bytes": pd.Series(
            pa.array([b"ab", b"cd"], pa.binary(2)), dtype=pd.ArrowDtype(pa.binary(2))
        ),
        "times": pd.Series([when, pd.NaT]),
        "utc": pd.Series([when, when]).dt.tz_localize(datetime.timezone.utc),
        "berlin": pd.Series([when, when]).dt.tz_localize(berlin),
        "categories": pd.Categorical(["y", "x"], categories=["y", "x"], ordered=True),
        "categories of times": pd.Categorical([when.tz_localize(berlin)] * 2),
        "periods": pd.Categorical(pd.period_range("2020", periods=2, freq="M")),
        "cut": pd.cut([1, 5], 2),
        "intervals": pd.interval_range(0, 2),
        "sparse": pd.arrays.SparseArray([0, 1]),
        "complex": [1j, 2j],
    }
    cases = {name: pd.DataFrame({"a": [1, 2], name: value}) for name, value in values.items()}
    indexes = {
        "dates": pd.date_range("2020", periods=2, freq="D"),
        "tuples": pd.Index([(1, 2), (3, 4)], tupleize_cols=False),
        "several": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
        "named 0": pd.Index([7, 8], name=0),
        "of objects": pd.Index(["a", None], dtype=object),
        "of texts": pd.Index(["a", "b"], name="key"),
        "range": pd.RangeIndex(5, 9, 2),
    }
    for name, index in indexes.items():
        cases[f"index {name}"] = pd.DataFrame({"a": [1, 2]}, index=index)
    cases["names"] = pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"]))
    cases["objects as names"] = pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], dtype=object))
    cases["empty"] = pd.DataFrame()
    wrong = []
    for name, frame in cases.items():
        task = DocumentBatch(dataset_name="frames", data=frame)
        try:
            back = _crossed(task).data
            pd.testing.assert_frame_equal(back, frame, check_freq=True, check_flags=True)
            assert [str(it) for it in back.dtypes] == [str(it) for it in frame.dtypes]
            assert [type(it) for it in back.index] == [type(it) for it in frame.index]
            if name in ("numbers", "times", "utc", "categories", "prices"):
                back.iloc[0, 1] = back.iloc[1, 1]
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    return wrong


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
        "sharing": sharing(),
        "written": written(),
        "frames": frames(),
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
