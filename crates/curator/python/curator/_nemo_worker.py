"""NeMo Curator's stages in a worker: its own adapter calls them, so that ids, filtered and failed
tasks, statistics and metrics are its own.
"""

import copy
from typing import Any, Optional

from curator._nemo_frames import pack, unpack
from curator._pickle import dumps, loads
from curator._raised import reduces_itself
from curator._shared import shared
from curator._stage import Aggregate, Task

__all__ = ["Carried", "Fused", "logger", "task_of", "use_logger"]


def logger() -> Any:
    """The logger of loguru, which no pickle carries."""
    from loguru import logger as found

    return found


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

    A frame or table in it travels as `_nemo_frames` has it, unless the class of the task has a way
    of its own to be pickled.
    """

    def __init__(self, task: Any) -> None:
        self.task = task

    def __getstate__(self) -> tuple[Any, Optional[dict[str, Any]]]:
        packed = None if reduces_itself(type(self.task)) else pack(getattr(self.task, "data", None))
        if packed is None:
            return self.task, None
        shell = copy.copy(self.task)
        shell.data = None
        return shell, packed

    def __setstate__(self, state: tuple[Any, Optional[dict[str, Any]]]) -> None:
        self.task, packed = state
        if packed is not None:
            self.task.data = unpack(packed)


class Fused:
    """Stages of one environment that follow each other, in one worker."""

    _curator_needs = ("nemo_curator.backends.base",)

    def __init__(self, stages: list[Any]) -> None:
        self._stages = stages
        self._adapters: list[Any] = []
        # By which stages name their files: each has one of its own, as each has its workers.
        self._identities: list[str] = []

    def _adapt(self) -> list[Any]:
        if not self._adapters:
            use_logger()
            from nemo_curator.backends.base import BaseStageAdapter

            # Each is a stage of its own, also where two hold one object, or are one.
            alone = len(self._stages) == 1
            stages = self._stages if alone else [loads(dumps(stage)) for stage in self._stages]
            self._adapters = [BaseStageAdapter(stage) for stage in stages]
            identities = shared("curator_nemo")
            self._identities = [identities.worker_id() for _ in stages]
        return self._adapters

    def setup_on_node(self, context: Any) -> None:
        for adapter, identity in zip(self._adapt(), self._identities):
            with _Named(adapter):
                adapter.setup_on_node(*_where(context, identity))

    def setup(self, context: Any) -> None:
        for adapter, identity in zip(self._adapt(), self._identities):
            with _Named(adapter):
                adapter.setup(_where(context, identity)[1])

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
            # Only the first of neighbours takes batches. The others get each task as another
            # process would have it: without objects that other tasks or a stage hold as well.
            batches = [tasks] if place == 0 else [[_crossed(task)] for task in tasks]
            with _Named(adapter):
                tasks = [done for batch in batches for done in adapter.process_batch(batch)]
        return tasks


def _crossed(task: Any) -> Any:
    return loads(dumps(Carried(task))).task


def task_of(task: Task) -> Any:
    """The task of NeMo Curator that one of this package carries."""
    data = task.data
    return data.task if isinstance(data, Carried) else data


def _sent(tasks: list[Any]) -> list[Task]:
    return [Task(Carried(task)) for task in tasks]


def _where(context: Any, identity: str) -> tuple[Any, Any]:
    from nemo_curator.backends.base import NodeInfo, WorkerMetadata

    return NodeInfo(node_id=context.node), WorkerMetadata(worker_id=identity)


class _Named:
    """Says in an exception which of the stages raised it."""

    def __init__(self, adapter: Any) -> None:
        self._name = adapter.stage.name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if error is not None and hasattr(error, "add_note"):
            error.add_note(f"in the stage {self._name!r} of NeMo Curator")
