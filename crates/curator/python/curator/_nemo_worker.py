"""NeMo Curator's stages in a worker: its own adapter calls them, so that ids, filtered and failed
tasks, statistics and metrics are its own.
"""

import copy
import importlib
import pickle
from typing import Any, Optional

from curator._stage import Aggregate, Task
from curator._table import from_ipc, stream_of

__all__ = ["Carried", "Fused", "logger", "task_of", "use_logger"]


def logger() -> Any:
    """The logger of loguru, which no pickle carries."""
    from loguru import logger as found

    return found


def _untyped(name: str) -> Any:
    """A module that comes without types."""
    return importlib.import_module(name)


def use_logger() -> None:
    """Has pickles name the logger of loguru in place of its handlers, which hold locks."""
    import copyreg

    try:
        kind: Any = type(logger())
    except ImportError:
        return
    copyreg.pickle(kind, lambda _: (logger, ()))


class Carried:
    """A task of NeMo Curator on its way between processes.

    A frame or table in it travels as an Arrow stream, which every version of pandas can read: a
    pickle of one version is no frame of another. Columns of objects stay the objects that they
    are, and a frame that Arrow has no types for stays in its pickled form.
    """

    def __init__(self, task: Any) -> None:
        self.task = task

    def __getstate__(self) -> tuple[Any, Optional[dict[str, Any]]]:
        packed = _pack(getattr(self.task, "data", None))
        if packed is None:
            return self.task, None
        shell = copy.copy(self.task)
        shell.data = None
        return shell, packed

    def __setstate__(self, state: tuple[Any, Optional[dict[str, Any]]]) -> None:
        self.task, packed = state
        if packed is not None:
            self.task.data = _unpack(packed)


def _pack(data: Any) -> Optional[dict[str, Any]]:
    """The Arrow stream of a frame or table; None where its pickle has to do."""
    kind: Any = type(data)
    module, _, _ = kind.__module__.partition(".")
    if module not in ("pandas", "pyarrow") or kind.__name__ not in ("DataFrame", "Table"):
        return None
    pyarrow = _untyped("pyarrow")
    if module == "pyarrow":
        return {"kind": "table", "stream": _stream_of(data)}
    frame = data
    if frame.attrs or not frame.columns.is_unique:
        return None
    if not all(isinstance(name, str) for name in frame.columns):
        return None
    # Objects of any type, of which Arrow would make others: lists come back as arrays.
    places = [place for place, kind in enumerate(frame.dtypes) if str(kind) == "object"]
    objects = {place: list(frame.iloc[:, place]) for place in places}
    if objects:
        frame = frame.drop(columns=[frame.columns[place] for place in places])
    try:
        table = pyarrow.Table.from_pandas(frame)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        return None
    names = list(data.columns)
    return {"kind": "frame", "stream": _stream_of(table), "objects": objects, "names": names}


def _stream_of(table: Any) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(stream_of(table))


def _unpack(packed: dict[str, Any]) -> Any:
    table = from_ipc(packed["stream"])
    if packed["kind"] == "table":
        return table
    frame = table.to_pandas()
    if packed["objects"]:
        pandas = _untyped("pandas")
        for place, values in packed["objects"].items():
            column = pandas.Series(values, index=frame.index, dtype=object)
            frame.insert(place, packed["names"][place], column)
    return frame


class Fused:
    """Stages of one environment that follow each other, in one worker."""

    _curator_needs = ("nemo_curator.backends.base",)

    def __init__(self, stages: list[Any]) -> None:
        self._stages = stages
        self._adapters: list[Any] = []

    def _adapt(self) -> list[Any]:
        if not self._adapters:
            use_logger()
            from nemo_curator.backends.base import BaseStageAdapter

            self._adapters = [BaseStageAdapter(stage) for stage in self._stages]
        return self._adapters

    def setup_on_node(self, context: Any) -> None:
        node, worker = _where(context)
        for adapter in self._adapt():
            with _Named(adapter):
                adapter.setup_on_node(node, worker)

    def setup(self, context: Any) -> None:
        _, worker = _where(context)
        for adapter in self._adapt():
            with _Named(adapter):
                adapter.setup(worker)

    def teardown(self) -> None:
        failed: Optional[BaseException] = None
        for adapter in self._adapters:
            try:
                with _Named(adapter):
                    adapter.teardown()
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def process_batch(self, tasks: list[Task]) -> Any:
        came = [task_of(task) for task in tasks]
        if len(came) > 1 and self._stages[0].supports_batch_processing():
            return Aggregate(_sent(self._work(came)))
        # One by one, so that ids do not depend on what came together.
        return [_sent(self._work([task])) for task in came]

    def _work(self, tasks: list[Any]) -> list[Any]:
        for place, adapter in enumerate(self._adapt()):
            # Only the first of neighbours takes batches.
            batches = [tasks] if place == 0 else [[task] for task in tasks]
            with _Named(adapter):
                tasks = [done for batch in batches for done in adapter.process_batch(batch)]
        return tasks


def task_of(task: Task) -> Any:
    """The task of NeMo Curator that one of this package carries."""
    data = task.data
    return data.task if isinstance(data, Carried) else data


def _sent(tasks: list[Any]) -> list[Task]:
    return [Task(Carried(task)) for task in tasks]


def _where(context: Any) -> tuple[Any, Any]:
    from nemo_curator.backends.base import NodeInfo, WorkerMetadata

    return NodeInfo(node_id=context.node), WorkerMetadata(worker_id=str(context.worker))


class _Named:
    """Says in an exception which of the stages raised it."""

    def __init__(self, adapter: Any) -> None:
        self._name = adapter.stage.name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if error is not None and hasattr(error, "add_note"):
            error.add_note(f"in the stage {self._name!r} of NeMo Curator")
