"""Stages of NeMo Curator that a pipeline names by their classes.

A worker imports this file when a stage's object may be one of NeMo Curator's, which nothing here
imports before the stage's own code has done so. NeMo Curator's adapter calls the stage, so that
filtered and failed tasks mean what they mean there.

A stage of documents takes a table, or a list of objects (a batch of documents), or an object (one
document). Its documents come out in the form in which they came; a list without any is no task. A
stage of other tasks takes their `data`, as far as JSON has a form of it.
"""

import contextlib
import os
import sys

from curator_stage import Aggregate, Task

__all__ = ["arguments", "as_stage", "is_stage", "problem", "spec"]

WAY_OUT = "build this part of the pipeline in Python, with `curator.nemo.CuratorExecutor`"

# Stages that are actors of Ray and talk to each other.
_ACTORS = {
    "is_raft_actor": "RAFT actors",
    "is_shuffle_stage": "a shuffle between actors",
    "is_lsh_stage": "a shuffle between actors (LSH)",
}


def is_stage(value):
    """Returns whether an object is a stage of NeMo Curator, or a class makes such stages."""
    module = sys.modules.get("nemo_curator.stages.base")
    kind = getattr(module, "ProcessingStage", None)
    if not isinstance(kind, type):
        return False
    return issubclass(value if isinstance(value, type) else type(value), kind)


def as_stage(stage):
    """Returns a stage of NeMo Curator as one of this project, and any other stage unchanged."""
    return _Nemo(stage) if is_stage(stage) else stage


def spec(stage):
    """Returns the options for Ray, by their names, without those that change nothing: every stage
    is an actor here, and flags are off by default."""
    options = {str(getattr(key, "value", key)): it for key, it in stage.ray_stage_spec().items()}
    return {key: it for key, it in options.items() if it is not False and key != "is_actor_stage"}


def problem(stage):
    """Returns why no executor of this project can run a stage, and the way out; else None."""
    options = spec(stage)
    for key, what in _ACTORS.items():
        if options.get(key):
            return (
                f"the stage {stage.name!r} needs {what}, which only NeMo Curator's own"
                " RayActorPoolExecutor has",
                "run this part of the pipeline there: `with curator.nemo.environments():`"
                " gives its stages environments from the cache",
            )
    is_numbered = getattr(stage, "_generate_ids", False) or getattr(stage, "_assign_ids", False)
    if is_numbered and not os.environ.get("RAY_ADDRESS"):
        return (
            f"the stage {stage.name!r} asks an actor of Ray for the ids of documents, and"
            " RAY_ADDRESS names no cluster that it could be on",
            "start one with `RayClient().start()` and the actor in it, or read without"
            " `_generate_ids` and add an `AddId` stage",
        )
    return None


def arguments(kind, positional, named, make):
    """Returns the arguments for a class. For a class of NeMo Curator's stages,
    `{"python": "module:Name", "args": …}` stands for an object, which `make` makes of its place and
    its arguments; raises `TypeError` if an argument cannot be of the type that the class takes."""
    if not is_stage(kind):
        return positional, named
    positional = [_made(value, make) for value in positional]
    named = {name: _made(value, make) for name, value in named.items()}
    hints = _hints(kind.__init__)
    for name, value in named.items():
        if name in hints and not _fits(value, hints[name]):
            raise TypeError(
                f"{kind.__name__} takes {_shown(hints[name])} as `{name}`, and not {value!r}:"
                ' name a class, as in `{ python = "package.module:Class", args = { … } }`, or'
                f" {WAY_OUT}"
            )
    return positional, named


def _made(value, make):
    if isinstance(value, list):
        return [_made(item, make) for item in value]
    if not isinstance(value, dict):
        return value
    place = value.get("python")
    if not isinstance(place, str) or ":" not in place or not value.keys() <= {"python", "args"}:
        return {key: _made(item, make) for key, item in value.items()}
    return make(place, _made(value.get("args"), make))


def _hints(function):
    import typing

    try:
        return typing.get_type_hints(function)
    except Exception:  # The names of a hint may exist for type checkers alone.
        return {}


def _shown(hint):
    import re

    return hint.__name__ if isinstance(hint, type) else re.sub(r"(\w+\.)+(?=\w)", "", str(hint))


def _fits(value, hint):
    """Returns whether a value may be of a type: false only if it surely is not."""
    import collections.abc
    import typing

    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        return any(_fits(value, one) for one in inner)
    if hint is collections.abc.Callable or origin is collections.abc.Callable:
        return callable(value)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if not isinstance(hint, type) or isinstance(value, hint):
        return True
    # A class of its own is not met by a plain value; what converts itself is the stage's affair.
    is_plain = value is None or type(value) in (bool, int, float, str, list, dict)
    is_lenient = hint.__module__ in ("builtins", "pathlib", "collections.abc", "typing", "enum")
    return not is_plain or is_lenient or issubclass(hint, (str, int, float, dict, list))


class _Nemo:
    """A stage of NeMo Curator as a stage of this project."""

    def __init__(self, stage):
        told = problem(stage)
        if told is not None:
            raise TypeError(f"{told[0]}: {told[1]}")
        if callable(getattr(stage, "decompose", None)):
            parts = ", ".join(f"{type(part).__name__} ({part.name})" for part in stage.decompose())
            raise TypeError(
                f"the stage {stage.name!r} stands for others, each of which is a stage of its own:"
                f" {parts}; name these, or {WAY_OUT}"
            )
        from nemo_curator.backends.base import BaseStageAdapter

        self._stage = stage
        self._adapter = BaseStageAdapter(stage)
        self._takes = _taken(type(stage))
        self._identity = None
        self.way_out = f"the stage {stage.name!r} is one of NeMo Curator's: {WAY_OUT}"

    def setup_on_node(self, context):
        from nemo_curator.backends.base import NodeInfo

        self._adapter.setup_on_node(NodeInfo(node_id=context.node), self._worker())

    def setup(self, context):
        self._adapter.setup(self._worker())

    def _worker(self):
        from nemo_curator.backends.base import WorkerMetadata

        if self._identity is None:
            self._identity = worker_id()
        return WorkerMetadata(worker_id=self._identity)

    def teardown(self):
        self._adapter.teardown()

    def process_batch(self, tasks):
        came = [self._task(task) for task in tasks]
        if len(came) > 1 and self._stage.supports_batch_processing():
            return Aggregate(self._sent(tasks[0].data, self._adapter.process_batch(came)))
        # One by one, as NeMo Curator's own way through such a batch, but each with its own outputs.
        return [
            self._sent(task.data, self._adapter.process_batch([one]))
            for task, one in zip(tasks, came)
        ]

    def keys_of(self, data):
        """The keys of documents in any of their forms."""
        if isinstance(data, list):
            return dict.fromkeys(key for row in data if isinstance(row, dict) for key in row)
        import curator_streams

        return curator_streams.keys(data)

    def _task(self, task):
        """The task of NeMo Curator that stands for one of this project."""
        from nemo_curator.tasks import DocumentBatch, EmptyTask
        from nemo_curator.tasks import Task as NemoTask

        data = task.data
        if isinstance(data, NemoTask):
            return data
        if issubclass(self._takes, EmptyTask):
            if data not in (None, {}):
                raise self._refused(task, "nothing, which is `null` or `{}`")
            made = self._takes()
        elif issubclass(self._takes, DocumentBatch):
            made = self._takes(dataset_name=task.dataset_name, data=self._documents(task))
        else:
            wanted = _hints(self._takes).get("data")
            is_known = wanted in (dict, list) or _origin(wanted) in (dict, list)
            if not is_known or not _fits(data, wanted) or not isinstance(data, _origin(wanted)):
                raise self._refused(task, f"the data of a `{self._takes.__name__}`")
            made = self._takes(dataset_name=task.dataset_name, data=data)
        made._metadata = task.metadata
        made.task_id = str(task.id)
        return made

    def _documents(self, task):
        data = task.data
        if isinstance(data, dict):
            return _frame([data])
        if isinstance(data, list) and all(isinstance(row, dict) for row in data):
            return _frame(data)
        if type(data).__module__.partition(".")[0] == "pyarrow":
            return data
        raise self._refused(task, "documents: a table, an object, or a list of objects")

    def _refused(self, task, wanted):
        shown = repr(task.data)
        shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
        return TypeError(
            f"the stage {self._stage.name!r} takes {wanted}, and the data of task {task.id} is"
            f" {shown}: {WAY_OUT}"
        )

    def _sent(self, form, outputs):
        """The tasks of this project for those that came out, in the form of one that came in."""
        return [part for output in outputs for part in self._parts(form, output)]

    def _parts(self, form, output):
        from nemo_curator.tasks import DocumentBatch
        from nemo_curator.tasks import Task as NemoTask

        def task(data):
            return Task(data, dict(output._metadata), output.dataset_name)

        if isinstance(form, NemoTask):
            return [task(output)]
        if not isinstance(output, DocumentBatch):
            self._check_fields(output)
            return [task(output.data)]
        if issubclass(self._takes, DocumentBatch) and isinstance(form, list):
            # Without documents nothing tells the columns, which the next stage may ask for.
            rows = _rows(output.data)
            return [task(rows)] if rows else []
        # Where a task is a document, each of several is one.
        if issubclass(self._takes, DocumentBatch) and isinstance(form, dict):
            return [task(row) for row in _rows(output.data)]
        return [task(_without_index(output.data))]

    def _check_fields(self, output):
        """Refuses tasks that are more than their data."""
        import dataclasses

        for field in dataclasses.fields(output):
            if field.name in ("dataset_name", "data", "_metadata", "_stage_perf") or not field.init:
                continue
            value, default = getattr(output, field.name), field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            if value != default:
                raise TypeError(
                    f"the stage {self._stage.name!r} gave a `{type(output).__name__}` with"
                    f" `{field.name}` {value!r}, for which a task has no place: {WAY_OUT}"
                )


def worker_id():
    """An id that no other worker has or has had: stages name files by it, and a worker that takes
    the place of another one must not write over what that has written."""
    return os.urandom(16).hex()


def _origin(hint):
    import typing

    return typing.get_origin(hint) or hint


def _taken(kind):
    """The class of the tasks that a stage takes, as its bases tell it: documents, unless they tell
    another one."""
    import typing

    from nemo_curator.stages.base import ProcessingStage
    from nemo_curator.tasks import DocumentBatch
    from nemo_curator.tasks import Task as NemoTask

    for above in kind.__mro__:
        for base in vars(above).get("__orig_bases__", ()):
            origin, inner = typing.get_origin(base), typing.get_args(base)
            if not inner or not isinstance(origin, type) or not issubclass(origin, ProcessingStage):
                continue
            options = typing.get_args(inner[0]) or inner[:1]
            classes = [
                one for one in options if isinstance(one, type) and issubclass(one, NemoTask)
            ]
            if classes and classes[0] is not NemoTask and DocumentBatch not in classes:
                return classes[0]
            if classes:
                return DocumentBatch
    return DocumentBatch


def _frame(rows):
    """Rows as a frame that loses nothing: a column is of numbers where all its values are of one
    type, and else of objects. A missing value is NaN, and `null` is None."""
    import pandas

    nan = float("nan")
    columns = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name, nan) for row in rows]
        kinds = {type(value) for value in values}
        kind = kinds.pop() if len(kinds) == 1 else object
        is_number = kind in (bool, float) or (kind is int and _are_small(values))
        if kind is float and any(name not in row for row in rows):
            is_number = False
        columns[name] = pandas.Series(values, dtype=kind if is_number else object)
    return pandas.DataFrame(columns, index=range(len(rows)))


def _are_small(values):
    return all(-(1 << 63) <= value < 1 << 63 for value in values)


def _rows(data):
    """The documents of a frame or table, as dicts. Values that are missing are left out where a
    column is of objects, and are None where it has a type."""
    if not hasattr(data, "columns") or hasattr(data, "to_pylist"):
        return data.to_pylist()
    if not data.columns.is_unique:
        raise ValueError(f"the documents have several columns of one name: {list(data.columns)}")
    rows = [{} for _ in range(len(data))]
    for name, column in data.items():
        values = column.tolist()
        if column.dtype == object:
            for row, value in zip(rows, values):
                if not (type(value) is float and value != value):
                    row[name] = value
        else:
            for row, value, is_none in zip(rows, values, column.isna().tolist()):
                row[name] = None if is_none else value
    return rows


def _without_index(data):
    """A frame with the rows numbered anew, which else would come out as one more column."""
    with contextlib.suppress(AttributeError):
        if data.index.nlevels == 1 and data.index.name is None:
            return data.reset_index(drop=True)
    return data
